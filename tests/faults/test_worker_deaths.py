"""Workers that are killed, run out of memory or hang."""

import os
import signal
import subprocess
import time
from functools import partial
from pathlib import Path
from unittest import mock

import psutil
import pytest

from nas.engine.engine import Engine
from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.workers.hung_trials import HungTrials, hung_seconds
from nas.workers.worker_deaths import CRASHED, death_of_worker
from tests.faults.searches import (
    LIMIT_SECONDS,
    checkpoints,
    is_alive,
    left_over,
    output_of,
    records,
    start_search,
    tree,
    wait_for,
    workers,
)
from tests.support.searches import DIGITS, epoch_result, search_header, search_settings, tiny_space


def engine_on(directory: Path, *, new: bool = False) -> Engine:
    url = ledger_url(directory / "search.db")
    ledger = Ledger.create(url, "search", search_header()) if new else Ledger.open(url, "search")
    return start_engine(ledger, tiny_space(), DIGITS, search_settings(trials=3), 4)


def test_a_trial_is_retried_once_whatever_happens_in_between(tmp_path: Path) -> None:
    engine = engine_on(tmp_path, new=True)
    first = engine.next_assignment()
    assert first is not None
    engine.report_epoch(first.number, epoch_result(1))
    for _ in range(3):
        engine.worker_died(first.number, "its node was lost", None)
        again = engine.next_assignment()
        assert again is not None and again.number == first.number and again.recorded_epochs == 1
    engine.worker_died(first.number, "its worker process died", "crashed")
    resumed = engine_on(tmp_path)
    again = resumed.next_assignment()
    assert again is not None and (again.number, again.recorded_epochs) == (first.number, 1)
    resumed.worker_died(first.number, "the machine was short of memory", "oom")
    record = resumed.ledger.record(first.number)
    assert (record.outcome, record.deaths, record.reason) == ("oom", 2, "the machine was short of memory")
    other = resumed.next_assignment()
    assert other is not None and other.number != first.number
    for found in (resumed, engine_on(tmp_path)):
        assert found.ledger.record(first.number) == record
    resumed.worker_died(first.number, "its worker process died", "crashed")
    assert resumed.ledger.record(first.number) == record


def test_what_ray_says_tells_deaths_apart() -> None:
    lost = "The actor died because its node has died. Node Id: 1234\n\tthe actor's node was terminated unexpectedly"
    killed = (
        "Worker unexpectedly exits with a connection error code 2. End of file. (1) the process was killed by the OOM"
    )
    short = "Failure # 1\n1 worker(s) were killed due to the node running low on memory. Memory on the node was 1 GB"
    assert death_of_worker(lost).outcome is None
    assert death_of_worker(short).outcome == "oom"
    assert death_of_worker(killed) == death_of_worker("") == CRASHED
    told = "Worker exits with an exit code 1. The process receives a SIGTERM."
    assert death_of_worker(told).outcome is None
    missing = "ModuleNotFoundError: No module named 'x'"
    raised = "search_spaces.errors.UserError: unknown key 'a'"
    death = death_of_worker(f"\x1b[36mray::ImplicitFunc.train()\x1b[39m (pid=7, ip=1.2.3.4)\n  File …\n{raised}.\n\n")
    assert (death.outcome, death.cause) == ("failed", "import")
    assert death.reason == f"its worker could not begin: {raised}"
    death = death_of_worker(f"ray.exceptions.RaySystemError: System error\nTraceback:\n  File …\n{missing}\n")
    assert (death.cause, death.reason) == ("import", f"its worker could not start: {missing}")


def test_a_trial_is_hung_by_its_own_epochs_or_by_its_flops() -> None:
    assert hung_seconds(30.0, None) == 30.0 and hung_seconds(None, None) is None
    assert hung_seconds(None, 1.0) == 600.0 and hung_seconds(None, 100.0) == 2000.0
    clock = mock.Mock(return_value=0.0)
    hung = HungTrials(None, [(10, 1.0)], clock)

    def named(until: int, running: dict[int, int]) -> dict[int, tuple[int, str]]:
        """What a look every second names until then: by trial, when, and why."""
        found: dict[int, tuple[int, str]] = {}
        for now in range(int(clock.return_value) + 1, until + 1):
            clock.return_value = float(now)
            found |= {number: (now, reason) for number, reason in hung.look(running).items()}
        return found

    running = {1: 1000, 2: 10}
    assert hung.look(running) == {}
    assert named(600, running) == {}
    # Each is named once, and then has its time again.
    assert named(1201, running) == {2: (601, "no progress for 600 s")}
    assert named(2001, running) == {1: (2001, "no progress for 2000 s"), 2: (1803, "no progress for 600 s")}
    hung.progress(1, 1000, 500.0)
    assert named(12_002, {1: 1000}) == {1: (12_002, "no progress for 10000 s")}
    # A trial that was away, as at a rung, is not blamed for the time.
    assert named(22_001, {}) == {} and named(32_001, {1: 1000}) == {}
    # Nor is any for the time in which nobody looked, as a driver that is suspended does not.
    clock.return_value = 90_000.0
    assert hung.look({1: 1000}) == {}
    assert named(90_002, {1: 1000}) == {1: (90_001, "no progress for 10000 s")}


