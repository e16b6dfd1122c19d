"""A runs directory that is copied, whatever it is called: each store holds its own artifacts."""

import shutil
from pathlib import Path

from mlflow import MlflowClient

from nas.export import main as export
from nas.report import main as report
from nas.settings.sqlite_addresses import sqlite_url
from nas.tracking.moved_store import bring_artifacts_home
from tests.entries.test_search import run
from tests.support.exported_search import finished_search
from tests.support.present import present

ODD = "runs of Jörg? #1 100% {x} it's [a]"


def artifacts(runs: Path) -> set[Path]:
    """Where the files of the search are, as the store says it: every one of them is there."""
    client = MlflowClient(sqlite_url(runs / "mlflow.db"))
    experiment = present(client.get_experiment_by_name("searches"))
    [run] = client.search_runs([experiment.experiment_id], "tags.`nas.kind` = 'search'")
    names = [file.path for file in client.list_artifacts(run.info.run_id)]
    assert "front.html" in names
    found = {path for path in runs.rglob("artifacts/*")}
    assert {path.name for path in found} == set(names)
    return {path.relative_to(runs) for path in found}


def test_a_copy_writes_into_itself(tmp_path: Path) -> None:
    old, copy = tmp_path / ODD, tmp_path / f"copy of {ODD}"
    finished_search(old)
    assert export(["found", "--list", "--runs-dir", str(old)]) == 0
    assert report(["found", "--runs-dir", str(old)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {ODD}
    before = artifacts(old)
    shutil.copytree(old, copy)
    for path in old.rglob("artifacts/*"):
        path.unlink()
    old_store = (old / "mlflow.db").read_bytes()
    # By a process of its own: in this one MLflow remembers where it wrote the artifacts of a run.
    done = run(tmp_path, "nas/report.py", "found", "--runs-dir", copy.name)
    assert done.returncode == 0 and "is not up to date" not in done.stdout, done
    assert {path.name for path in tmp_path.iterdir()} == {ODD, copy.name}
    assert artifacts(copy) == before
    assert not list(old.rglob("artifacts/*")) and (old / "mlflow.db").read_bytes() == old_store


def test_what_lies_elsewhere_on_purpose_stays_there(tmp_path: Path) -> None:
    store = tmp_path / "runs" / "mlflow.db"
    store.parent.mkdir()
    client = MlflowClient(sqlite_url(store))
    elsewhere = (tmp_path / "elsewhere").as_uri()
    places = {
        "a": elsewhere,
        "b": "s3://bucket/mlflow-artifacts",
        "c": (tmp_path / "link" / "mlflow-artifacts").as_uri(),
    }
    (store.parent / "mlflow-artifacts").mkdir()
    (tmp_path / "link").symlink_to(store.parent)
    for name, place in places.items():
        client.create_experiment(name, artifact_location=place)
    bring_artifacts_home(store)
    assert {name: present(client.get_experiment_by_name(name)).artifact_location for name in places} == places
