"""What a search spent on its trials, what stopping them early saved, and what the spending brought.

Accelerator time is that of the epochs that were trained, whatever ran beside them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from nas.records.front import finished, hypervolume_history
from nas.records.pareto import Point
from nas.records.trial import TrialRecord

# A trial with such an outcome would have been trained further had nothing stopped it.
STOPPED_EARLY = frozenset({"stopped", "held"})


@dataclass(frozen=True, slots=True)
class ComputeUsed:
    """What was spent, and what it would have been had every trial that was stopped early been trained in full."""

    stopped_trials: int
    epochs: int
    epochs_in_full: int
    hours: float
    hours_in_full: float

    @property
    def epochs_saved(self) -> float:
        """The share of the epochs that stopping saved, 0 to 1."""
        return 1 - self.epochs / self.epochs_in_full if self.epochs_in_full else 0.0

    @property
    def hours_saved(self) -> float:
        """The share of the accelerator-hours that stopping saved, 0 to 1."""
        return 1 - self.hours / self.hours_in_full if self.hours_in_full else 0.0


@dataclass(frozen=True, slots=True)
class HypervolumeStep:
    """The hypervolume once `trials` trials that trained had ended, after `hours` accelerator-hours."""

    trials: int
    hours: float
    hypervolume: float


def train_seconds(record: TrialRecord) -> float:
    """Accelerator time of the epochs of a trial."""
    return sum(epoch.epoch_seconds for epoch in record.epochs)


def compute_used(records: Iterable[TrialRecord], full_epochs: int) -> ComputeUsed:
    """What the trials cost. A stopped trial's missing epochs are taken to last as long as its mean epoch did."""
    stopped = epochs = epochs_in_full = 0
    seconds = seconds_in_full = 0.0
    for record in records:
        if not record.epochs:
            continue
        trained, spent = len(record.epochs), train_seconds(record)
        early = record.outcome in STOPPED_EARLY and trained < full_epochs
        full = full_epochs if early else trained
        stopped += early
        epochs, epochs_in_full = epochs + trained, epochs_in_full + full
        seconds, seconds_in_full = seconds + spent, seconds_in_full + spent / trained * full
    return ComputeUsed(stopped, epochs, epochs_in_full, seconds / 3600, seconds_in_full / 3600)


def hypervolume_steps(records: Sequence[TrialRecord], reference: Point) -> list[HypervolumeStep]:
    """The hypervolume of the front after each trial that trained, in the order in which they ended."""
    ended = [record for record in records if record.epochs and (record.finished_at or record.outcome == "finished")]
    # Of an architecture that was trained several times the first training stands for all.
    counted = {record.number for record in finished(records)}
    volumes = iter(hypervolume_history(records, reference))
    steps: list[HypervolumeStep] = []
    volume = seconds = 0.0
    for index, record in enumerate(sorted(ended, key=lambda record: record.finished_at or 0.0)):
        seconds += train_seconds(record)
        if record.number in counted:
            _, volume = next(volumes)
        steps.append(HypervolumeStep(index + 1, seconds / 3600, volume))
    return steps
