"""What earlier code wrote still works, by the commands that a user types: ledgers, bundles, trainings, MLflow stores.

`tests/support/earlier_formats/README.md` says what they are and how they were made.
"""

import contextlib
import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llvmlite.binding
import pytest
import safetensors.torch
import torch
from mlflow import MlflowClient
from mlflow.entities import Run
from PIL import Image

from tests.support.present import present

PROJECT = Path(__file__).resolve().parents[2]
FORMATS = PROJECT / "tests" / "support" / "earlier_formats"
EXPECTED: dict[str, Any] = json.loads((FORMATS / "expected.json").read_text(encoding="utf-8"))
WRITTEN_IN = "/srv/runs"
LIMIT_SECONDS = 300

# Of a trial that had not ended, these are all that stays; of one that had, only the others change or are added later.
FIXED = ("number", "architecture_id", "flops", "params", "anchor", "seed", "started_at")
MEASURED_AT_THE_END = ("latency_ms", "inference_latency_ms", "peak_memory_mb")

Row = dict[str, str]

# Other processors and other versions of torch round otherwise, and what follows from an accuracy differs with it.
same_rounding = pytest.mark.skipif(
    EXPECTED["computed_on"] != {"processor": llvmlite.binding.get_host_cpu_name(), "torch": torch.__version__},
    reason="was computed on another processor or by another version of torch",
)


