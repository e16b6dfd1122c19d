"""The schedulers that search_quality compares, which stop trainings or have them wait: this project's, and others'."""

from collections.abc import Sequence

import numpy as np
import optuna

from nas.records.pareto import Point, front
from nas.strategy.decisions import Decisions
from nas.strategy.posterior import TrialView
from nas.workers.asha import AccuracyHalving
from tests.benchmarks.forecasts import Score, score
from tests.benchmarks.schedule import Schedule
from tests.benchmarks.simulation import NoRungs
from tests.benchmarks.table_source import TableSource

SCHEDULERS = ("pareto", "asha", "mo-asha", "hyperband", "none")
# Forecasts are scored from when so many trials have come to a rung.
FIRST_SCORED = 10


def scheduler_named(name: str, source: TableSource, decisions: Decisions, schedule: Schedule, seed: int) -> NoRungs:
    """A fresh scheduler for one run."""
    if name == "pareto":
        return GainRungs(decisions, source, schedule)
    if name == "asha":
        return AccuracyRungs(schedule)
    if name == "mo-asha":
        return MultiObjectiveRungs(schedule)
    if name == "hyperband":
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        return HyperbandRungs(schedule, seed)
    return NoRungs()


class GainRungs(NoRungs):
    """This project's: goes on, holds back and promotes by expected improvement an epoch."""

    keeps_held = True

    def __init__(self, decisions: Decisions, source: TableSource, schedule: Schedule) -> None:
        self._decisions = decisions
        self._source = source
        self._schedule = schedule
        # Of what is believed of each trial that is decided upon, before the decision.
        self.forecasts: list[Score] = []

    def rungs(self) -> tuple[int, ...]:
        return self._schedule.rungs

    def should_continue(self, number: int, trials: Sequence[TrialView], epochs_left: float) -> bool:
        state = self._decisions.state(trials)
        row = int(trials[number].candidate.key)
        known = sum(len(trial.accuracies) >= self._schedule.rungs[0] for trial in trials)
        if state.posterior is not None and known >= FIRST_SCORED and np.isfinite(self._source.table.observed[row]):
            self.forecasts.append(score(state.posterior, [row], self._source, self._schedule.resolution, known))
        return self._decisions.should_continue(number, state, epochs_left)

    def promotion(self, trials: Sequence[TrialView], epochs_left: float) -> int | None:
        if not any(trial.status == "held" for trial in trials):
            return None
        return self._decisions.promotion(self._decisions.state(trials), epochs_left)


class AccuracyRungs(NoRungs):
    """Ray Tune's own ASHA, which ranks accuracy alone and only stops."""

    def __init__(self, schedule: Schedule) -> None:
        self._asha = AccuracyHalving(
            minimum_epochs=schedule.minimum_epochs, epochs=schedule.epochs, reduction_factor=schedule.reduction_factor
        )
        self._schedule = schedule

    def rungs(self) -> tuple[int, ...]:
        return self._schedule.rungs

    def should_continue(self, number: int, trials: Sequence[TrialView], epochs_left: float) -> bool:
        accuracies = trials[number].accuracies
        return self._asha.should_continue(number, len(accuracies), accuracies[-1])


class HyperbandRungs(NoRungs):
    """Optuna's HyperbandPruner, which ranks accuracy alone and only stops, in brackets that begin at other rungs."""

    def __init__(self, schedule: Schedule, seed: int) -> None:
        pruner = optuna.pruners.HyperbandPruner(
            min_resource=schedule.minimum_epochs,
            max_resource=schedule.epochs,
            reduction_factor=schedule.reduction_factor,
        )
        # A trial's bracket follows from its number and from the study's name.
        self._study = optuna.create_study(
            study_name=f"seed {seed}", direction="maximize", sampler=optuna.samplers.RandomSampler(), pruner=pruner
        )
        self._schedule = schedule
        self._trials: list[optuna.Trial] = []

    def rungs(self) -> tuple[int, ...]:
        return self._schedule.rungs

    def should_continue(self, number: int, trials: Sequence[TrialView], epochs_left: float) -> bool:
        while len(self._trials) <= number:
            self._trials.append(self._study.ask())
        accuracies = trials[number].accuracies
        self._trials[number].report(accuracies[-1], len(accuracies))
        return not self._trials[number].should_prune()


class MultiObjectiveRungs(NoRungs):
    """Multi-objective ASHA (Schmucker et al. 2021) on accuracy and FLOPs, which promotes (Li et al. 2020, algorithm 2).

    Every trial waits at every rung. A free worker takes up, at the last rung that has one, the best of those that are
    among the first 1/η of all that came to that rung, in `epsilon_net_order`.
    """

    keeps_held = True

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule

    def rungs(self) -> tuple[int, ...]:
        return self._schedule.rungs

    def should_continue(self, number: int, trials: Sequence[TrialView], epochs_left: float) -> bool:
        return False

    def promotion(self, trials: Sequence[TrialView], epochs_left: float) -> int | None:
        for rung in reversed(self._schedule.rungs):
            if self._schedule.epochs - rung > epochs_left:
                continue
            reached = [trial for trial in trials if len(trial.accuracies) >= rung]
            order = epsilon_net_order([(trial.accuracies[rung - 1], trial.candidate.flops) for trial in reached])
            for index in order[: len(reached) // self._schedule.reduction_factor]:
                if reached[index].status == "held" and len(reached[index].accuracies) == rung:
                    return reached[index].number
        return None


def epsilon_net_order(points: Sequence[Point]) -> list[int]:
    """Indices of points of (accuracy, cost), the first being the best: front after front, each as an ε-net.

    A front begins with its most accurate point; next comes whatever is farthest from those before, both objectives
    being scaled to the range of all points. Of several that are alike the more accurate, then the first.
    """
    if not points:
        return []
    values = np.array(points, dtype=np.float64)
    scaled = values / np.maximum(np.ptp(values, axis=0), 1e-300)
    left, order = list(range(len(points))), list[int]()
    while left:
        members = [left[place] for place in front([points[index] for index in left])]
        left = [index for index in left if index not in members]
        # By falling accuracy, so that the first of the farthest is the most accurate.
        members.sort(key=lambda index: (-points[index][0], index))
        distances = np.full(len(members), np.inf)
        for _ in range(len(members)):
            place = int(distances.argmax())
            order.append(members[place])
            # Rounded, so that what is as far is as far.
            found = np.hypot(*(scaled[members] - scaled[members[place]]).T).round(9)
            distances = np.minimum(distances, found)
            distances[place] = -1.0
    return order
