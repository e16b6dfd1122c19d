"""What a user sees in the terminal while trials run: a live table, or a line now and then."""

import threading
import time
from collections.abc import Callable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nas.driver.progress_lines import Progress, progress_line, progress_rows, running_lines
from nas.driver.texts import print_text
from nas.driver.time_left import TimeLeftWatch
from nas.records.failures import failed, failure_text
from nas.records.rest_of_search import SearchPlan
from nas.records.summary import Summary
from nas.records.trial import TrialRecord

LIVE_INTERVAL_SECONDS = 0.5
# Together with the time that a look takes on a busy machine no silence is longer than `steps.SILENCE_SECONDS`.
PLAIN_INTERVAL_SECONDS = 10.0
# The steps before were silent for some time already.
FIRST_LINE_SECONDS = 1.0
# Where nothing can be drawn over, the trials that run are listed once in so many lines.
LINES_BETWEEN_LISTS = 6

State = Callable[[], tuple[Sequence[TrialRecord], Summary]]


class ProgressView:
    """Shows a search while it runs: a table that redraws itself where that is possible, a line now and then elsewhere.

    A context manager; what it shows comes from `state()`, which it calls from a thread of its own. Trials that fail
    are said as they do, in a line each, and those that had failed before are not.
    """

    def __init__(
        self, console: Console, state: State, plan: SearchPlan, interval_seconds: float = PLAIN_INTERVAL_SECONDS
    ) -> None:
        self._console = console
        self._state = state
        self._plan = plan
        self._interval_seconds = interval_seconds
        self._watch = TimeLeftWatch(plan)
        self._started, self._began = time.monotonic(), time.time()
        self._said = {record.number for record in failed(state()[0])}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def plan_anew(self, plan: SearchPlan) -> None:
        """Shows the search beside another plan from here on."""
        self._plan = self._watch.plan = plan

    def __enter__(self) -> "ProgressView":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._thread.join()
        self._look()

    def _show(self) -> None:
        # A dumb terminal cannot be drawn over, and rich would show nothing on it.
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._draw()
        else:
            self._write()

    def _draw(self) -> None:
        with Live(self._table(), console=self._console, auto_refresh=False, transient=True) as live:
            while not self._closing.wait(LIVE_INTERVAL_SECONDS):
                live.update(self._table(), refresh=True)

    def _write(self) -> None:
        written, wait = 0, min(FIRST_LINE_SECONDS, self._interval_seconds)
        while not self._closing.wait(wait):
            wait = self._interval_seconds
            progress = self._look()
            print_text(self._console, progress_line(progress))
            if written % LINES_BETWEEN_LISTS == 0:
                for line in running_lines(progress):
                    print_text(self._console, f"  {line}")
            written += 1

    def _look(self) -> Progress:
        """The search as it is now, its new failures said."""
        records, summary = self._state()
        for record in failed(records):
            if record.number not in self._said:
                self._said.add(record.number)
                print_text(self._console, failure_text(record))
        elapsed = time.monotonic() - self._started
        left = self._watch.look(records, elapsed)
        return Progress(summary, records, self._plan.trials, self._plan.full_epochs, elapsed, left, self._began)

    def _table(self) -> Group:
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold", no_wrap=True)
        table.add_column()
        for name, value in progress_rows(self._look()):
            table.add_row(name, Text(value))
        return Group(Text(""), table)
