"""Two drivers with one name."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import optuna
import pytest

from nas.driver.lock import check_free, driver_lock
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.settings.run_directory import run_directory
from search_spaces.errors import UserError
from tests.entries.test_search import run
from tests.faults.searches import records, start_search, wait_for
from tests.support.searches import search_header, tiny_space, trial_record

HOLD = """
import sys, time
from nas.driver.lock import driver_lock
from nas.settings.run_directory import run_directory
with driver_lock(run_directory(sys.argv[1], "one")):
    print("held", flush=True)
    time.sleep(600)
"""

# How often the lock was had, and how often another process was inside at that.
TAKE_OFTEN = """
import os, sys
from pathlib import Path
from nas.driver.lock import driver_lock
from nas.settings.run_directory import run_directory
from search_spaces.errors import UserError
directory = run_directory(sys.argv[1], "one")
inside = Path(sys.argv[1], "inside")
taken = clashes = 0
for _ in range(2000):
    try:
        with driver_lock(directory):
            taken += 1
            try:
                os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                clashes += 1
            else:
                inside.unlink()
    except UserError:
        continue
print(taken, clashes)
"""


def holder(directory: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(directory)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_driver_is_told_who_holds_the_search_and_a_dead_one_holds_nothing(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "one")
    first = holder(tmp_path)
    try:
        attempts: list[Callable[[], object]] = [driver_lock(directory).__enter__, partial(check_free, directory)]
        for attempt in attempts:
            with pytest.raises(UserError) as caught:
                attempt()
            message = str(caught.value)
            assert f"process {first.pid} on {socket.gethostname()} since 20" in message and "\n" not in message
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    check_free(directory)
    with driver_lock(directory):
        assert json.loads(directory.lock.read_text())["pid"] == os.getpid()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"pid": 1}', "\0"])
def test_a_lock_whose_file_says_nothing_still_holds(tmp_path: Path, content: str) -> None:
    directory = run_directory(str(tmp_path), "one")
    with driver_lock(directory):
        directory.lock.write_text(content)
        with pytest.raises(UserError, match="run by another process"):
            check_free(directory)


def test_nothing_stays_where_no_ledger_was_made(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "one")
    check_free(directory)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyError), driver_lock(directory):
        raise KeyError
    assert list(tmp_path.iterdir()) == []
    with driver_lock(directory):
        # What is left of checks that were cut off.
        for name in (".probe-0a1b", ".probe-0a1b-seen", "..probe-0a1b-seen.partial"):
            (directory.path / name).touch()
    assert list(tmp_path.iterdir()) == []
    with driver_lock(directory):
        directory.ledger.touch()
    assert directory.ledger.exists()


def test_two_never_hold_it_though_its_file_comes_and_goes(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TAKE_OFTEN, str(tmp_path)]
    takers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for taker in takers:
        taken, clashes = map(int, taker.communicate(timeout=60)[0].split())
        assert taker.returncode == 0 and taken > 0 and clashes == 0
    assert list(tmp_path.iterdir()) == []


def test_a_proposal_is_in_the_ledger_once_it_is_registered_and_whole(tmp_path: Path) -> None:
    url, space = ledger_url(tmp_path / "ledger.db"), tiny_space()
    running = Ledger.create(url, "one", search_header())
    architecture = running.propose(space, "random", 0)
    before = optuna.load_study(study_name="one", storage=url).trials
    assert before == [] and Ledger.open(url, "one").records == ()
    running.register(trial_record(0, (), outcome="running", architecture=architecture, finished_at=None), space)
    running.register(trial_record(1, (), outcome="duplicate", architecture=architecture, duplicate_of=0), space)
    assert Ledger.open(url, "one").records == running.records
    states = [trial.state.name for trial in optuna.load_study(study_name="one", storage=url).trials]
    assert states == ["RUNNING", "FAIL"] and running.records[1].duplicate_of == 0


@pytest.mark.slow
def test_a_second_search_of_a_name_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    process = start_search(tmp_path, "one", "--trials", "2")
    wait_for((tmp_path / "runs" / "one" / "ledger.db").exists, process)
    for arguments in (["--space", "resnet_stages", "--name", "one"], ["--resume", "one"]):
        second = run(tmp_path, "nas/search.py", *arguments, seconds=60)
        assert second.returncode == 2 and second.stdout == ""
        assert second.stderr.startswith("error: ") and second.stderr.count("\n") == 1
        assert f"process {process.pid} on {socket.gethostname()}" in second.stderr
    process.kill()
    process.communicate()
    done = run(tmp_path, "nas/search.py", "--resume", "one")
    assert done.returncode == 0, done.stderr
    assert [record.outcome for record in records(tmp_path, "one")].count("finished") == 2