def some_died(directory: Path, deaths: int) -> bool:
    return any(record.deaths >= deaths for record in records(directory, "one"))


@pytest.mark.slow
def test_a_driver_that_was_suspended_blames_no_trial(tmp_path: Path) -> None:
    process = start_search(
        tmp_path, "one", "--trials", "3", "training.epochs=20", "search.scheduler=none", "search.hung_after=8s"
    )
    wait_for(lambda: checkpoints(tmp_path, "one") and workers(process), process)
    for _ in range(2):
        process.send_signal(signal.SIGSTOP)
        time.sleep(15)
        process.send_signal(signal.SIGCONT)
        time.sleep(2)
    _, error = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0 and "no progress" not in error, error
    assert [record.outcome for record in records(tmp_path, "one")] == ["finished"] * 3


@pytest.mark.slow
def test_workers_killed_twice_end_their_trials_and_the_search_goes_on(tmp_path: Path) -> None:
    process = start_search(tmp_path, "one", "--trials", "4", "training.epochs=6", "search.scheduler=none")
    wait_for(lambda: checkpoints(tmp_path, "one") and workers(process), process)
    for deaths in (1, 2):
        for worker in workers(process):
            worker.kill()
        wait_for(partial(some_died, tmp_path, deaths), process)
        if deaths == 1:
            wait_for(lambda: any(worker.cpu_times().user > 6 for worker in workers(process)), process)
    _, error = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, error
    assert "its worker process died, it goes on from its checkpoint" in error and "Traceback" not in error
    ended = records(tmp_path, "one")
    assert {(record.outcome, record.deaths) for record in ended} >= {("crashed", 2), ("finished", 0)}
    assert all((record.outcome == "crashed") == (record.deaths == 2) for record in ended if record.trained)
    assert all(record.outcome in ("crashed", "finished") for record in ended if record.trained)


@pytest.mark.slow
def test_a_trial_that_takes_too_much_memory_twice_is_marked_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # To Ray's memory monitor any memory is too much.
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    process = start_search(tmp_path, "one", "--trials", "1")
    _, error = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, error
    assert [(record.outcome, record.deaths) for record in records(tmp_path, "one")] == [("oom", 2)]


@pytest.mark.slow
def test_a_hung_worker_is_killed_and_its_trial_goes_on(tmp_path: Path) -> None:
    process = start_search(tmp_path, "one", "--trials", "2", "training.epochs=6", "search.hung_after=40s")
    wait_for(lambda: checkpoints(tmp_path, "one") and workers(process), process)
    frozen = max(workers(process), key=lambda worker: worker.cpu_times().user)
    os.kill(frozen.pid, signal.SIGSTOP)
    _, error = process.communicate(timeout=LIMIT_SECONDS)
    assert process.returncode == 0, error
    assert "no progress for 40 s, it goes on from its checkpoint" in error
    ended = records(tmp_path, "one")
    assert sorted((record.outcome, record.deaths) for record in ended if record.trained)[-1] == ("finished", 1)
    assert {record.outcome for record in ended if record.trained} == {"finished"}


@pytest.mark.slow
def test_workers_that_are_told_to_end_cost_their_trials_nothing(tmp_path: Path) -> None:
    """As before their machine is taken away, at once and while they train."""
    settings = ("--trials", "2", "training.epochs=8", "training.batch_size=8", "search.scheduler=none")
    process = start_search(tmp_path, "one", *settings)
    wait_for(lambda: len(checkpoints(tmp_path, "one")) >= 2 and len(workers(process)) == 2, process)
    before = workers(process)
    for worker, number in zip(before, (signal.SIGTERM, signal.SIGUSR1), strict=True):
        worker.send_signal(number)
    assert left_over(before, seconds=15) == []
    assert any("-step-" in path.name for path in checkpoints(tmp_path, "one"))
    _, error = output_of(process)
    assert process.returncode == 0 and "Traceback" not in error, error
    assert error.count("its worker was told to end, it goes on from its checkpoint") == 2, error
    ended = records(tmp_path, "one")
    assert [(record.outcome, record.deaths) for record in ended if record.trained] == [("finished", 0)] * 2


@pytest.mark.slow
def test_a_killed_process_of_a_trial_of_two_costs_an_attempt_and_leaves_nothing(tmp_path: Path) -> None:
    settings = ("--trials", "1", "training.epochs=8", "--processes-per-trial", "2")
    process = start_search(tmp_path, "one", *settings)
    wait_for(lambda: checkpoints(tmp_path, "one") and len(members(process)) == 2, process)
    before = members(process)
    before[1].kill()
    assert left_over(before, seconds=30) == []
    wait_for(lambda: len(members(process)) == 2, process)
    before = members(process)
    _, error = output_of(process)
    assert process.returncode == 0 and "Traceback" not in error, error
    assert "process 2 of its 2 was killed by SIGKILL, it goes on from its checkpoint" in error, error
    assert [(record.outcome, record.deaths) for record in records(tmp_path, "one")] == [("finished", 1)]
    assert left_over(before) == []


def members(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that train a trial together, by their rank."""
    found = [one for one in tree(process) if is_alive(one) and "nas.workers.trial_member" in one.cmdline()]
    return sorted(found, key=lambda one: one.cmdline()[-2])
