"""When a search starts no further trial."""

import time
from collections.abc import Callable


class StopRule:
    """Whether no further trial is started: the user has interrupted the search, or its time is over.

    The time budget (seconds, None: as long as it takes) counts from the moment at which this is made.
    """

    def __init__(self, interrupted: Callable[[], bool], time_budget_seconds: float | None) -> None:
        self._interrupted = interrupted
        self._time_budget_seconds = time_budget_seconds
        self._started = time.monotonic()

    def limit(self, time_budget_seconds: float | None) -> None:
        """Has another time budget count, from the same moment."""
        self._time_budget_seconds = time_budget_seconds

    @property
    def seconds(self) -> float:
        """The time since trials were first run."""
        return time.monotonic() - self._started

    @property
    def is_time_over(self) -> bool:
        return self._time_budget_seconds is not None and self.seconds > self._time_budget_seconds

    def __call__(self) -> bool:
        return self._interrupted() or self.is_time_over
