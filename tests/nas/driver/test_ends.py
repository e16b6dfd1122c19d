"""What ends a search: its time, its user, and what is in the way of it."""

import errno
import time
from pathlib import Path

import pytest

from nas.driver.endings import Ending, by_limit, by_signal, by_time
from nas.driver.outages import outage
from nas.driver.stop_rule import StopRule
from nas.engine.faults import EverythingFails
from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.settings.cluster_settings import ClusterSettings
from nas.settings.run_directory import run_directory
from tests.support.searches import DIGITS, epoch_result, search_header, search_settings, tiny_space


def test_no_trial_is_started_after_an_interruption_or_the_time_budget() -> None:
    interrupted = False
    endless = StopRule(lambda: interrupted, None)
    assert not endless()
    interrupted = True
    assert endless()
    brief = StopRule(lambda: False, 0.02)
    time.sleep(0.03)
    assert brief() and brief.is_time_over and brief.seconds >= 0.03 and not StopRule(lambda: False, 60.0)()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "is full: make space there"),
        (EverythingFails("3 architectures have failed"), "nothing can be trained: 3 architectures have failed"),
    ],
)
def test_an_outage_is_one_line_and_says_how_to_go_on(tmp_path: Path, error: Exception, words: str) -> None:
    directory = run_directory(str(tmp_path), "one")
    cluster = ClusterSettings(address=None, gpus_per_trial=0, cpus_per_trial=1, bad_nodes="refuse")
    line = outage(error, directory, cluster, None)
    assert line is not None and words in line and line.endswith("start the search again.") and "\n" not in line
    directory.path.mkdir(parents=True)
    directory.ledger.touch()
    assert "nas/search.py --resume one" in (outage(error, directory, cluster, None) or "")
    assert outage(ValueError("ours"), directory, cluster, None) is None


def test_what_ended_a_search_names_it_and_goes_on_with_more() -> None:
    assert by_signal("SIGTERM") == Ending("SIGTERM", ())
    enough, brief = by_time("12h", has_trained=True), by_time("1s", has_trained=False)
    assert "its time budget of 12h, which counts anew" in enough.cause and enough.further == ("--time-budget", "12h")
    # The same again would come to nothing for ever.
    assert "of 1s" in brief.cause and "too short" in brief.cause and brief.further == ("--time-budget", "none")


@pytest.mark.parametrize(
    ("settings", "results", "cause", "further"),
    [
        ({"trials": 3}, (0.5, 0.6, 0.7), "--trials 3", ("--trials", "6")),
        ({"trials": 99}, (0.5,) * 16, "its space", None),
        ({"epochs": 5}, (0.5, 0.6), "--epochs 5", ("--epochs", "10")),
        ({"stagnation": 2}, (0.5, 0.1, 0.1), "search.stagnation=2", ("search.stagnation=null",)),
    ],
)
def test_the_limit_that_a_search_has_come_to_is_named(
    tmp_path: Path, settings: dict[str, int], results: tuple[float, ...], cause: str, further: tuple[str, ...] | None
) -> None:
    limits = search_settings(scheduler="none", **settings)
    header = search_header(search=limits)
    engine = start_engine(Ledger.create(ledger_url(tmp_path / "l.db"), "one", header), tiny_space(), DIGITS, limits, 2)
    for accuracy in results:
        assert engine.limit_reached is None
        assignment = engine.next_assignment()
        assert assignment is not None
        for epoch in (1, 2):
            engine.report_epoch(assignment.number, epoch_result(epoch, accuracy))
    assert engine.next_assignment() is None
    ending = by_limit(engine.limit_reached, limits)
    assert ending.cause.startswith(cause) and ending.further == further
