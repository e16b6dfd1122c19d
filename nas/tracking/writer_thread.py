"""The one writer of MLflow: a thread of the driver that nothing waits for while trials run."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from nas.records.summary import Summary
from nas.records.trial import TrialRecord
from nas.settings.addresses import without_secrets
from nas.tracking.tracker import Tracker
from search_spaces.errors import first_line, message_lines

LOGGER = logging.getLogger(__name__)

SYNC_SECONDS = 3.0
# What the writer computes, the driver's loop cannot: after a turn it rests so many times as long as it computed, within
# reason. Several epochs of a trial are then written in one request.
REST, LONGEST_REST_SECONDS = 2.0, 60.0
REPORT_SECONDS = 60.0
# At the end of a search the user waits: so long for the next answer of MLflow, so long for all of them, and so long for
# the first of all, counted from the start of the search, since a new store is filled with tables.
PATIENCE_SECONDS = 10.0
LONGEST_WAIT_SECONDS = 15.0
FIRST_ANSWER_SECONDS = 60.0
# One answer that is lost at the end shall not leave the rest to the user.
LAST_ATTEMPTS = 3
LAST_PAUSE_SECONDS = 1.0
LONGEST_REASON = 160
NO_ANSWER = "no answer"

State = Callable[[], tuple[Sequence[TrialRecord], Summary]]


class TrackerThread:
    """Keeps MLflow up to date from a thread, for as long as its context lasts; `finish` writes the end.

    `make` connects, `state` gives what there is to write, `write_report` makes the files of the report. MLflow being
    down is no error of the search: it is tried again at every turn, and `failure` holds the last reason, None where all
    is written. `uri` is only for keeping its secrets out of that reason.
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
        self._ever_disturbed = False
        self._reported_front: tuple[int, ...] = ()
        self._next_report = self._started + REPORT_SECONDS
        self.tracker: Tracker | None = None
        self.failure: str | None = None
        self._warned: set[str] = set()

    def __enter__(self) -> "TrackerThread":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._wait(self._thread)

    def finish(self, files: Sequence[Path], note: Callable[[Tracker], str], interrupted: bool) -> str | None:
        """Writes what is left, the files and the note, and ends the search's run; gives up where MLflow is down.

        Why not all of it is written, None where it is.
        """

        def write() -> None:
            # A request that was given up may have arrived since.
            self._disturbed |= self._ever_disturbed
            tracker = self._synced()
            tracker.log_files(files)
            tracker.finish(note(tracker), interrupted)

        # Where the writer still waits for MLflow, a second one could only repeat what it wrote.
        if self.failure is not None or self._thread.is_alive():
            return self.failure or NO_ANSWER
        self._thread = threading.Thread(target=self._persist, args=(write,), name="mlflow", daemon=True)
        self._thread.start()
        self._wait(self._thread)
        return self.failure

    def _wait(self, writer: threading.Thread) -> None:
        """Waits for the writer as long as MLflow answers it, within reason."""
        asked = time.monotonic()
        while writer.is_alive():
            writer.join(0.1)
            if self.tracker is not None:
                answered = self.tracker.last_answer
            else:
                # The first answer may take longer, unless it is known already that there is none.
                answered = asked if self._ever_disturbed else self._started + FIRST_ANSWER_SECONDS - PATIENCE_SECONDS
            now = time.monotonic()
            if now - max(asked, answered) > PATIENCE_SECONDS:
                self.failure = self.failure or f"{NO_ANSWER} for {PATIENCE_SECONDS:.0f} s"
                return
            if self.tracker is not None and now - asked > LONGEST_WAIT_SECONDS:
                self.failure = self.failure or f"not all of it was taken in {LONGEST_WAIT_SECONDS:.0f} s"
                return

    def _run(self) -> None:
        pause = SYNC_SECONDS
        while not self._closing.wait(pause):
            started = time.thread_time()
            written = self._attempt(self._turn)
            rest = min(REST * (time.thread_time() - started), LONGEST_REST_SECONDS)
            pause = max(SYNC_SECONDS, rest) if written else SYNC_SECONDS
        self._persist(self._synced)

    def _persist(self, write: Callable[[], object]) -> None:
        """The last write, for which there is no next turn."""
        for _ in range(LAST_ATTEMPTS - 1):
            if self._attempt(write):
                return
            time.sleep(LAST_PAUSE_SECONDS)
        self._attempt(write)

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
        return self.tracker

    def _attempt(self, write: Callable[[], object]) -> bool:
        """Whether all of it is written."""
        try:
            write()
        except Exception as error:
            self._disturbed = self._ever_disturbed = True
            reason = reason_of(error, self._uri)
            if reason not in self._warned:
                LOGGER.warning("MLflow cannot be written: %s", reason)
            self._warned.add(reason)
            self.failure = reason
            return False
        self.failure = None
        return True


def reason_of(error: Exception, uri: str) -> str:
    """Why MLflow at `uri` could not be written, as one line of a terminal, without the secrets of the address."""
    # SQLAlchemy may begin with a hint on its own use.
    lines = [line for line in message_lines(error) if not line.startswith("(raised as a result of")]
    reason = without_secrets(next(iter(lines), first_line(error)), uri)
    if len(reason) <= LONGEST_REASON:
        return reason
    # What was tried stands at its beginning, and the cause at its end.
    return f"{_whole_words(reason.split(' '))} … {_whole_words(reason.split(' '), from_end=True)}"


def _whole_words(words: Sequence[str], *, from_end: bool = False) -> str:
    """As many of the words as are half as long as a reason; of a longer first, or last, one a part."""
    half, taken = LONGEST_REASON // 2, list[str]()
    for word in reversed(words) if from_end else words:
        if len(" ".join([*taken, word])) > half:
            break
        taken.append(word)
    if not taken:
        return words[-1][-half:] if from_end else words[0][:half]
    return " ".join(reversed(taken) if from_end else taken)
