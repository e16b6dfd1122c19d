"""A registered network, as another program loads it: by name and alias, with pickle turned off."""

import base64
import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from PIL import Image

from nas.export import main
from nas.tracking.model_registry import ModelRegistry
from nas.tracking.registered_names import check_names
from search_spaces.errors import UserError
from tests.support.exported_search import finished_search
from tests.support.mlflow_server import end_server, free_port
from tests.support.present import present
from trainers.predict import main as predict

LOAD = """
import json, sys
from pathlib import Path
import mlflow, pandas

uri, model, *pictures = sys.argv[1:]
mlflow.set_tracking_uri(uri)
loaded = mlflow.pyfunc.load_model(model)
answer = loaded.predict(pandas.DataFrame({"image": [Path(picture).read_bytes() for picture in pictures]}))
assert [column.name for column in loaded.metadata.signature.inputs.inputs] == ["image"]
assert [list(row) for row in loaded.input_example] == [["image"]]
assert not {"nas", "trainers", "search_spaces"} & sys.modules.keys()
print(json.dumps(answer))
"""
WITHOUT_PICKLE = os.environ | {
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true", "OMP_NUM_THREADS": "1",
    # MLflow starts its server by name, from an environment that is active.
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
}  # fmt: skip
START_SECONDS = 120


def store(directory: Path, search_id: str) -> tuple[str, str]:
    """An MLflow store with the finished run of trial 3: its URI and the run's id."""
    directory.mkdir(parents=True, exist_ok=True)
    uri = f"sqlite:///{directory / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment = client.create_experiment("search", artifact_location=(directory / "artifacts").as_uri())
    run = client.create_run(experiment, tags={"nas.search_id": search_id, "nas.trial": "3", "nas.kind": "trial"})
    client.set_terminated(run.info.run_id, end_time=1_790_000_000_000)
    return uri, run.info.run_id


def pictures_in(directory: Path) -> list[Path]:
    """Pictures as people have them: large and small, in colour, of 16 bits, and with something transparent."""
    generator = np.random.default_rng(0)
    directory.mkdir()
    made = {
        "colour.jpg": Image.fromarray(generator.integers(0, 256, (90, 60, 3), dtype=np.uint8)),
        "sixteen.png": Image.fromarray(generator.integers(0, 65_536, (40, 40), dtype=np.uint16)),
        "small.png": Image.fromarray(generator.integers(0, 256, (9, 7, 4), dtype=np.uint8)),
    }
    for name, image in made.items():
        image.save(directory / name)
    return [directory / name for name in made]


def predicted(bundle: Path, pictures: Sequence[Path], capfd: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """What trainers/predict.py makes of them."""
    capfd.readouterr()
    assert predict([str(bundle), *map(str, pictures), "--json"]) == 0
    found: list[dict[str, Any]] = json.loads(capfd.readouterr().out)
    return found


def assert_same(answers: Sequence[dict[str, Any]], expected: Sequence[dict[str, Any]]) -> None:
    assert [answer["class"] for answer in answers] == [prediction["class"] for prediction in expected]
    for answer, prediction in zip(answers, expected, strict=True):
        assert answer["probability"] == pytest.approx(prediction["probability"], abs=1e-4)
        probabilities = {guess["class"]: guess["probability"] for guess in prediction["predictions"]}
        assert answer["probabilities"] == pytest.approx(probabilities, abs=1e-4)


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
    client.update_registered_model("digits", description="of my own")
    assert main([*arguments, "--out", str(tmp_path / "second"), "--alias", "champion", "--tracking-uri", uri]) == 0
    model = client.get_registered_model("digits")
    assert model.aliases == {"best": 1, "champion": 2} and model.description == "of my own"

    version = client.get_model_version_by_alias("digits", "champion")
    run = client.get_run(run_id)
    assert version.run_id == run_id
    assert (run.info.status, run.info.end_time) == ("FINISHED", 1_790_000_000_000)
    assert "trial 3 of the search found, picked as accuracy" in present(version.description)
    assert version.tags["nas.trial"] == "3" and version.tags["nas.data"] == "digits"
    logged = client.get_logged_model(present(version.source).removeprefix("models:/"))
    assert {metric.key: metric.value for metric in logged.metrics or []}["val_accuracy"] == 0.95

    # Another program, in another place, that has never seen this project.
    pictures = pictures_in(tmp_path / "pictures")
    expected = predicted(tmp_path / "first", pictures, capfd)
    command = [sys.executable, "-c", LOAD, uri, "models:/digits@best", *map(str, pictures)]
    loaded = subprocess.run(command, cwd=tmp_path, env=WITHOUT_PICKLE, capture_output=True, text=True, timeout=300)
    assert loaded.returncode == 0, loaded.stderr
    assert_same(json.loads(loaded.stdout), expected)
    assert_same(served(uri, "models:/digits@best", pictures, tmp_path / "runs" / "server.log"), expected)

    assert {path.name for path in tmp_path.iterdir()} == {"runs", "first", "second", "pictures"}
    requirements = next((directory.runs / "artifacts").rglob("requirements.txt")).read_text(encoding="utf-8")
    assert {line.partition("==")[0] for line in requirements.split()} == {"mlflow", "numpy", "pillow", "torch"}


def served(uri: str, model: str, pictures: Sequence[Path], log: Path) -> list[dict[str, Any]]:
    """What `mlflow models serve` answers to posted pictures."""
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"],
            cwd=log.parent, env=WITHOUT_PICKLE | {"MLFLOW_TRACKING_URI": uri}, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                    break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, log.read_text(encoding="utf-8")[-2000:]
                time.sleep(0.3)
        records = [{"image": base64.b64encode(picture.read_bytes()).decode()} for picture in pictures]
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/invocations",
            data=json.dumps({"dataframe_records": records}).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            found: list[dict[str, Any]] = json.load(answer)["predictions"]
        return found
    finally:
        end_server(process)


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


def test_a_moved_store_that_may_only_be_read_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(place)) as connection, connection:
        connection.execute("CREATE TABLE runs (name)")

    def only_read(path: Path) -> None:
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            connection.execute("INSERT INTO runs VALUES ('one')")

    monkeypatch.setattr("nas.tracking.model_registry.bring_artifacts_home", only_read)
    with pytest.raises(UserError, match=r"mlflow\.db cannot be written: attempt to write a readonly database"):
        ModelRegistry(f"sqlite:///{place}", "this")
    place.write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match=r"mlflow\.db cannot be read: file is not a database"):
        ModelRegistry(f"sqlite:///{place}", "this")


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
