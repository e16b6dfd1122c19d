"""The whole way through, as a user walks it: search, resume, export, full training, on real Ray, MLflow and SQLite."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.support.present import present

PROJECT = Path(__file__).resolve().parents[2]
Searched = tuple[Path, subprocess.CompletedProcess[str]]
SMALL = [
    "data=digits",
    "space.depth=[14]",
    "space.width=[0.125]",
    "space.stages.spatial_extent=[3]",
    "training.epochs=2",
]


def start(directory: Path, script: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(PROJECT / script), *arguments],
        cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def run(directory: Path, script: str, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
    process = start(directory, script, *arguments)
    try:
        output, error = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    return subprocess.CompletedProcess(process.args, process.returncode, output, error)


def summary(directory: Path, name: str) -> dict[str, Any]:
    return json.loads((directory / "runs" / name / "summary.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Searched:
    directory = tmp_path_factory.mktemp("searched")
    done = run(directory, "nas/search.py", "--space", "resnet_stages", "--name", "first", "--trials", "2", *SMALL)
    return directory, done


def test_a_search_ends_with_a_front_and_says_what_is_next(searched: Searched) -> None:
    directory, done = searched
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "the front:" in done.stdout and "nas/export.py first --pick knee --runs-dir" in done.stdout
    assert "accuracies after 2 epochs" in done.stdout and "a full training of 40" in done.stdout
    assert "nas/train_fully.py first --runs-dir" in done.stdout
    assert "mlflow server --backend-store-uri sqlite:///" in done.stdout
    assert "/artifacts/front.html?workflowType=machine_learning" in done.stdout
    result = summary(directory, "first")
    assert result["counts"]["finished"] == 2 and result["architectures_trained"] == 2 and result["front"]
    assert all(member["latency_ms"] > 0 and member["peak_memory_mb"] > 0 for member in result["front"])
    assert {path.name for path in directory.iterdir()} == {"runs"}
    assert {path.name for path in (directory / "runs").iterdir()} == {"first", "mlflow.db", "mlflow-artifacts"}


def test_mlflow_holds_the_search(searched: Searched) -> None:
    directory, _ = searched
    client = MlflowClient(f"sqlite:///{directory / 'runs' / 'mlflow.db'}")
    experiment = present(client.get_experiment_by_name("architecture search"))
    found = client.search_runs([experiment.experiment_id])
    parent = next(run for run in found if run.data.tags["nas.kind"] == "search")
    children = [run for run in found if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id]
    assert parent.info.run_name == "first" and parent.info.status == "FINISHED" and len(children) == 2
    for child in children:
        assert child.info.status == "FINISHED"
        assert len(client.get_metric_history(child.info.run_id, "val_accuracy")) == 2
        number, exported = child.data.tags["nas.trial"], child.data.tags["nas.export"]
        assert f"nas/export.py first --pick trial={number} --runs-dir {directory / 'runs'}" in exported
    names = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert names >= {"front.html", "front.png", "hypervolume.png", "front.csv", "trials.csv", "summary.json"}
    assert parent.data.metrics["hypervolume"] == pytest.approx(summary(directory, "first")["hypervolume"])


@pytest.mark.slow  # tests/faults/test_kills.py compares the losses of two searches, too
def test_the_same_seed_gives_the_same_architectures_the_same_accuracy(searched: Searched) -> None:
    directory, _ = searched
    again = run(directory, "nas/search.py", "--space", "resnet_stages", "--name", "again", "--trials", "2", *SMALL)
    assert again.returncode == 0, again.stderr
    one, other = (summary(directory, name)["front"] for name in ("first", "again"))
    assert [(r["architecture_id"], r["val_accuracy"]) for r in one] == [
        (r["architecture_id"], r["val_accuracy"]) for r in other
    ]


def test_a_front_member_is_exported_and_trained_fully(searched: Searched) -> None:
    directory, _ = searched
    exported = run(directory, "nas/export.py", "first", "--pick", "knee", "--out", "bundle")
    assert exported.returncode == 0, exported.stderr
    assert f"trainers/train.py {directory / 'bundle'} data=digits" in exported.stdout
    bundle = json.loads((directory / "bundle" / "bundle.json").read_text(encoding="utf-8"))
    assert bundle["provenance"]["search"] == "first" and bundle["provenance"]["pick"] == "knee"
    trained = run(
        directory, "trainers/train.py", "bundle",
        "data=cluttered_digits", "recipe.epochs=1", "recipe.warmup_epochs=0", "--out", "full",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    result = json.loads((directory / "full" / "result.json").read_text(encoding="utf-8"))
    assert 0 < result["test_accuracy"] <= 1 and result["epochs"] == 1 and result["data"] == "cluttered_digits"
    twice = run(directory, "nas/export.py", "first", "--pick", "knee", "--out", "bundle")
    assert twice.returncode == 2 and "bundle" in twice.stderr


@pytest.mark.slow  # tests/faults/test_kills.py resumes one, and test_signals.py sends the signal
def test_an_interrupted_search_is_resumed_where_it_was(tmp_path: Path) -> None:
    arguments = ["--space", "resnet_stages", "--name", "broken", "--trials", "3", *SMALL[:-1], "training.epochs=4"]
    process = start(tmp_path, "nas/search.py", *arguments)
    ledger = tmp_path / "runs" / "broken" / "ledger.db"
    deadline = time.monotonic() + 120
    while not list(ledger.parent.glob("checkpoints/*/epoch-*")) and time.monotonic() < deadline:
        time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 130
    assert "nas/search.py --resume broken" in output
    before = summary(tmp_path, "broken")
    assert before["interrupted"] and before["counts"]["running"] > 0
    resumed = run(tmp_path, "nas/search.py", "--resume", "broken")
    assert resumed.returncode == 0, resumed.stderr
    after = summary(tmp_path, "broken")
    assert after["counts"]["running"] == 0 and after["architectures_trained"] == 3
    assert after["search_id"] == before["search_id"]


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("nas/search.py", ["--space", "resnet_stage"], "Did you mean 'resnet_stages'"),
        ("nas/search.py", ["--space", "resnet_stages", "--trails", "3"], "Did you mean '--trials'"),
        ("nas/search.py", ["--space", "resnet_stages", "training.epoch=3"], "Did you mean 'training.epochs'"),
        ("nas/search.py", ["--space", "resnet_stages", "training.epochs=0"], "epochs is 0"),
        ("nas/search.py", ["--space", "resnet_stages", "--epochs", "4"], "search.epochs is 4: expected at least 15"),
        ("nas/search.py", ["--space", "resnet_stages", "--name", "../x"], "search name '../x'"),
        ("nas/search.py", ["--space", "resnet_stages", "--runs-dir", "/proc/x"], "is not writable|runs directory"),
        ("nas/search.py", ["--space", "resnet_stages", "data=imagenet"], "data.root"),
        ("nas/search.py", ["--resume", "nothing"], "unknown search 'nothing'"),
        ("nas/export.py", ["nothing", "--pick", "knee"], "unknown search 'nothing'"),
        ("nas/export.py", ["nothing", "--pik", "knee"], "--pick"),
    ],
)
def test_mistakes_exit_with_2_in_one_line_and_create_nothing(
    script: str, arguments: list[str], message: str, tmp_path: Path
) -> None:
    done = run(tmp_path, script, *arguments, seconds=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("error: ") and done.stdout == ""
    assert any(part in done.stderr for part in message.split("|"))
    assert list(tmp_path.iterdir()) == []


def test_a_plan_starts_nothing(tmp_path: Path) -> None:
    done = run(tmp_path, "nas/search.py", "--space", "resnet_stages", "--plan", seconds=60)
    assert done.returncode == 0 and done.stderr == ""
    assert "architectures" in done.stdout and list(tmp_path.iterdir()) == []
