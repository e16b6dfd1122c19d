"""An MLflow store that is made: whole, and by whoever is first."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from nas.settings.sqlite_addresses import sqlite_url
from nas.tracking import new_store
from nas.tracking.new_store import make_store


def test_a_store_is_not_there_before_it_is_whole_and_the_first_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, firsts = tmp_path / "mlflow.db", b"that of another process"

    def made_by_another_meanwhile(*arguments: Any) -> SqlAlchemyStore:
        made = SqlAlchemyStore(*arguments)  # type: ignore[no-untyped-call]
        assert not path.exists()
        path.write_bytes(firsts)
        return made

    monkeypatch.setattr(new_store, "SqlAlchemyStore", made_by_another_meanwhile)
    make_store(sqlite_url(path))
    assert path.read_bytes() == firsts and list(tmp_path.iterdir()) == [path]


def test_what_is_there_or_cannot_be_made_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_bytes(b"")
    for uri in (sqlite_url(path), sqlite_url(tmp_path / "missing" / "mlflow.db"), "http://127.0.0.1:1", "sqlite://"):
        make_store(uri)
    assert path.read_bytes() == b"" and list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_processes_that_make_one_at_once_say_nothing_and_have_the_same(tmp_path: Path) -> None:
    uri = sqlite_url(tmp_path / "mlflow.db")
    script = (
        "import sys\n"
        "from nas.tracking.environment import quiet_mlflow\n"
        "quiet_mlflow()\n"
        "from nas.tracking.tracker import Tracker\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "Tracker(sys.argv[1], None, 'searches', sys.argv[2], sys.argv[2])\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, uri, name],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=120) for process in processes]
    assert said == [("", "")] * 2 and [process.returncode for process in processes] == [0, 0]
    experiment = MlflowClient(uri).get_experiment_by_name("searches")
    assert experiment is not None
    assert {run.info.run_name for run in MlflowClient(uri).search_runs([experiment.experiment_id])} == {"one", "two"}
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
