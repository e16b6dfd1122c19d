"""The one writer of MLflow: a thread of the driver that nothing waits for while trials run."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nas.records import TrialRecord
from nas.redaction import without_secrets
from nas.summary import Summary
from nas.tracking import Tracker

LOGGER = logging.getLogger(__name__)

SYNC_SECONDS = 3.0
REPORT_SECONDS = 60.0
# At the end of a search the user waits: so long for the next answer of MLflow, and so long for the first of all,
# counted from the start of the search, since a new store is filled with tables.
PATIENCE_SECONDS = 10.0
FIRST_ANSWER_SECONDS = 60.0
LONGEST_REASON = 160

State = Callable[[], tuple[Sequence[TrialRecord], Summary]]


class TrackerThread:
    """Keeps MLflow up to date from a thread, for as long as its context lasts; `finish` writes the end.

    `make` connects, `state` gives what there is to write, `write_report` makes the files of the report. MLflow being
    down is no error of the search: it is tried again at every turn, and `failure` holds the last reason. `uri` is
    only for keeping its secrets out of that reason.
    """

    def __init__(
        self, make: Callable[[], Tracker], state: State, write_report: Callable[[], Sequence[Path]], uri: str
    ) -> None:
        self._make = make
        self._state = state
        self._write_report = write_report
        self._uri = uri
        self._closing = threading.Event()
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self._disturbed = False
        self._reported_front: tuple[int, ...] = ()
        self._next_report = self._started + REPORT_SECONDS
        self.tracker: Tracker | None = None
        self.failure: str | None = None
        self._warned: str | None = None

    def __enter__(self) -> "TrackerThread":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._wait(self._thread)

    def finish(self, files: Sequence[Path], note: Callable[[Tracker], str], interrupted: bool) -> None:
        """Writes what is left, the files and the note, and ends the search's run; gives up where MLflow is down."""

        def write() -> None:
            tracker = self._synced()
            tracker.log_files(files)
            tracker.finish(note(tracker), interrupted)
            self.failure = None

        if self._thread.is_alive():
            return  # Still waiting for an answer, so a second writer could only repeat what it wrote.
        if self.tracker is None and self.failure is not None:
            return
        self._thread = threading.Thread(target=self._attempt, args=(write,), name="mlflow", daemon=True)
        self._thread.start()
        self._wait(self._thread)

    def _wait(self, writer: threading.Thread) -> None:
        """Waits for the writer as long as MLflow answers it."""
        asked = time.monotonic()
        while writer.is_alive():
            writer.join(0.1)
            answered = self._started + FIRST_ANSWER_SECONDS - PATIENCE_SECONDS
            if self.tracker is not None:
                answered = self.tracker.last_answer
            if time.monotonic() - max(asked, answered) > PATIENCE_SECONDS:
                self.failure = self.failure or f"no answer for {PATIENCE_SECONDS:.0f} s"
                return

    def _run(self) -> None:
        while not self._closing.wait(SYNC_SECONDS):
            self._attempt(self._turn)
        self._attempt(self._synced)

    def _turn(self) -> None:
        tracker = self._synced()
        front = tuple(record.number for record in self._state()[1].front)
        if front != self._reported_front and time.monotonic() >= self._next_report:
            started = time.monotonic()
            self._next_report = started + REPORT_SECONDS
            tracker.log_files(self._write_report())
            # A large report takes seconds of the driver: never more than one in twenty.
            self._next_report = max(self._next_report, started + 20 * (time.monotonic() - started))
            self._reported_front = front

    def _synced(self) -> Tracker:
        """The tracker, brought up to the ledger."""
        if self.tracker is None:
            self.tracker = self._make()
        elif self._disturbed:
            self.tracker.reload()
        self._disturbed = False
        self.tracker.sync(*self._state())
        self.failure = None
        return self.tracker

    def _attempt(self, write: Callable[[], object]) -> None:
        try:
            write()
        except Exception as error:
            self._disturbed = True
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            reason = _shortened(without_secrets(reason, self._uri))
            if reason != self._warned:
                LOGGER.warning("MLflow cannot be written: %s", reason)
            self.failure = self._warned = reason


def _shortened(reason: str) -> str:
    """A reason as one line of a terminal: what was tried stands at its beginning, and the cause at its end."""
    half = LONGEST_REASON // 2
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:half]} … {reason[-half:]}"
