"""Which trials are hung: those that made no progress for a time that their epochs make absurd."""

import time
from collections.abc import Callable, Iterable, Mapping

EPOCHS_UNTIL_HUNG = 20
LEAST_SECONDS = 600.0
SECONDS_BETWEEN_LOOKS = 1.0
# Who looks so much later than he should was suspended himself, or held up: trials are not blamed for that time.
MOST_SECONDS_LATE = 5.0


def hung_seconds(hung_after: float | None, longest_epoch: float | None) -> float | None:
    """The time without progress that makes a trial a hung one; None while nothing tells how long an epoch takes."""
    if hung_after is not None:
        return hung_after
    return None if longest_epoch is None else max(LEAST_SECONDS, EPOCHS_UNTIL_HUNG * longest_epoch)


class HungTrials:
    """Watches the running trials of a search. A trial is measured by its own longest epoch; before its first, by the
    longest that any trial took for its FLOPs. What counts is the time in which somebody looked.

    `hung_after` is in seconds, `epochs` holds (FLOPs, seconds) of earlier ones.
    """

    def __init__(
        self,
        hung_after: float | None,
        epochs: Iterable[tuple[int, float]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hung_after = hung_after
        self._seconds_per_flop = max((seconds / flops for flops, seconds in epochs), default=None)
        self._longest: dict[int, float] = {}
        self._since: dict[int, float] = {}
        self._clock = clock
        self._next_look = clock()

    def progress(self, number: int, flops: int, epoch_seconds: float) -> None:
        """A trial has finished an epoch."""
        self._since[number] = self._clock()
        self._longest[number] = max(epoch_seconds, self._longest.get(number, 0.0))
        self._seconds_per_flop = max(epoch_seconds / flops, self._seconds_per_flop or 0.0)

    @property
    def is_due(self) -> bool:
        """Whether it is time to look."""
        return self._clock() >= self._next_look

    def look(self, running: Mapping[int, int]) -> dict[int, str]:
        """The trials among those `running`, with their FLOPs, that are hung, and what is wrong; each is named once."""
        now = self._clock()
        if now < self._next_look:
            return {}
        late = now - self._next_look
        away = late if late > MOST_SECONDS_LATE else 0.0
        self._next_look = now + SECONDS_BETWEEN_LOOKS
        self._since = {number: min(now, self._since.get(number, now) + away) for number in running}
        hung = {}
        for number, flops in running.items():
            expected = None if self._seconds_per_flop is None else self._seconds_per_flop * flops
            limit = hung_seconds(self._hung_after, self._longest.get(number, expected))
            if limit is not None and now - self._since[number] > limit:
                self._since[number] = now
                hung[number] = f"no progress for {limit:.0f} s"
        return hung
