"""The report of a search as it is while the search runs: read from its ledger again whenever that has changed."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nas.driver.commands import background_of, last_resumed_command
from nas.driver.running_search import driver_of, may_run
from nas.ledger.contents import LedgerContents
from nas.ledger.location import read_ledger
from nas.records.trial import Outcome, TrialRecord, counts
from nas.records.whereabouts import DriverRun
from nas.reporting.importance import Importances, importances
from nas.reporting.page import Live, report_page
from nas.settings.run_directory import RunDirectory, existing_run
from search_spaces.units import counted

# The ledger is looked at so often, or as seldom as that: what trains beside has the rest of the time.
LOOK_SECONDS, SELDOM_SECONDS = 2.0, 60.0
MOST_SHARE = 0.2
# Importances take most of the time. While a search runs they are counted anew for so many times the trials.
GROWTH = 1.05


@dataclass(frozen=True, slots=True)
class Shown:
    """What is shown: a search, its trials, what is said of it, and whether it runs."""

    ledger: LedgerContents
    records: tuple[TrialRecord, ...]
    text: str
    runs: bool


class LiveReport:
    """The report of a search that may be running. Its methods may be called by several threads.

    Raises UserError, when it is made and whenever it is asked, where the ledger is gone or cannot be read.
    """

    def __init__(
        self, directory: RunDirectory, ledger_url: str | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._directory = directory
        self._ledger_url = ledger_url
        self._clock = clock
        self._lock = threading.Lock()
        self._reading = self._drawing = 0.0
        self._importances: tuple[int, list[Importances]] = (0, [])
        # Higher whenever something differs, and than those of an earlier server at the same address.
        self._version = round(1000 * time.time())
        self._file = _state_of(directory)
        self._shown = self._read()
        self._next_look = clock() + self._pause

    def page(self) -> str:
        """The whole page."""
        with self._lock:
            self._look()
            return self._drawn(update=False)

    def update(self, version: int) -> str | None:
        """What a page of that version lacks; None where it is of the newest."""
        with self._lock:
            self._look()
            return None if self._version == version else self._drawn(update=True)

    @property
    def _pause(self) -> float:
        return min(SELDOM_SECONDS, max(LOOK_SECONDS, (self._reading + self._drawing) / MOST_SHARE))

    def _look(self) -> None:
        """Reads the ledger again where it may have changed, unless that was done just now."""
        if self._clock() < self._next_look:
            return
        state, before = _state_of(self._directory), self._shown
        is_same = state is not None and state == self._file
        self._shown = _shown(self._directory, before.ledger) if is_same else self._read()
        self._file = state
        if (self._shown.records, self._shown.text) != (before.records, before.text):
            self._version += 1
        self._next_look = self._clock() + self._pause

    def _read(self) -> Shown:
        started = self._clock()
        existing_run(str(self._directory.runs), self._directory.name)
        shown = _shown(self._directory, read_ledger(self._directory, self._ledger_url))
        self._reading = self._clock() - started
        return shown

    def _drawn(self, *, update: bool) -> str:
        started, shown = self._clock(), self._shown
        facts = shown.ledger.header.facts(self._directory.name, shown.ledger.most_latency_ms)
        trained = sum(len(record.epochs) for record in shown.records)
        if trained != self._importances[0] and (not shown.runs or trained >= GROWTH * self._importances[0]):
            self._importances = trained, importances(shown.records, facts.full_epochs)
        live = Live(shown.text, self._version, LOOK_SECONDS)
        background = background_of(self._directory, shown.ledger.header, shown.ledger.driver)
        page = report_page(facts, shown.records, self._importances[1], background, live, update=update)
        self._drawing = self._clock() - started
        return page


def _shown(directory: RunDirectory, ledger: LedgerContents) -> Shown:
    driver = driver_of(directory, ledger)
    said = _said(directory, driver, counts(ledger.records))
    return Shown(ledger, tuple(ledger.records), said, may_run(directory, driver))


def _state_of(directory: RunDirectory) -> tuple[int, ...] | None:
    """What tells of a ledger in a file whether it was written since; None of one elsewhere, which is always read."""
    try:
        found = directory.ledger.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _said(directory: RunDirectory, driver: DriverRun | None, numbers: Mapping[Outcome, int]) -> str:
    """What the search is doing, or how it has ended, in a line."""
    finished, held = numbers["finished"], numbers["held"]
    if may_run(directory, driver):
        waiting = f", {held} held at a rung" if held else ""
        return f"The search runs: {numbers['running']} training{waiting}, {finished} trained to the end so far."
    was_cut_off = driver is not None and driver.ended_at is None
    text = f"The search {'was cut off, its process is gone' if was_cut_off else 'has ended'}: "
    text += f"{finished} trained to the end, {numbers['stopped']} stopped early."
    unfinished = numbers["running"] + held
    if not unfinished:
        return text
    return f"{text} {counted(unfinished, 'trial')} would go on by {last_resumed_command(directory, driver)}"
