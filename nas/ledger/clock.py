"""The time of day as a search writes it down: it never goes back, whatever is done to the machine's clock."""

import time


class SteadyClock:
    """Seconds since 1970. The machine's clock is read once, and counted on from there by one that nobody can set.

    `not_before` is the latest moment that is written down already: a clock that was set back since does not put what
    follows before it.
    """

    def __init__(self, not_before: float = 0.0) -> None:
        self._zero = max(time.time(), not_before) - time.monotonic()

    def __call__(self) -> float:
        return self._zero + time.monotonic()
