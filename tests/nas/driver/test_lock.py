"""Whether a driver listens in a directory of its search, by who has the lock there, or had it last."""

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import pytest

from nas.driver.lock import listens_here
from nas.records.whereabouts import DriverRun
from nas.settings.run_directory import RunDirectory, run_directory

HERE = socket.gethostname()


@pytest.fixture
def noted(tmp_path: Path) -> RunDirectory:
    """A directory of a search whose ledger is in a database."""
    directory = run_directory(str(tmp_path), "one")
    directory.path.mkdir()
    directory.ledger_note.touch()
    return directory


def held(directory: RunDirectory, host: str, process: int) -> None:
    since = time.strftime("%Y-%m-%d %H:%M:%S %z")
    directory.lock.write_text(json.dumps({"host": host, "pid": process, "since": since}), encoding="utf-8")


def test_a_driver_does_not_listen_where_it_has_never_had_the_lock(noted: RunDirectory) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    driver = DriverRun(HERE, os.getpid(), 1.0, None)
    assert not listens_here(noted, driver)
    noted.lock.touch()  # As whoever was refused the search leaves it.
    assert not listens_here(noted, driver)
    held(noted, HERE, ended.pid)
    assert not listens_here(noted, driver) and not listens_here(noted, DriverRun("other", 7, 1.0, None))


def test_a_driver_listens_where_it_has_the_lock_and_whoever_has_it_now_may(noted: RunDirectory) -> None:
    held(noted, "other", 7)
    assert listens_here(noted, DriverRun("other", 7, 1.0, None))
    # Another machine's process may live, and have the search since.
    assert listens_here(noted, DriverRun(HERE, 8, 1.0, None))
    held(noted, HERE, os.getpid())
    assert listens_here(noted, DriverRun("other", 7, 1.0, None))


def test_a_ledger_in_the_directory_is_that_of_its_driver(noted: RunDirectory) -> None:
    noted.ledger.touch()
    assert listens_here(noted, DriverRun("other", 7, 1.0, None))
