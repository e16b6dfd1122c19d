"""The order of events in a deterministic search: that of a clock that costs drive, not of who happens to be faster.

A search on W workers is followed as if each epoch of a trial took a time that depends on its FLOPs alone. What is known
of a trial is decided upon when this clock reaches it, however early its results came. Pure functions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nas.records.trial import TrialRecord


@dataclass(frozen=True, slots=True)
class Judgement:
    """The next decision on a trial: after which epoch it falls due, and at what time."""

    time: int
    number: int
    epoch: int


def next_judged(record: TrialRecord, judged: Sequence[int]) -> int:
    """The epoch after which a running trial is decided upon next; `judged` are all such epochs."""
    return next(epoch for epoch in judged if epoch > record.judged)


def next_judgement(records: Iterable[TrialRecord], judged: Sequence[int], overhead: int) -> Judgement | None:
    """The running trial that is decided upon next, None where none is running. An epoch takes FLOPs plus `overhead`."""
    due = []
    for record in records:
        if record.outcome == "running":
            epoch = next_judged(record, judged)
            due.append(Judgement(_time_of(record, epoch, overhead), record.number, epoch))
    return min(due, key=lambda judgement: (judgement.time, judgement.number), default=None)


def time_reached(records: Iterable[TrialRecord], overhead: int) -> int:
    """What the clock shows after the last decision that `records` hold."""
    return max((_time_of(record, record.judged, overhead) for record in records if record.trained), default=0)


def _time_of(record: TrialRecord, epoch: int, overhead: int) -> int:
    return record.stretch_start + (epoch - record.stretch_epoch) * (record.flops + overhead)
