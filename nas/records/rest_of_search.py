"""The rest of a search, played through: what each trial will train, by luck, and when the slots are done. Pure."""

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas.records.epoch_pace import EpochPace
from nas.records.front import front_of
from nas.records.rung_survival import share_later
from nas.records.trial import TrialRecord, architectures_begun, architectures_started

# The latest so many trials tell what fresh architectures will cost, with so many of the space while they are few.
LATEST_TRIALS, LEAST_COSTS = 20, 6


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What a search is to train, and its limits; None where there is none.

    `trials` counts architectures, of up to `full_epochs` epochs each, decided upon at `rungs`, where a share of
    `going_on_prior` goes on as far as anybody knows beforehand; the trials before number `first_judged` all do.
    `typical_flops` are those of some architectures of the space. `replicates` and `confirm_front` are the trainings of
    each finished architecture, and of each member of the front. Where a rung is passed `by_front`, by what may still be
    added to it, fewer and fewer pass, and those that wait may be promoted; where it `may_stagnate` a search may end at
    any time.
    """

    trials: int
    full_epochs: int
    rungs: tuple[int, ...]
    slots: int
    typical_flops: tuple[int, ...] = ()
    going_on_prior: float = 0.5
    first_judged: int = 0
    by_front: bool = True
    most_epochs: int | None = None
    time_budget_seconds: float | None = None
    replicates: int = 1
    confirm_front: int = 1
    may_stagnate: bool = False


# What each number of a trial decides.
COST, PROMOTION, FAILURE, RUNGS = 0, 1, 2, 3


@dataclass(frozen=True, slots=True)
class Luck:
    """What decides on trials in one draw: the shares that are true in it, and for each trial numbers from 0 to 1.

    `of_trials` holds for each one for its cost, promotion and failure, and then one for every rung. `costs`, too, are
    numbers from 0 to 1: which of the costs so far are drawn as those of the rest.
    """

    going_on: Sequence[float]
    promotions: float
    failing: float
    costs: Sequence[float]
    of_trials: Sequence[Sequence[float]]

    def of(self, number: int) -> Sequence[float]:
        return self.of_trials[number % len(self.of_trials)]


class RestOfSearch:
    """What is left of a search after `records`, the pace at which it trains, and what trials that fail have trained."""

    def __init__(
        self, records: Sequence[TrialRecord], plan: SearchPlan, pace: EpochPace, epochs_before_failure: float
    ) -> None:
        trained = [record for record in records if record.trained]
        self._plan = plan
        self._pace = pace
        self._epochs_before_failure = epochs_before_failure
        self._running = [record for record in trained if record.outcome == "running"]
        self._held = [record for record in trained if record.outcome == "held"]
        self._finished = [record for record in trained if record.outcome == "finished" and not record.replicate]
        self._front = front_of(trained)
        self._started = architectures_started(trained)
        self._begun = len(architectures_begun(trained))
        self._next_number = len(records)
        self._epochs_trained = sum(len(record.epochs) for record in trained)
        latest = [record for record in trained if not record.anchor and not record.replicate][-LATEST_TRIALS:]
        seconds = [pace.epoch_seconds(record) for record in latest]
        typical = [pace.seconds_of(flops) for flops in plan.typical_flops[: max(0, LEAST_COSTS - len(latest))]]
        self._epoch_seconds = sorted([*seconds, *typical] or [pace.epoch_seconds(record) for record in trained])

    def seconds(self, luck: Luck) -> float:
        """How long it takes by this luck."""
        play = _Play(self._plan, luck, self._epochs_trained, self._next_number)
        costs = sorted(self._epoch_seconds[int(one * len(self._epoch_seconds))] for one in luck.costs)
        for record in self._held:
            play.hold(len(record.epochs), self._pace.epoch_seconds(record))
        for record in self._running:
            if record.inheritance is not None:
                # Whether it is trained from scratch then, nobody knows.
                play.look_at(record.inheritance.epochs - len(record.epochs), self._pace.epoch_seconds(record))
                continue
            sure = record.anchor or record.replicate > 0 or record.number < self._plan.first_judged
            play.go_on(record.number, len(record.epochs), sure, self._pace.epoch_seconds(record), under_way=True)
        fresh = self._plan.trials - self._begun
        for number in range(self._next_number, self._next_number + fresh):
            if play.epochs_left < self._plan.full_epochs:
                break
            play.start(number, costs[int(luck.of(number)[COST] * len(costs))], self._epochs_before_failure)
        play.use_up_epochs()
        self._repeat(play)
        return play.end_seconds

    def _repeat(self, play: "_Play") -> None:
        """The repeated trainings: of all that are finished as they come, of the front's members when all else is."""
        plan = self._plan
        finishing = list(play.finishing)
        for epoch_seconds in finishing:
            play.train_fully(plan.replicates - 1, epoch_seconds)
        for record in self._finished:
            started = self._started[record.architecture.id]
            play.train_fully(plan.replicates - started, self._pace.epoch_seconds(record))
        if plan.confirm_front <= plan.replicates:
            return
        play.wait_for_all()
        for record in self._front:
            missing = plan.confirm_front - max(plan.replicates, self._started[record.architecture.id])
            play.train_fully(missing, self._pace.epoch_seconds(record))
        # A front grows with the root of what was finished, about.
        growth = math.sqrt(1 + len(finishing) / max(1, len(self._finished))) - 1
        for epoch_seconds in finishing[: math.ceil(growth * max(1, len(self._front)))]:
            play.train_fully(plan.confirm_front - plan.replicates, epoch_seconds)


