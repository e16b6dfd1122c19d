"""How fast a search trains: seconds an epoch of an architecture takes, and what passes between epochs. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from nas.records.trial import TrialRecord

# Seconds between two epochs before anything was measured, and how many measured ones that is worth.
PRIOR_SECONDS_BETWEEN = 0.1
PRIOR_EPOCHS = 4
# A machine may become slower or faster: the latest epochs of a trial tell what one takes.
LATEST_EPOCHS = 3


@dataclass(frozen=True, slots=True)
class WorkDone:
    """What was trained since the first epoch of this run was known.

    `busy_seconds` is the time since then, counted once for each trial that was running; the epochs of trials that ran
    at its start are taken to have been as far as those that run now.
    """

    busy_seconds: float = 0.0
    epoch_seconds: float = 0.0
    epochs: int = 0


@dataclass(frozen=True, slots=True)
class EpochPace:
    """An epoch of F FLOPs takes fixed_seconds + seconds_per_flop · F, and seconds_between pass until the next one."""

    fixed_seconds: float
    seconds_per_flop: float
    seconds_between: float

    def epoch_seconds(self, record: TrialRecord) -> float:
        """Seconds from one epoch of a trial to the next: by its own epochs, or by its FLOPs where there are none."""
        if record.epochs:
            return _mean_epoch_seconds(record) + self.seconds_between
        return self.seconds_of(record.flops)

    def seconds_of(self, flops: int) -> float:
        """The same for an architecture of so many FLOPs."""
        return self.fixed_seconds + self.seconds_per_flop * flops + self.seconds_between


def epoch_pace(records: Sequence[TrialRecord], done: WorkDone) -> EpochPace | None:
    """The pace of a search so far: least squares over its trials, weighed by their epochs. None before any epoch."""
    trained = [record for record in records if record.epochs and record.imported_from is None]
    if not trained:
        return None
    weights = [len(record.epochs) for record in trained]
    flops = [float(record.flops) for record in trained]
    seconds = [_mean_epoch_seconds(record) for record in trained]
    fixed, slope = _line(flops, seconds, weights)
    between = max(0.0, done.busy_seconds - done.epoch_seconds) + PRIOR_EPOCHS * PRIOR_SECONDS_BETWEEN
    return EpochPace(fixed, slope, between / (done.epochs + PRIOR_EPOCHS))


def _mean_epoch_seconds(record: TrialRecord) -> float:
    return statistics.fmean(epoch.epoch_seconds for epoch in record.epochs[-LATEST_EPOCHS:])


def _line(x: Sequence[float], y: Sequence[float], weights: Sequence[int]) -> tuple[float, float]:
    """Intercept and slope of the weighed least-squares line, neither below 0."""
    total = sum(weights)
    mean_x = sum(weight * value for weight, value in zip(weights, x, strict=True)) / total
    mean_y = sum(weight * value for weight, value in zip(weights, y, strict=True)) / total
    spread = sum(weight * (value - mean_x) ** 2 for weight, value in zip(weights, x, strict=True))
    if spread == 0:
        return mean_y, 0.0
    together = sum(w * (a - mean_x) * (b - mean_y) for w, a, b in zip(weights, x, y, strict=True))
    slope = min(max(0.0, together / spread), mean_y / mean_x)
    return mean_y - slope * mean_x, slope
