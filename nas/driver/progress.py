"""What a user sees in the terminal while a search runs: a live table, or a line now and then."""

import threading
import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from nas.records.summary import Summary
from nas.records.trial import FAILURES, TrialRecord
from search_spaces.units import readable_duration

PLAIN_INTERVAL_SECONDS = 15.0


class ProgressView:
    """Shows a search while it runs: a table that redraws itself on a terminal, a line now and then elsewhere.

    A context manager; what it shows comes from `summary()`, which it calls from a thread of its own.
    """

    def __init__(
        self, console: Console, summary: Callable[[], Summary], trials: int, time_budget_seconds: float | None
    ) -> None:
        self._console = console
        self._summary = summary
        self._trials = trials
        self._time_budget_seconds = time_budget_seconds
        self._started = time.monotonic()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._show, name="progress", daemon=True)

    def __enter__(self) -> "ProgressView":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._thread.join()

    def _show(self) -> None:
        if self._console.is_terminal:
            with Live(self._table(), console=self._console, auto_refresh=False, transient=True) as live:
                while not self._closing.wait(0.5):
                    live.update(self._table(), refresh=True)
            return
        shown = ""
        while not self._closing.wait(PLAIN_INTERVAL_SECONDS):
            line = self._line()
            if line != shown:
                self._console.print(line, highlight=False, soft_wrap=True)
                shown = line

    def _table(self) -> Group:
        summary = self._summary()
        table = Table.grid(padding=(0, 2))
        table.add_column(style="bold")
        table.add_column()
        for name, value in self._rows(summary):
            table.add_row(name, value)
        return Group(Text(""), table)

    def _rows(self, summary: Summary) -> list[tuple[str, str]]:
        counts = summary.counts
        rows = [
            ("front", f"{len(summary.front)} architectures, hypervolume {summary.hypervolume:.4f}"),
        ]
        if summary.best and summary.cheapest_near_best:
            rows += [
                ("most accurate", _member(summary.best)),
                ("cheapest within 1 %", _member(summary.cheapest_near_best)),
            ]
        rows += [
            (
                "trials",
                f"{counts['running']} running, {counts['finished']} finished, {counts['stopped']} stopped early",
            ),
            ("not trained", f"{counts['duplicate']} duplicate, {counts['rejected']} rejected"),
        ]
        failures = [f"{counts[outcome]} {outcome}" for outcome in FAILURES if counts[outcome]]
        if failures:
            rows.append(("ended badly", ", ".join(failures)))
        return [*rows, ("time", self._time(summary))]

    def _line(self) -> str:
        summary = self._summary()
        counts = summary.counts
        best = f", best {summary.best.point[0]:.2%}" if summary.best else ""
        return (
            f"{summary.architectures_trained}/{self._trials} architectures: {counts['finished']} finished, "
            f"{counts['stopped']} stopped, {counts['running']} running; front {len(summary.front)}{best}; "
            f"{self._time(summary)}"
        )

    def _time(self, summary: Summary) -> str:
        elapsed = time.monotonic() - self._started
        done = sum(summary.counts[outcome] for outcome in ("finished", "stopped", *FAILURES))
        left = elapsed / done * (self._trials - done) if done else None
        if self._time_budget_seconds is not None:
            remaining = max(0.0, self._time_budget_seconds - elapsed)
            left = remaining if left is None else min(left, remaining)
        return readable_duration(elapsed) + ("" if left is None else f", about {readable_duration(left)} left")


def _member(record: TrialRecord) -> str:
    return f"{record.point[0]:.2%} at {record.readable_cost}  {record.architecture.label}"
