"""Registers a found network in MLflow's model registry, from where it is loaded by name and alias, without pickle.

It takes pictures as they come. What is logged is an exported program (torch.export), attention written out by its
reference implementation, and the folder `trainers.pictures`, which reads pictures and needs nothing of this project.
"""

import io
import json
import os
import sqlite3
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Map
from PIL import Image
from torch import nn

from nas.records.trial import TrialRecord
from nas.settings.addresses import redacted, without_secrets
from nas.settings.sqlite_addresses import sqlite_path
from nas.tracking.environment import quiet_mlflow, remove_mistaken_directory
from nas.tracking.moved_store import bring_artifacts_home
from nas.tracking.registered_texts import model_description, version_description, version_tags
from nas.tracking.run_fields import cost_metrics, epoch_metrics
from nas.tracking.store_address import check_there
from search_spaces.errors import UserError, first_line
from trainers import pictures
from trainers.bundle.contents import Bundle
from trainers.bundle.torch_export import exported_program
from trainers.pictures.served import CLASS, DOCUMENT, IMAGE, PROBABILITIES, PROBABILITY, PROGRAM
from trainers.quiet import quiet

SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.binary, IMAGE)]),
    outputs=Schema(
        [
            ColSpec(DataType.string, CLASS),
            ColSpec(DataType.double, PROBABILITY),
            ColSpec(Map(DataType.double), PROBABILITIES),
        ]
    ),
)
# The byte of SQLite's codes that says what is in the way, the rest being details.
_PRIMARY = 0xFF


class ModelRegistry:
    """The registry of the MLflow store at `uri`, as far as the search `search_id` is in it."""

    def __init__(self, uri: str, search_id: str) -> None:
        """Raises UserError where there is no SQLite store at `uri`, or it cannot be read, or, once moved, written."""
        check_there(uri)
        quiet_mlflow()
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        path = sqlite_path(uri)
        self._uri = uri
        self._search_id = search_id
        try:
            if path is not None:
                bring_artifacts_home(path)
        except sqlite3.Error as error:
            is_only_read = (getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY == sqlite3.SQLITE_READONLY
            raise self._unavailable("written" if is_only_read else "read", error) from error

    def run_of(self, trial: int) -> Run:
        """The run of a trial. Raises UserError where MLflow cannot be read or has none."""
        client = self._client()
        of_trial = f"tags.`nas.kind` = 'trial' and tags.`nas.trial` = '{trial}'"
        query = f"tags.`nas.search_id` = '{self._search_id}' and {of_trial}"
        try:
            experiments = [experiment.experiment_id for experiment in client.search_experiments()]
            found = client.search_runs(experiments, query, max_results=1)
        except Exception as error:
            raise self._unavailable("read", error) from error
        if not found:
            raise UserError(
                f"MLflow at {redacted(self._uri)} has no run of trial {trial}: name the store of the search "
                "with --tracking-uri, or bring it up to date by nas/report.py."
            )
        return found[0]

    def register(
        self, run: Run, record: TrialRecord, model: nn.Module, bundle: Bundle, model_name: str, alias: str
    ) -> int:
        """Logs `model`, which is on the CPU in evaluation mode, with the run of its trial. Returns its new version.

        The alias points to that version afterwards. Raises UserError where MLflow cannot be written.
        """
        # Without names its outputs are known by their numbers.
        classes = bundle.class_names or tuple(map(str, range(bundle.data_summary.classes)))
        tags = version_tags(bundle)
        mlflow.set_tracking_uri(self._uri)
        try:
            # Named by the run alone, the model would be kept with the default experiment, in the working directory.
            mlflow.set_experiment(experiment_id=run.info.experiment_id)
            with quiet(), tempfile.TemporaryDirectory() as directory:
                _write_network(Path(directory) / "network", model, bundle, classes)
                # The run has ended and stays so: it is named, not started again.
                info = Model.log(
                    artifact_path=None,
                    name="model",
                    flavor=mlflow.pyfunc,
                    run_id=run.info.run_id,
                    registered_model_name=model_name,
                    loader_module=f"{Path(pictures.__path__[0]).name}.served",
                    data_path=str(Path(directory) / "network"),
                    code_paths=[pictures.__path__[0]],
                    signature=SIGNATURE,
                    input_example=_example(bundle),
                    pip_requirements=[
                        f"{name}=={version(name).partition('+')[0]}" for name in ("numpy", "pillow", "torch")
                    ],
                    tags=tags,
                )
            registered = int(info.registered_model_version)
            client = self._client()
            if not client.get_registered_model(model_name).description:
                client.update_registered_model(model_name, description=model_description(bundle, classes))
            client.update_model_version(model_name, str(registered), version_description(bundle))
            for key, value in tags.items():
                client.set_model_version_tag(model_name, str(registered), key, value)
            self._log_metrics(client, run, record, info.model_id)
            client.set_registered_model_alias(model_name, alias, str(registered))
        except Exception as error:
            raise self._unavailable("written", error) from error
        return registered

    def _log_metrics(self, client: MlflowClient, run: Run, record: TrialRecord, model_id: str) -> None:
        """What the trial came to and what its network costs, of the model, too: the run has these points already."""
        for point in [*epoch_metrics(record, len(record.epochs) - 1), *cost_metrics(record)]:
            client.log_metric(
                run.info.run_id, point.name, point.value, point.milliseconds, point.step, model_id=model_id
            )

    def _client(self) -> MlflowClient:
        client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        remove_mistaken_directory(self._uri)
        return client

    def _unavailable(self, done: str, error: Exception) -> UserError:
        reason = without_secrets(first_line(error), self._uri)
        return UserError(f"MLflow at {redacted(self._uri)} cannot be {done}: {reason}")


def _write_network(directory: Path, model: nn.Module, bundle: Bundle, classes: Sequence[str]) -> None:
    """The exported program, and what a picture needs before it and its outputs after it."""
    directory.mkdir()
    (directory / PROGRAM).write_bytes(exported_program(model, bundle))
    document = {"classes": list(classes), "preprocessing": bundle.input_rule.to_json()}
    (directory / DOCUMENT).write_text(json.dumps(document, ensure_ascii=False), encoding="utf-8")


def _example(bundle: Bundle) -> list[dict[str, bytes]]:
    """A grey picture, as the file that somebody would post."""
    size, file = bundle.data_summary.image_size, io.BytesIO()
    Image.new("RGB", (size, size), (128, 128, 128)).save(file, format="PNG")
    return [{IMAGE: file.getvalue()}]
