"""A ledger's file, copied while another process may be writing it."""

import contextlib
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nas.ledger import sqlite_files
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.ledger.sqlite_files import copy_sqlite, read_sqlite
from nas.settings.run_directory import RunDirectory, run_directory
from nas.status import main as status
from tests.support.present import present
from tests.support.searches import search_header

PROJECT = Path(__file__).resolve().parents[3]


@pytest.fixture
def begun(tmp_path: Path) -> RunDirectory:
    directory = run_directory(str(tmp_path / "runs"), "one")
    directory.path.mkdir(parents=True)
    Ledger.create(ledger_url(directory.ledger), "one", search_header())
    return directory


@contextlib.contextmanager
def written(ledger: Path) -> Iterator[sqlite3.Connection]:
    """A driver that is suspended in the middle of writing."""
    with contextlib.closing(sqlite3.connect(ledger, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield connection


def test_a_ledger_that_stays_locked_is_said_to_be(
    begun: RunDirectory, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_files, "MOST_LOCKED_SECONDS", 0.3)
    with written(begun.ledger):
        assert status(["one", "--runs-dir", str(begun.runs)]) == 2
    output, error = capsys.readouterr()
    assert not output and error == (
        "error: the ledger of search 'one' cannot be read: database is locked, by a process that is writing it: a "
        "suspended driver (Ctrl-Z, a frozen machine) keeps it so.\n"
    )
    assert status(["one", "--runs-dir", str(begun.runs)]) == 0


def test_a_copy_that_cannot_be_written_is_told_from_a_ledger_that_cannot_be_read(begun: RunDirectory) -> None:
    words = ["bash", "-c", 'ulimit -f 10; exec "$@"', "bash", sys.executable, str(PROJECT / "nas" / "status.py")]
    done = subprocess.run([*words, "one", "--runs-dir", str(begun.runs)], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: the ledger of search 'one' cannot be read: it is copied first, and the copy ")
    assert re.search(r"cannot be written to '/.*db' \(.*\): expected room there, and files of 0\.\d\d MB", done.stderr)


def test_a_ledger_that_is_locked_for_a_moment_is_waited_for(begun: RunDirectory, tmp_path: Path) -> None:
    with written(begun.ledger) as driver:
        threading.Timer(0.5, driver.rollback).start()
        copy_sqlite(begun.ledger, tmp_path / "copy.db")
    assert read_sqlite(tmp_path / "copy.db", "one").trials == read_sqlite(begun.ledger, "one").trials


def test_who_waits_for_a_locked_ledger_hears_ctrl_c(begun: RunDirectory) -> None:
    waits = f"""
from pathlib import Path
from nas.ledger import sqlite_files
sqlite_files.MOST_LOCKED_SECONDS = 60.0
print(flush=True)
sqlite_files.copy_sqlite(Path({str(begun.ledger)!r}), Path({str(begun.path / "copy.db")!r}))
"""
    with (
        written(begun.ledger),
        subprocess.Popen(
            [sys.executable, "-c", waits], cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as reader,
    ):
        assert present(reader.stdout).readline()
        time.sleep(0.5)
        reader.send_signal(signal.SIGINT)
        assert reader.wait(timeout=20) == -signal.SIGINT
