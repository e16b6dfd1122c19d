"""The best of a front and the anchors, trained fully by one command and shown beside the front."""

import json
import re
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from nas.export import main as export
from nas.report import main as report
from nas.tracking.model_registry import ModelRegistry
from nas.train_fully import main
from tests.support.exported_search import finished_search
from tests.support.mlflow_server import empty_store
from trainers.bundle.document import read_bundle
from trainers.train import main as train

# The front of that search is trials 1, 0 and 3; trial 0 is its one anchor, and the weights of trial 2 are gone.
QUICK = ("recipe.epochs=1", "recipe.warmup_epochs=0", "recipe.batch_size=256", "data.image_size=8", "--device", "cpu")


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory, ledger = finished_search(tmp_path_factory.mktemp("runs"))
    assert [record.number for record in ledger.records if record.anchor] == [0]
    (directory.runs / "mlflow.db").write_bytes(empty_store())
    # A full training starts from scratch and needs no weights.
    for path in directory.path.glob("checkpoints/*/*"):
        path.unlink()
    return directory.runs


def train_fully(runs: Path, *arguments: str) -> int:
    return main(["found", "--runs-dir", str(runs), *arguments])


def test_the_best_and_the_anchors_are_trained_once_and_shown_beside_the_front(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert train_fully(runs, *QUICK) == 0
    output = capsys.readouterr().out
    full = runs / "found" / "full"
    assert sorted(path.name for path in full.iterdir()) == ["0000", "0003"]
    front, _, table = output.partition("the front, after 2 epochs of the search")[2].partition("fully trained: ")
    assert [line.split()[0] for line in front.splitlines() if re.match(r" +\d+  ", line)] == ["1", "0", "3"]
    assert table.startswith("1 epoch from scratch on digits, one seed")
    rows = [line.split() for line in table.splitlines() if "←" in line]
    for row, number, role, accuracy in zip(rows, (3, 0), ("accurate", "anchor"), ("95.00%", "90.00%"), strict=True):
        result = json.loads((full / f"{number:04d}" / "result.json").read_text(encoding="utf-8"))
        shown = [str(number), accuracy, f"{result['val_accuracy']:.2%}", f"{result['test_accuracy']:.2%}"]
        assert row[:4] == shown and row[-1] == role and result["epochs"] == 1
        assert read_bundle(full / f"{number:04d}" / "bundle").provenance.to_json()["pick"] == f"trial={number}"
    capsys.readouterr()
    assert train_fully(runs, *QUICK) == 0
    again = capsys.readouterr().out
    assert "epoch 1/1" not in again and again.partition("fully trained: ")[2] == table


@pytest.fixture(scope="module")
def client(runs: Path) -> MlflowClient:
    """The store of the search, once the trainings are in it."""
    assert train_fully(runs, *QUICK) == 0
    return MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")


def full_trainings(client: MlflowClient) -> list[Run]:
    [experiment] = [each for each in client.search_experiments() if each.name == "searches"]
    found: list[Run] = client.search_runs([experiment.experiment_id], "tags.`nas.kind` = 'full_training'")
    return found


def test_each_training_has_one_run_in_mlflow_nested_in_that_of_its_trial(runs: Path, client: MlflowClient) -> None:
    found = {int(run.data.tags["nas.trial"]): run for run in full_trainings(client)}
    assert sorted(found) == [0, 3]
    for number, run in found.items():
        trial = client.get_run(run.data.tags["mlflow.parentRunId"])
        assert (trial.data.tags["nas.kind"], trial.data.tags["nas.trial"]) == ("trial", str(number))
        search = client.get_run(trial.data.tags["mlflow.parentRunId"])
        assert search.data.tags["nas.kind"] == "search"
        assert run.data.tags["nas.search_id"] == search.data.tags["nas.search_id"]
        result = json.loads((runs / "found" / "full" / f"{number:04d}" / "result.json").read_text(encoding="utf-8"))
        assert run.data.metrics["test_accuracy"] == result["test_accuracy"]
        assert run.data.metrics["test_calibration_error"] == result["measured"]["calibration_error"]
        assert run.data.metrics["flops"] == result["flops"] and run.data.params["recipe.epochs"] == "1"
        assert run.data.params["architecture_id"] == trial.data.params["architecture_id"] == result["architecture_id"]
        [point] = client.get_metric_history(run.info.run_id, "val_accuracy")
        assert (point.step, point.value) == (1, result["val_accuracy"]) and run.info.status == "FINISHED"
        names = {file.path for file in client.list_artifacts(run.info.run_id)}
        assert {"history.csv", "curves.png", "confusion.png", "classes.csv"} <= names


def test_the_report_brings_in_what_was_measured_since_and_trainings_elsewhere_once(
    runs: Path, client: MlflowClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = runs / "found" / "full" / "0003"
    elsewhere = tmp_path / "elsewhere"
    bundle = str(tmp_path / "bundle")
    assert export(["found", "--runs-dir", str(runs), "--pick", "trial=3", "--out", bundle]) == 0
    assert train([bundle, *QUICK, "--seed", "5", "--out", str(elsewhere)]) == 0
    assert train([bundle, *QUICK, "--out", str(own), "--corruptions"]) == 0
    for _ in range(2):
        assert report(["found", "--runs-dir", str(runs), "--trained", str(elsewhere)]) == 0
        found = {(run.data.tags["nas.trial"], run.data.params["seed"]): run for run in full_trainings(client)}
        assert sorted(found) == [("0", "0"), ("3", "0"), ("3", "5")] and len(full_trainings(client)) == 3
    robustness = json.loads((own / "result.json").read_text(encoding="utf-8"))["robustness"]
    assert found["3", "0"].data.metrics["corrupted_accuracy"] == robustness["accuracy"]
    assert found["3", "5"].info.run_name.startswith("0003 · full training, seed 5 · ")
    # The model registry still finds the run of the trial, and not that of its training.
    search_id = found["3", "0"].data.tags["nas.search_id"]
    assert ModelRegistry(f"sqlite:///{runs / 'mlflow.db'}", search_id).run_of(3).data.tags["nas.kind"] == "trial"
    capsys.readouterr()
    other = finished_search(tmp_path / "runs", "other")[0]
    assert report(["other", "--runs-dir", str(other.runs), "--trained", str(elsewhere)]) == 2
    assert "expected one of a trial of this search" in capsys.readouterr().err
    assert report(["found", "--runs-dir", str(runs), "--out", str(tmp_path / "r"), "--trained", str(elsewhere)]) == 2
    assert "leave alone" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["recipe.epoch=1"], "Did you mean 'recipe.epochs'"),
        (["--device", "gpu"], "--device is 'gpu': expected auto, cpu, cuda or cuda:N"),
        (["--devise", "cpu"], "Did you mean '--device'"),
        (["recipe.epochs=7"], "name another directory with --out"),
    ],
)
def test_a_mistake_is_one_line(
    runs: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (runs / "found" / "full" / "0000").mkdir(parents=True, exist_ok=True)
    (runs / "found" / "full" / "0000" / "other").touch()
    assert train_fully(runs, *arguments) == 2
    output, error = capsys.readouterr()
    assert output == "" and error.startswith("error: ") and error.count("\n") == 1 and message in error


def test_it_is_not_for_torchrun(
    runs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert train_fully(runs, *QUICK) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1 and "trainers/train.py" in error
    monkeypatch.setenv("RANK", "1")
    assert train_fully(runs, *QUICK) == 2 and capsys.readouterr().err == ""
