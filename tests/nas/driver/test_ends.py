"""What ends a search: its time, its user, and what is in the way of it."""

import errno
import time
from pathlib import Path

import pytest

from nas.driver.outages import outage
from nas.driver.stop_rule import StopRule
from nas.engine.faults import EverythingFails
from nas.settings.run_directory import run_directory
from nas.settings.search_settings import ClusterSettings


def test_no_trial_is_started_after_an_interruption_or_the_time_budget() -> None:
    interrupted = False
    endless = StopRule(lambda: interrupted, None)
    assert not endless()
    interrupted = True
    assert endless()
    brief = StopRule(lambda: False, 0.02)
    time.sleep(0.03)
    assert brief() and brief.seconds >= 0.03 and not StopRule(lambda: False, 60.0)()


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
    line = outage(error, directory, cluster)
    assert line is not None and words in line and line.endswith("start the search again.") and "\n" not in line
    directory.path.mkdir(parents=True)
    directory.ledger.touch()
    assert "nas/search.py --resume one" in (outage(error, directory, cluster) or "")
    assert outage(ValueError("ours"), directory, cluster) is None
