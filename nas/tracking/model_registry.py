"""Registers a found network in MLflow's model registry, from where it is loaded by name and alias, without pickle.

It is logged as an exported program (torch.export), which holds no code of this project: attention is written out by its
reference implementation, and the batch may be of any size.
"""

import os
import sqlite3
from importlib.metadata import version

import mlflow
import numpy as np
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from torch import nn

from nas.settings.addresses import redacted, without_secrets
from nas.settings.sqlite_addresses import sqlite_path
from nas.tracking.environment import quiet_mlflow, remove_mistaken_directory
from nas.tracking.moved_store import bring_artifacts_home
from nas.tracking.store_address import check_there
from search_spaces.errors import UserError, first_line
from trainers.data.config import DataSummary
from trainers.quiet import quiet


class ModelRegistry:
    """The registry of the MLflow store at `uri`, as far as the search `search_id` is in it."""

    def __init__(self, uri: str, search_id: str) -> None:
        """Raises UserError where there is no SQLite store at `uri`, or it cannot be read."""
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
            raise self._unavailable("read", error) from error

    def run_of(self, trial: int) -> Run:
        """The run of a trial. Raises UserError where MLflow cannot be read or has none."""
        client = self._client()
        query = f"tags.`nas.search_id` = '{self._search_id}' and tags.`nas.trial` = '{trial}'"
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

    def register(self, run: Run, model: nn.Module, summary: DataSummary, model_name: str, alias: str) -> int:
        """Logs `model`, which is on the CPU in evaluation mode, with the run, and returns its new version.

        The alias points to that version afterwards. Raises UserError where MLflow cannot be written.
        """
        shape = (summary.in_channels, summary.image_size, summary.image_size)
        # Of two images: a batch of one would be taken for a constant.
        example = np.random.default_rng(0).standard_normal((2, *shape), dtype=np.float32)
        signature = ModelSignature(
            inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, *shape))]),
            outputs=Schema([TensorSpec(np.dtype(np.float32), (-1, summary.classes))]),
        )
        mlflow.set_tracking_uri(self._uri)
        try:
            # Named by the run alone, the model would be kept with the default experiment, in the working directory.
            mlflow.set_experiment(experiment_id=run.info.experiment_id)
            with quiet():
                # The run has ended and stays so: it is named, not started again.
                info = mlflow.pytorch.log_model(
                    model,
                    name="model",
                    registered_model_name=model_name,
                    signature=signature,
                    input_example=example,
                    pip_requirements=[f"numpy=={version('numpy')}", f"torch=={torch.__version__.partition('+')[0]}"],
                    serialization_format="pt2",
                    run_id=run.info.run_id,
                    # MLflow would load what it has just written and run it, only to warn where that fails.
                    validate_serving_input=False,
                )
            registered = int(info.registered_model_version)
            self._client().set_registered_model_alias(model_name, alias, str(registered))
        except Exception as error:
            raise self._unavailable("written", error) from error
        return registered

    def _client(self) -> MlflowClient:
        client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        remove_mistaken_directory(self._uri)
        return client

    def _unavailable(self, done: str, error: Exception) -> UserError:
        reason = without_secrets(first_line(error), self._uri)
        return UserError(f"MLflow at {redacted(self._uri)} cannot be {done}: {reason}")
