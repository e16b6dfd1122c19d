"""The time that a search will still take, as the terminal says it: looked at again and again, in words."""

import dataclasses
import random
from collections.abc import Sequence

from nas.records.epoch_pace import WorkDone
from nas.records.rest_of_search import SearchPlan
from nas.records.time_left import TimeLeft, time_left
from nas.records.trial import TrialRecord
from nas.settings.search_settings import SearchSettings
from nas.strategy.halving import rung_epochs
from nas.strategy.proposals import INITIAL_PROPOSALS, radical_inverse
from search_spaces.space import Space
from trainers.data.config import DataSummary

# What goes on at a rung before anything was decided there, where the front decides.
GOING_ON_BY_FRONT = 0.25
# So many architectures of the space tell what one costs before any was trained.
ARCHITECTURES_DRAWN = 24
# A range is told where its end is so many times its beginning.
WIDE = 1.5
# An estimate moves by this share of what a new look would have it move, so that one trial does not make it jump.
TRUST = 0.3

# Below so many seconds: a unit, its seconds, and the step that an estimate is told in.
_UNITS = (
    (120.0, "s", 1.0, 10.0),
    (7200.0, "min", 60.0, 1.0),
    (36 * 3600.0, "h", 3600.0, 0.5),
    (float("inf"), "days", 86400.0, 0.5),
)


def search_plan(settings: SearchSettings, full_epochs: int, space: Space, data: DataSummary, slots: int) -> SearchPlan:
    """What a search of a space is to train on so many slots."""
    rungs: tuple[int, ...] = ()
    if settings.scheduler != "none":
        rungs = rung_epochs(settings.minimum_epochs, full_epochs, settings.reduction_factor)
    return SearchPlan(
        trials=min(settings.trials, space.size()),
        full_epochs=full_epochs,
        rungs=rungs,
        slots=slots,
        typical_flops=_typical_flops(space, data, settings),
        going_on_prior=GOING_ON_BY_FRONT if settings.scheduler == "pareto" else 1 / settings.reduction_factor,
        first_judged=INITIAL_PROPOSALS if settings.scheduler == "pareto" else 0,
        by_front=settings.scheduler == "pareto",
        most_epochs=settings.epochs,
        time_budget_seconds=settings.time_budget_seconds,
        replicates=settings.replicates,
        confirm_front=settings.confirm_front,
        may_stagnate=settings.stagnation is not None,
    )


def _typical_flops(space: Space, data: DataSummary, settings: SearchSettings) -> tuple[int, ...]:
    """Those of random architectures, or at even ratios over their range where the sampler looks for a front."""
    rng = random.Random(0)
    costs = [data.cost(space.sample(rng)) for _ in range(ARCHITECTURES_DRAWN)]
    drawn = [cost.flops for cost in costs if settings.limits.allow(cost.flops, cost.params)]
    if settings.sampler != "ehvi" or not drawn:
        return tuple(drawn)
    least, most = min(drawn), max(drawn)
    return tuple(round(least * (most / least) ** radical_inverse(index)) for index in range(len(drawn)))


class TimeLeftWatch:
    """Follows a search and says how long it will still take.

    Between two changes of the trials its estimate runs down with the clock; at a change it moves a part of the way.
    """

    def __init__(self, plan: SearchPlan) -> None:
        self.plan = plan
        self._known: Sequence[TrialRecord] | None = None
        self._epochs_before: int | None = None
        self._at_first_epoch: WorkDone | None = None
        self._busy_seconds = 0.0
        self._looked_at = 0.0
        self._left: TimeLeft | None = None

    def look(self, records: Sequence[TrialRecord], elapsed_seconds: float) -> TimeLeft | None:
        """The time left `elapsed_seconds` after the search began, the trials being such. None while nobody can tell."""
        passed, self._looked_at = elapsed_seconds - self._looked_at, elapsed_seconds
        running = sum(record.outcome == "running" for record in self._known or ())
        self._busy_seconds += passed * running
        if self._left is not None:
            left = _later(self._left, passed)
            # One that has run out while trials still run was wrong: nothing is told until there is another.
            self._left = left if left.most_seconds > 0 else None
        if records != self._known:
            self._known = records
            self._move(time_left(records, self.plan, self._work_done(records), elapsed_seconds))
        return self._left

    def _move(self, new: TimeLeft | None) -> None:
        """Takes a part of the way to a new estimate. What once meant something is not taken back."""
        if self._left is None:
            self._left = new
        elif new is not None:
            old = dataclasses.astuple(self._left)
            steps = zip(old, dataclasses.astuple(new), strict=True)
            self._left = TimeLeft(*(before + TRUST * (after - before) for before, after in steps))

    def _work_done(self, records: Sequence[TrialRecord]) -> WorkDone:
        own = [record for record in records if record.imported_from is None]
        epochs = sum(len(record.epochs) for record in own)
        seconds = sum(epoch.epoch_seconds for record in own for epoch in record.epochs)
        if self._epochs_before is None:
            self._epochs_before = epochs
        if self._at_first_epoch is None:
            if epochs == self._epochs_before:
                return WorkDone()
            self._at_first_epoch = WorkDone(0.0, seconds, epochs)
            self._busy_seconds = 0.0
        first = self._at_first_epoch
        return WorkDone(self._busy_seconds, seconds - first.epoch_seconds, epochs - first.epochs)


def _later(left: TimeLeft, passed_seconds: float) -> TimeLeft:
    """An estimate once some time has passed."""
    return TimeLeft(*(max(0.0, seconds - passed_seconds) for seconds in dataclasses.astuple(left)))


def time_left_text(left: TimeLeft) -> str:
    """An estimate for people: a range while it is wide, and no more digits than it is worth."""
    if left.most_seconds < 60:
        return "less than a minute left"
    unit, seconds_each, step = next((unit, each, step) for most, unit, each, step in _UNITS if left.most_seconds < most)
    least, middle, most = (step * round(seconds / seconds_each / step) for seconds in dataclasses.astuple(left))
    if not left.least_seconds:
        return f"at most {most:g} {unit} left"
    if left.most_seconds >= WIDE * left.least_seconds and least < most:
        return f"{max(step, least):g} to {most:g} {unit} left"
    return f"about {max(step, middle):g} {unit} left"
