"""The machine's clock is set back an hour: durations and order stay as they were."""

import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from nas.ledger.clock import SteadyClock
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.compute_used import hypervolume_steps
from nas.records.front import hypervolume_history
from nas.records.trial import TrialRecord
from tests.entries.test_report import HEADER, add_trial
from tests.faults.searches import LIMIT_SECONDS, records, start_search, wait_for
from tests.support.present import present

HOUR = 3600.0
REFERENCE = (0.1, 1e9)

# Python loads a module of this name at every start: in the driver, in Ray's processes and in the workers.
SET_BACK = """
import pathlib, time

_wall, _order = time.time, pathlib.Path({order!r})
time.time = lambda: _wall() - {hour} * _order.exists()
"""


@pytest.fixture
def set_back(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What is put into this list is taken from the wall clock."""
    wall, seconds = time.time, list[float]()
    monkeypatch.setattr(time, "time", lambda: wall() - sum(seconds))
    return seconds


def test_a_steady_clock_follows_the_wall_clock_until_that_is_set(set_back: list[float]) -> None:
    clock = SteadyClock()
    before = clock()
    assert abs(before - time.time()) < 5
    set_back.append(HOUR)
    assert before <= clock() < before + 60
    # What is written already is not undercut by a clock that was set back before this one was made.
    assert SteadyClock(before)() >= before
    assert SteadyClock()() < before - HOUR / 2


def assert_in_order(found: tuple[TrialRecord, ...]) -> None:
    """Trials of one worker: each began after the one before had ended, and none took an hour."""
    moments = [present(moment) for record in found for moment in (record.started_at, record.finished_at)]
    assert moments == sorted(moments) and moments[-1] - moments[0] < 60


def test_a_ledger_keeps_order_and_durations(set_back: list[float], tmp_path: Path) -> None:
    url = ledger_url(tmp_path / "ledger.db")
    ledger = Ledger.create(url, "search", HEADER)
    add_trial(ledger, [0.5, 0.6], "finished")
    set_back.append(HOUR)
    add_trial(ledger, [0.5, 0.8], "finished")
    # A driver that is started after the clock was set back goes on behind what is there.
    set_back.append(HOUR)
    resumed = Ledger.open(url, "search")
    add_trial(resumed, [0.5, 0.9], "finished")
    found = Ledger.open(url, "search").records
    assert_in_order(found)
    history = [volume for _, volume in hypervolume_history(found, REFERENCE)]
    assert history == sorted(history)
    assert [step.trials for step in hypervolume_steps(found, REFERENCE)] == [1, 2, 3]


@pytest.mark.slow
def test_a_search_whose_clock_is_set_back_keeps_order_and_durations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = tmp_path / "set-back"
    (tmp_path / "site").mkdir()
    program = SET_BACK.format(order=str(order), hour=HOUR)
    (tmp_path / "site" / "sitecustomize.py").write_text(program, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    started = time.time()
    process = start_search(tmp_path, "one", "--trials", "3", "search.scheduler=none", "--cpus-per-trial", "2")
    ledger = tmp_path / "runs" / "one" / "ledger.db"
    wait_for(lambda: ledger.exists() and any(record.epochs for record in records(tmp_path, "one")), process)
    order.touch()
    _, error = process.communicate(timeout=LIMIT_SECONDS)
    ended = time.time()
    assert process.returncode == 0, error
    found = records(tmp_path, "one")
    assert [record.outcome for record in found] == ["finished"] * 3
    for record in found:
        begun, finished = present(record.started_at), present(record.finished_at)
        assert started < begun < finished < ended
        assert finished - begun >= sum(epoch.epoch_seconds for epoch in record.epochs)
        assert all(0 < epoch.epoch_seconds < ended - started for epoch in record.epochs)
    starts = [present(record.started_at) for record in found]
    assert starts == sorted(starts)
    client = MlflowClient(f"sqlite:///{tmp_path / 'runs' / 'mlflow.db'}")
    runs = client.search_runs([present(client.get_experiment_by_name("architecture search")).experiment_id])
    assert len(runs) == 4 and {run.info.status for run in runs} == {"FINISHED"}
    for run in runs:
        assert 1000 * started - 1000 < run.info.start_time <= run.info.end_time < 1000 * ended + 1000
        for name in run.data.metrics:
            points = client.get_metric_history(run.info.run_id, name)
            times = [point.timestamp for point in sorted(points, key=lambda point: point.step)]
            assert times == sorted(times) and run.info.start_time <= times[0] <= times[-1] < 1000 * ended + 1000
