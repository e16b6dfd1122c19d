"""The order of events in a deterministic search: that of a clock that costs drive, not of who happens to be faster.

A search on W workers is followed as if each epoch of a trial took a time that depends on its FLOPs alone. What is known
of a trial is decided upon when this clock reaches it, however early its results came. Pure functions.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nas.records.trial import TrialRecord


@dataclass(frozen=True, slots=True)
class Decision:
    """The next decision on a trial: after which epoch it falls due, and at what time."""

    time: int
    number: int
    epoch: int


def next_decision_epoch(record: TrialRecord, decision_epochs: Sequence[int]) -> int:
    """The epoch after which a running trial is decided upon next; `decision_epochs` are all such epochs.

    One that began with inherited weights is decided upon after the last of its few.
    """
    if record.inheritance is not None:
        return record.inheritance.epochs
    return next(epoch for epoch in decision_epochs if epoch > record.decided_epoch)


def next_decision(records: Iterable[TrialRecord], decision_epochs: Sequence[int], overhead: int) -> Decision | None:
    """The running trial that is decided upon next, None where none is running. An epoch takes FLOPs plus `overhead`."""
    due = []
    for record in records:
        if record.outcome == "running":
            epoch = next_decision_epoch(record, decision_epochs)
            due.append(Decision(_time_of(record, epoch, overhead), record.number, epoch))
    return min(due, key=lambda decision: (decision.time, decision.number), default=None)


def time_reached(records: Iterable[TrialRecord], overhead: int) -> int:
    """What the clock shows after the last decision that `records` hold."""
    return max((_time_of(record, record.decided_epoch, overhead) for record in records if record.trained), default=0)


def _time_of(record: TrialRecord, epoch: int, overhead: int) -> int:
    return record.stretch_start + (epoch - record.stretch_epoch) * (record.flops + overhead)
