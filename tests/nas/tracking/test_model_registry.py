"""A registered network, as another program loads it: by name and alias, with pickle turned off."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from nas.export import main
from nas.tracking.model_registry import ModelRegistry
from nas.tracking.registered_names import check_names
from search_spaces.errors import UserError
from tests.support.exported_search import finished_search
from trainers.bundle.files import read_model

LOAD = """
import sys
import mlflow, numpy, torch

uri, model, images, logits = sys.argv[1:]
mlflow.set_tracking_uri(uri)
images = numpy.load(images)
with torch.inference_mode():
    by_torch = mlflow.pytorch.load_model(model)(torch.from_numpy(images)).numpy()
loaded = mlflow.pyfunc.load_model(model)
assert numpy.array_equal(loaded.predict(images), by_torch)
assert loaded.metadata.signature.inputs.inputs[0].shape == (-1, 1, 16, 16)
assert loaded.input_example.shape == (2, 1, 16, 16)
assert not {"nas", "trainers", "search_spaces"} & sys.modules.keys()
numpy.save(logits, by_torch)
"""


def store(directory: Path, search_id: str) -> tuple[str, str]:
    """An MLflow store with the finished run of trial 3: its URI and the run's id."""
    directory.mkdir(parents=True, exist_ok=True)
    uri = f"sqlite:///{directory / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment = client.create_experiment("search", artifact_location=(directory / "artifacts").as_uri())
    run = client.create_run(experiment, tags={"nas.search_id": search_id, "nas.trial": "3", "nas.kind": "trial"})
    client.set_terminated(run.info.run_id, end_time=1_790_000_000_000)
    return uri, run.info.run_id


@pytest.mark.slow
def test_a_registered_network_is_loaded_by_its_alias_without_pickle(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    directory, ledger = finished_search(tmp_path / "runs")
    uri, run_id = store(directory.runs, ledger.search_id)
    client = MlflowClient(uri)
    arguments = ["found", "--runs-dir", str(directory.runs), "--pick", "accuracy", "--register", "digits"]
    capfd.readouterr()
    assert main([*arguments, "--out", str(tmp_path / "first")]) == 0
    output, error = capfd.readouterr()
    assert "models:/digits@best: version 1" in output and error == ""
    assert main([*arguments, "--out", str(tmp_path / "second"), "--alias", "champion", "--tracking-uri", uri]) == 0
    assert client.get_registered_model("digits").aliases == {"best": 1, "champion": 2}

    version = client.get_model_version_by_alias("digits", "champion")
    run = client.get_run(run_id)
    assert version.run_id == run_id
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1_790_000_000_000)

    # Another program, in another place, that has never seen this project.
    images = torch.randn(5, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "images.npy", images.numpy())
    command = [sys.executable, "-c", LOAD, uri, "models:/digits@best", "images.npy", "logits.npy"]
    environment = os.environ | {"MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    loaded = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert loaded.returncode == 0, loaded.stderr
    with torch.inference_mode():
        expected = read_model(tmp_path / "first")(images).numpy()
    assert np.abs(np.load(tmp_path / "logits.npy") - expected).max() < 1e-4

    assert {path.name for path in tmp_path.iterdir()} == {"runs", "first", "second", "images.npy", "logits.npy"}
    requirements = next((directory.runs / "artifacts").rglob("requirements.txt")).read_text(encoding="utf-8")
    assert {line.partition("==")[0] for line in requirements.split()} == {"mlflow", "numpy", "torch"}


@pytest.mark.slow
def test_a_store_without_the_search_is_one_line(tmp_path: Path) -> None:
    uri, run_id = store(tmp_path, "another")
    assert ModelRegistry(uri, "another").run_of(3).info.run_id == run_id
    for search_id, trial in (("another", 4), ("this", 3)):
        with pytest.raises(UserError, match=r"has no run of trial .* name the store .* --tracking-uri") as caught:
            ModelRegistry(uri, search_id).run_of(trial)
        assert "\n" not in str(caught.value)


def test_a_server_that_does_not_answer_is_one_line_without_its_password() -> None:
    with pytest.raises(UserError, match="cannot be read") as caught:
        ModelRegistry("http://me:s3cret@127.0.0.1:9", "this").run_of(3)
    assert "\n" not in str(caught.value) and "s3cret" not in str(caught.value)


def test_a_store_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no MLflow store"):
        ModelRegistry(f"sqlite:///{tmp_path / 'mlflow.db'}", "this")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "a b", "../x", "-a", "x" * 101])
def test_names_that_a_url_could_not_hold_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="--register is"):
        check_names(name, "best")
    with pytest.raises(UserError, match="--alias is"):
        check_names("digits", name)


@pytest.mark.parametrize("alias", ["latest", "Latest", "v1", "V12", "3"])
def test_aliases_that_mlflow_keeps_for_versions_are_refused(alias: str) -> None:
    with pytest.raises(UserError, match="neither 'latest' nor a version"):
        check_names("digits", alias)


def test_ordinary_names_are_taken() -> None:
    check_names("resnet_digits-1.0", "best")
