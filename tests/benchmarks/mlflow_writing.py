"""Times the writing of trials to MLflow, in the writer's thread, on SQLite and over HTTP.

python -m tests.benchmarks.mlflow_writing [--trials 30] [--uri URI]

A trial has some 20 parameters and 22 values; first they are written as each ends, then epoch by epoch. What a trial's
side waits is how much longer handing over a result takes while the writer's thread is at work.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from nas.records.summary import summarise
from nas.records.trial import TrialRecord
from nas.tracking.environment import quiet_mlflow
from nas.tracking.tracker import Tracker
from nas.tracking.writer_thread import TrackerThread
from tests.support.mlflow_server import mlflow_server
from tests.support.simulated_search import simulated_search

REFERENCE = (0.1, 2e7)
# Five metrics an epoch, and the two costs: 22 values.
EPOCHS = 4


def trials(number: int) -> list[TrialRecord]:
    """Finished trials of 22 values each."""
    trained = [record for record in simulated_search(3 * number) if len(record.epochs) >= EPOCHS]
    return [
        replace(record, number=index, epochs=record.epochs[:EPOCHS], outcome="finished", reason=None)
        for index, record in enumerate(trained[:number])
    ]


def as_each_ends(tracker: Tracker, records: list[TrialRecord]) -> list[float]:
    """Milliseconds for each trial: its run, parameters, values and status, with what it changes on the front."""
    taken = []
    for index in range(len(records)):
        summary = summarise(records[: index + 1], REFERENCE)
        started = time.perf_counter()
        tracker.sync(records[: index + 1], summary)
        taken.append(1000 * (time.perf_counter() - started))
    return taken


def epoch_by_epoch(tracker: Tracker, records: list[TrialRecord]) -> list[float]:
    """Milliseconds for each trial when every epoch is written on its own."""
    taken = [0.0] * len(records)
    ended: list[TrialRecord] = []
    for index, record in enumerate(records):
        for epoch in range(1, EPOCHS + 1):
            state = record if epoch == EPOCHS else replace(record, epochs=record.epochs[:epoch], outcome="running")
            summary = summarise([*ended, state], REFERENCE)
            started = time.perf_counter()
            tracker.sync([*ended, state], summary)
            taken[index] += 1000 * (time.perf_counter() - started)
        ended.append(record)
    return taken


def unchanged(tracker: Tracker, records: list[TrialRecord]) -> float:
    """Milliseconds for a turn of the writer that has nothing to write."""
    summary = summarise(records, REFERENCE)
    started = time.perf_counter()
    tracker.sync(records, summary)
    return 1000 * (time.perf_counter() - started)


def handing_over(records: list[TrialRecord]) -> float:
    """Milliseconds that handing over one result takes, the median of many."""
    held: list[TrialRecord] = []
    taken = []
    for _ in range(200):
        started = time.perf_counter()
        held.extend(records)
        held.clear()
        taken.append(1000 * (time.perf_counter() - started))
        time.sleep(0.002)
    return statistics.median(taken)


def trial_side(uri: str, artifacts: Path, records: list[TrialRecord]) -> None:
    alone = handing_over(records)
    held: list[TrialRecord] = []
    thread = TrackerThread(
        lambda: Tracker(uri, artifacts, "trial side", "waits", "trial-side"),
        lambda: (tuple(held), summarise(held, REFERENCE)),
        list,
        uri,
    )
    with thread:
        while thread.tracker is None and thread.failure is None:
            time.sleep(0.05)
        held.extend(records)
        busy = handing_over(records)
    print(f"the trial's side waits {max(0.0, busy - alone):.2f} ms (median) while the writer writes", flush=True)


def report(where: str, uri: str, artifacts: Path | None, records: list[TrialRecord]) -> None:
    for how, write in (("as each ends", as_each_ends), ("epoch by epoch", epoch_by_epoch)):
        tracker = Tracker(uri, artifacts, f"writing {how}", how, how.replace(" ", "-"))
        tracker.describe({}, {})
        taken = write(tracker, records)
        print(
            f"{where}, {how}: {statistics.median(taken):.0f} ms a trial (median), {max(taken):.0f} ms at most; "
            f"nothing to write: {unchanged(tracker, records):.1f} ms a turn",
            flush=True,
        )


@contextmanager
def sqlite_store() -> Iterator[tuple[str, Path]]:
    with tempfile.TemporaryDirectory() as directory:
        yield f"sqlite:///{directory}/mlflow.db", Path(directory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=30)
    parser.add_argument("--uri", help="of another store, such as a PostgreSQL one")
    options = parser.parse_args()
    quiet_mlflow()
    records = trials(options.trials)
    if options.uri:
        report("the store given", options.uri, None, records)
        return
    with sqlite_store() as (uri, directory):
        report("SQLite", uri, directory / "artifacts", records)
        trial_side(uri, directory / "artifacts", records)
    with sqlite_store() as (uri, directory), mlflow_server(uri, directory / "artifacts") as address:
        report("HTTP, SQLite behind it", address, None, records)


if __name__ == "__main__":
    main()
