"""Whether a search has stopped bringing anything. Pure."""

from collections.abc import Sequence

from nas.records.front import front_hypervolume
from nas.records.pareto import Point
from nas.records.trial import TrialRecord

# Less than this share of the hypervolume is no gain.
LEAST_GAIN = 1e-3


def stagnated(records: Sequence[TrialRecord], reference: Point, count: int | None) -> bool:
    """Whether the last `count` architectures that ended, by their numbers, added less than 0.1 % to the hypervolume.

    Never where `count` is None, or as long as no more than that have ended; what was taken over from another search
    does not count as ended, only as known, and what is trained from inherited weights can add nothing.
    """
    if count is None:
        return False
    first = [record for record in records if record.trained and not record.replicate and record.inheritance is None]
    done = sorted((record for record in first if record.outcome != "running"), key=lambda record: record.number)
    own = sum(record.imported_from is None for record in done)
    if len(done) <= count or own < count:
        return False
    volume = front_hypervolume(done, reference)
    return volume > 0 and volume - front_hypervolume(done[:-count], reference) < LEAST_GAIN * volume
