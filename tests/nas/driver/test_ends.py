"""What ends a search: its time, its user, and what is in the way of it."""

import errno
import time
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

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
from trainers.storage.remote_folder import StorageLost


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
        (StorageLost("s3://b/a is away"), "the storage s3://b/a is away. Once it is back, "),
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


def test_where_everything_fails_there_is_something_to_go_on_with(tmp_path: Path) -> None:
    """Though the directory may have been deleted that says where its ledger is."""
    cluster = ClusterSettings(address=None, gpus_per_trial=0, cpus_per_trial=1, bad_nodes="refuse")
    failing = EverythingFails("3 architectures have failed")
    line = outage(failing, run_directory(str(tmp_path), "one"), cluster, None) or ""
    assert line.startswith("nothing can be trained: 3 architectures have failed. Once that is mended, go on with it: ")
    assert "nas/search.py --resume one" in line
    url = "postgresql://me:secret@host/db"
    directory = run_directory(str(tmp_path), "one")
    vanished = FileNotFoundError(
        errno.ENOENT, "No such file or directory", str(directory.path / ".summary.json.partial")
    )
    for error in (failing, vanished):
        line = outage(error, directory, cluster, url) or ""
        assert f"a file {str(directory.ledger_note)!r} that says postgresql://***@host/db has the search go on" in line
        assert " go on with it: " in line and "in the place of" not in line and "\n" not in line
    (directory.path / "ray").mkdir(parents=True)
    assert "is not there. " in (line := outage(vanished, directory, cluster, None) or "")
    assert "Once it is back, in the place of what is there now, go on with it: " in line
    # Another file that is missing is a mistake of ours.
    assert outage(FileNotFoundError(errno.ENOENT, "No such file", "/elsewhere"), directory, cluster, None) is None


def test_a_full_disk_of_a_database_is_no_full_runs_directory(tmp_path: Path) -> None:
    directory = run_directory(str(tmp_path), "one")
    directory.path.mkdir(parents=True)
    cluster = ClusterSettings(address=None, gpus_per_trial=0, cpus_per_trial=1, bad_nodes="refuse")
    full = OperationalError("insert", {}, Exception('could not extend file "base/5": No space left on device'))
    directory.ledger_note.write_text("postgresql://***@host/db")
    line = outage(full, directory, cluster, None) or ""
    assert "ledger of search 'one' cannot be written: could not extend file" in line and "make space" not in line
    directory.ledger_note.unlink()
    directory.ledger.touch()
    line = outage(OperationalError("insert", {}, Exception("database or disk is full")), directory, cluster, None) or ""
    assert f"the storage {str(directory.path)!r} is full: make space there" in line


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