class _Play:
    """One draw of a search's rest, as far as it has been played."""

    def __init__(self, plan: SearchPlan, luck: Luck, epochs_trained: int, next_number: int) -> None:
        self._plan = plan
        self._luck = luck
        self._next_number = next_number
        self._free_at = [0.0] * plan.slots
        # Trials that wait at a rung: epoch, epoch seconds.
        self._held: list[tuple[int, float]] = []
        self.epochs_left = math.inf if plan.most_epochs is None else float(plan.most_epochs - epochs_trained)
        # Epoch seconds of the trials that are trained to the end.
        self.finishing: list[float] = []

    @property
    def end_seconds(self) -> float:
        return max(self._free_at)

    def start(self, number: int, epoch_seconds: float, epochs_before_failure: float) -> None:
        """A fresh trial, and before it perhaps the promotion of one that is held, the latest."""
        numbers = self._luck.of(number)
        if self._plan.by_front and self._held and numbers[PROMOTION] < self._luck.promotions:
            self._finish(*self._held.pop())
        if numbers[FAILURE] < self._luck.failing:
            self._train(epochs_before_failure, epoch_seconds)
        else:
            self.go_on(number, 0, number < self._plan.first_judged, epoch_seconds)

    def go_on(self, number: int, epoch: int, sure: bool, epoch_seconds: float, under_way: bool = False) -> None:
        """A trial trains on from an epoch, to the rung that it does not pass. The next epoch may be half done."""
        end = self._plan.full_epochs
        later = share_later(number, self._next_number) if self._plan.by_front and number > self._next_number else 1.0
        chances = zip(self._plan.rungs, self._luck.of(number)[RUNGS:], self._luck.going_on, strict=True)
        for rung, luck, share in chances if not sure else ():
            if rung > epoch and luck >= share * later:
                end = rung
                break
        self._train(end - epoch - (0.5 if under_way and end > epoch else 0.0), epoch_seconds)
        if end < self._plan.full_epochs:
            self.hold(end, epoch_seconds)
        else:
            self.finishing.append(epoch_seconds)

    def look_at(self, epochs: int, epoch_seconds: float) -> None:
        """A training from inherited weights, of so many epochs."""
        self._train(epochs, epoch_seconds)

    def hold(self, epoch: int, epoch_seconds: float) -> None:
        """A trial waits at a rung."""
        self._held.append((epoch, epoch_seconds))

    def use_up_epochs(self) -> None:
        """Where too few epochs are left for anything fresh, the held trials are promoted that they suffice for."""
        if self._plan.by_front and self.epochs_left < self._plan.full_epochs:
            for epoch, epoch_seconds in self._held:
                if self._plan.full_epochs - epoch <= self.epochs_left:
                    self._finish(epoch, epoch_seconds)

    def _finish(self, epoch: int, epoch_seconds: float) -> None:
        """What is promoted is expected to add to the front, and to be trained to the end."""
        self._train(self._plan.full_epochs - epoch, epoch_seconds)
        self.finishing.append(epoch_seconds)

    def train_fully(self, times: int, epoch_seconds: float) -> None:
        """Repeated trainings, as far as the epochs last."""
        for _ in range(times):
            if self.epochs_left >= self._plan.full_epochs:
                self._train(self._plan.full_epochs, epoch_seconds)

    def wait_for_all(self) -> None:
        self._free_at = [self.end_seconds] * len(self._free_at)

    def _train(self, epochs: float, epoch_seconds: float) -> None:
        self.epochs_left -= epochs
        heapq.heapreplace(self._free_at, self._free_at[0] + epochs * epoch_seconds)
