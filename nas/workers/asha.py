"""Stopping by accuracy alone: Ray Tune's own ASHA, asked one trial at a time, and rebuilt from the ledger."""

from dataclasses import dataclass
from typing import Any

from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler


@dataclass(frozen=True, slots=True)
class _Trial:
    """All that ASHA reads of a trial."""

    trial_id: str


class AccuracyHalving:
    """Asynchronous successive halving (Li et al. 2020) on accuracy, as Ray Tune ships it."""

    def __init__(self, *, minimum_epochs: int, epochs: int, reduction_factor: int) -> None:
        self._asha = AsyncHyperBandScheduler(
            time_attr="epoch",
            metric="val_accuracy",
            mode="max",
            max_t=epochs,
            grace_period=min(minimum_epochs, epochs),
            reduction_factor=reduction_factor,
        )
        self._added: set[int] = set()

    def should_continue(self, number: int, epoch: int, val_accuracy: float) -> bool:
        """Whether a trial goes on after this epoch. Every rung of every trial has to be told, in order."""
        trial: Any = _Trial(str(number))
        controller: Any = None
        if number not in self._added:
            self._added.add(number)
            self._asha.on_trial_add(controller, trial)
        decision = self._asha.on_trial_result(controller, trial, {"epoch": epoch, "val_accuracy": val_accuracy})
        return decision != TrialScheduler.STOP