def start(script: str | Path, *arguments: str | Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *map(str, (script, *arguments))],
        cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
        # A label is not to be broken; one thread gives the same sums on any number of cores.
        env={**os.environ, "COLUMNS": "200", "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def run(*commands: Sequence[str | Path]) -> list[str]:
    """What commands that succeed have printed. They run side by side: most of each is to start and to end."""
    processes = [start(*command) for command in commands]
    try:
        return [_output(process) for process in processes]
    finally:
        for process in processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def _output(process: subprocess.Popen[str]) -> str:
    output, error = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, output + error
    return output


def unpacked(directory: Path) -> Path:
    """The earlier data in `directory`. The MLflow store is led there, as it names its artifacts by absolute paths.

    Left as it was it would have a search write its report to where the store was made, outside the test's directory.
    """
    with tarfile.open(FORMATS / "earlier.tar.xz") as archive:
        archive.extractall(directory, filter="data")
    moved = (WRITTEN_IN, str(directory / "runs"))
    with contextlib.closing(sqlite3.connect(directory / "runs" / "mlflow.db")) as store, store:
        store.execute("UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)", moved)
        store.execute("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", moved)
    return directory


def trials(table: Path) -> list[Row]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def check_kept(before: list[Row], after: list[Row]) -> None:
    """Asserts that every trial of before is there as it was; one that had not ended may have gone on."""
    for old, new in zip(before, after, strict=False):
        ended = old["outcome"] not in ("running", "held")
        kept = old.keys() - {"on_front", *MEASURED_AT_THE_END} if ended else FIXED
        assert {key: new[key] for key in kept} == {key: old[key] for key in kept}
        assert all(new[key] == old[key] for key in MEASURED_AT_THE_END if old[key])
        assert int(new["epochs"]) >= int(old["epochs"])
    assert len(after) >= len(before)


def runs_of(runs: Path, name: str) -> tuple[Run, dict[int, Run]]:
    """The run of a search in the MLflow store, and those of its trials, of which there is one a trial."""
    client = MlflowClient(f"sqlite:///{runs / 'mlflow.db'}")
    experiment = present(client.get_experiment_by_name("architecture search"))
    found = client.search_runs([experiment.experiment_id], max_results=1000)
    (parent,) = [run for run in found if run.data.tags["nas.kind"] == "search" and run.info.run_name == name]
    children = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    by_trial = {int(run.data.tags["nas.trial"]): run for run in children}
    assert len(by_trial) == len(children)
    for child in children:
        history = client.get_metric_history(child.info.run_id, "val_accuracy")
        assert [point.step for point in history] == list(range(1, 1 + int(child.data.tags["nas.epochs"])))
    return parent, by_trial


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For what only reads a search."""
    return unpacked(tmp_path_factory.mktemp("untouched"))


@pytest.fixture(scope="module")
def gone_on(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The search on FLOPs, resumed with an architecture more."""
    resumed = unpacked(tmp_path_factory.mktemp("resumed"))
    run(("nas/search.py", "--resume", "earlier", "--runs-dir", resumed / "runs", "--trials", "10"))
    return resumed


@pytest.fixture(scope="module")
def others_gone_on(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The search on latency, resumed with an architecture more, the deterministic one, resumed to its end, and the one
    on FLOPs, forked with an architecture.
    """
    names = ("latency", "deterministic", "forked")
    latency, deterministic, forked = (unpacked(tmp_path_factory.mktemp(name)) for name in names)
    run(
        ("nas/search.py", "--resume", "earlier-latency", "--runs-dir", latency / "runs", "--trials", "5"),
        ("nas/search.py", "--resume", "earlier-deterministic", "--runs-dir", deterministic / "runs"),
        ("nas/search.py", "--resume", "earlier", "--fork", "forked", "--runs-dir", forked / "runs", "--trials", "1"),
    )
    return latency, deterministic, forked


@pytest.fixture(scope="module")
def exported(untouched: Path) -> str:
    """What the list of the front printed. Beside it the knee is exported to bundles/knee."""
    export = ("nas/export.py", "earlier", "--runs-dir", untouched / "runs")
    front, _ = run((*export, "--list"), (*export, "--pick", "knee", "--out", untouched / "bundles" / "knee"))
    return front


def test_the_front_is_the_same(exported: str) -> None:
    lines = exported.splitlines()
    assert lines[0].split()[:2] == ["trial", "accuracy"]
    for line, (number, label) in zip(lines[1:], EXPECTED["front"], strict=False):
        is_knee = number == EXPECTED["knee"]
        assert line.split()[0] == str(number)
        assert line.rstrip().endswith(f"  {label}  ← knee" if is_knee else f"  {label}")
    # Below the table are the conditions that it was measured in, and what the knee is.
    assert [line.split()[0].isdigit() for line in lines[1:]] == [True] * len(EXPECTED["front"]) + [False, False]


def test_the_knee_is_exported_as_before(untouched: Path, exported: str) -> None:
    out, earlier = untouched / "bundles" / "knee", untouched / "bundles" / "earlier-knee"
    bundle, before = (json.loads((path / "bundle.json").read_text(encoding="utf-8")) for path in (out, earlier))
    for key in ("architecture", "recipe", "data", "data_summary"):
        assert bundle[key] == before[key]
    # There may be more fields by now of what was measured.
    inference, inference_before = (document["provenance"].pop("inference") for document in (bundle, before))
    assert {name: inference[name] for name in inference_before} == inference_before
    assert {**bundle["provenance"], "torch_version": None} == {**before["provenance"], "torch_version": None}
    weights, weights_before = (safetensors.torch.load_file(path / "weights.safetensors") for path in (out, earlier))
    assert weights.keys() == weights_before.keys()
    assert all(torch.equal(value, weights_before[name]) for name, value in weights.items())


def test_the_reports_are_the_same(untouched: Path, tmp_path: Path) -> None:
    names = ("earlier", "earlier-latency")
    pages = run(
        *(("nas/report.py", name, "--runs-dir", untouched / "runs", "--out", tmp_path / name) for name in names)
    )
    for name, page in zip(names, pages, strict=True):
        assert Path(page.strip()).is_file()
        before, now = trials(FORMATS / f"{name}.csv"), trials(tmp_path / name / "trials.csv")
        # There may be more columns by now.
        assert [{key: row[key] for key in before[0]} for row in now] == before


def test_a_search_goes_on_and_trains_only_what_is_new(gone_on: Path) -> None:
    before, after = trials(FORMATS / "earlier.csv"), trials(gone_on / "runs" / "earlier" / "report" / "trials.csv")
    check_kept(before, after)
    assert [row["number"] for row in after] == [str(number) for number in range(10)]
    assert len({row["architecture_id"] for row in after}) == 10
    assert {row["outcome"] for row in after} <= {"finished", "stopped"}
    (new,) = after[len(before) :]
    assert int(new["epochs"]) > 0 and float(new["started_at"]) > max(float(row["started_at"]) for row in before)


def test_mlflow_goes_on_in_the_same_runs(untouched: Path, gone_on: Path) -> None:
    runs = gone_on / "runs"
    parent_before, trials_before = runs_of(untouched / "runs", "earlier")
    parent, children = runs_of(runs, "earlier")
    assert parent.info.run_id == parent_before.info.run_id and parent.info.status == "FINISHED"
    assert parent.data.tags["nas.directory"] == str(runs / "earlier")
    assert sorted(children) == list(range(10))
    assert all(children[number].info.run_id == run.info.run_id for number, run in trials_before.items())
    rows = trials(runs / "earlier" / "report" / "trials.csv")
    assert [children[number].data.tags["nas.outcome"] for number in range(10)] == [row["outcome"] for row in rows]
    # The other searches of the store are as they were.
    for name in ("earlier-latency", "earlier-deterministic"):
        assert {number: run.to_dictionary()["data"] for number, run in runs_of(runs, name)[1].items()} == {
            number: run.to_dictionary()["data"] for number, run in runs_of(untouched / "runs", name)[1].items()
        }


@pytest.mark.slow
def test_a_fork_begins_with_the_finished_trials(others_gone_on: tuple[Path, Path, Path]) -> None:
    forked = others_gone_on[2] / "runs" / "forked"
    finished = [row for row in trials(FORMATS / "earlier.csv") if row["outcome"] == "finished"]
    rows = trials(forked / "report" / "trials.csv")
    assert json.loads((forked / "summary.json").read_text(encoding="utf-8"))["results_imported"] == len(finished)
    check_kept([{**row, "number": str(number)} for number, row in enumerate(finished)], rows)
    assert len(rows) == len(finished) + 1
    # The weights of the front have come with it.
    assert list(forked.glob("checkpoints/*3/*"))


@pytest.mark.slow
def test_a_search_on_latency_goes_on(others_gone_on: tuple[Path, Path, Path]) -> None:
    before = trials(FORMATS / "earlier-latency.csv")
    after = trials(others_gone_on[0] / "runs" / "earlier-latency" / "report" / "trials.csv")
    check_kept(before, after)
    (new,) = after[len(before) :]
    assert float(new["latency_ms"]) > 0 and int(new["epochs"]) > 0


@pytest.mark.slow
def test_a_deterministic_search_goes_on(others_gone_on: tuple[Path, Path, Path]) -> None:
    before = trials(FORMATS / "earlier-deterministic.csv")
    after = trials(others_gone_on[1] / "runs" / "earlier-deterministic" / "report" / "trials.csv")
    check_kept(before, after)
    assert any(row["outcome"] == "running" for row in before) and len(after) == len(before)
    assert {row["outcome"] for row in after} == {"finished", "duplicate", "rejected"}


@pytest.mark.slow
@same_rounding
def test_a_deterministic_search_has_the_front_of_one_that_was_never_cut_off(
    others_gone_on: tuple[Path, Path, Path],
) -> None:
    front = others_gone_on[1] / "runs" / "earlier-deterministic" / "front.json"
    assert front.read_bytes() == (FORMATS / "earlier-deterministic-front.json").read_bytes()


@pytest.fixture(scope="module")
def trained(untouched: Path) -> tuple[str, str]:
    """What two trainings printed: one that was finished, and one that had been cut off after one of four epochs.

    Beside them the bundle of the finished one is trained for an epoch, to bundles/again.
    """
    bundles = untouched / "bundles"
    train, finished = "trainers/train.py", bundles / "earlier-knee-2-epochs"
    settings = ("data=digits", "data.image_size=8", "recipe.warmup_epochs=0.5")
    found, gone_on, _ = run(
        (train, bundles / "earlier-knee", *settings, "recipe.epochs=2", "--out", finished),
        (train, bundles / "earlier-knee", *settings, "recipe.epochs=4"),
        (train, finished / "bundle", *settings, "recipe.epochs=1", "--out", bundles / "again"),
    )
    return found, gone_on


def result_of(untouched: Path, training: str) -> dict[str, Any]:
    return json.loads((untouched / "bundles" / training / "result.json").read_text(encoding="utf-8"))


def test_a_finished_training_is_found(trained: tuple[str, str]) -> None:
    found, _ = trained
    assert "trained  2 epochs" in found and "epoch 1/2" not in found


def test_a_trained_bundle_is_trained_again(untouched: Path, trained: tuple[str, str]) -> None:
    result = result_of(untouched, "again")
    assert result["architecture_id"] == EXPECTED["knee_architecture_id"]
    assert result["epochs"] == 1 and 0 < result["test_accuracy"] <= 1


def test_an_interrupted_training_goes_on(untouched: Path, trained: tuple[str, str]) -> None:
    _, gone_on = trained
    assert "resumes  after epoch 1" in gone_on and "epoch 1/4" not in gone_on
    result = result_of(untouched, "earlier-knee-trained")
    assert result["epochs"] == 4 and result["architecture_id"] == EXPECTED["knee_architecture_id"]


def test_bundles_without_names_of_classes_predict(untouched: Path, tmp_path: Path) -> None:
    with tarfile.open(FORMATS / "earlier-fingerprint.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    Image.new("L", (20, 30), 128).save(tmp_path / "picture.png")
    bundles = (untouched / "bundles" / "earlier-knee", tmp_path / "earlier-fingerprint")
    answers = run(*(("trainers/predict.py", bundle, tmp_path / "picture.png", "--json") for bundle in bundles))
    for answer in answers:
        [prediction] = json.loads(answer)
        assert sorted(guess["class"] for guess in prediction["predictions"]) == list("0123456789")


@same_rounding
def test_an_interrupted_training_ends_as_one_that_was_not(untouched: Path, trained: tuple[str, str]) -> None:
    result, expected = result_of(untouched, "earlier-knee-trained"), EXPECTED["full_training"]
    # Earlier code added up the losses of test images in the order of batches, and rounded with each.
    assert result["test_loss"] == pytest.approx(expected["test_loss"], rel=1e-6)
    others = expected.keys() - {"test_loss"}
    assert {key: result[key] for key in others} == {key: expected[key] for key in others}
