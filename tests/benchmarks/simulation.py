"""A search over a table as a discrete-event simulation: workers, learning curves, and the decisions of `nas/`."""

import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.records.pareto import Point, hypervolume
from nas.strategy.decisions import Decisions
from nas.strategy.posterior import TrialView
from tests.benchmarks.samplers import Exhausted, Sampler
from tests.benchmarks.table import Table, TableSource

# Learning curves: log error(e) = log final error + DECAY·τ + WANDER·B(τ), with τ = ln(epochs / e) and B Brownian
# motion.
DECAY, WANDER = 0.45, 0.06


@dataclass(frozen=True)
class Curves:
    """[N, epochs] accuracies of every row after every epoch; the last is that of the table."""

    accuracies: np.ndarray
    epoch_seconds: np.ndarray

    @property
    def epochs(self) -> int:
        return int(self.accuracies.shape[1])


def learning_curves(table: Table, epochs: int, seed: int) -> Curves:
    """A curve for each row that ends at its accuracy. An epoch takes 0.3 + FLOPs / mean FLOPs seconds."""
    random = np.random.default_rng(seed)
    tau = np.log(epochs / np.arange(epochs, 0, -1))
    steps = random.standard_normal((len(table.rows), epochs - 1)) * np.sqrt(np.diff(tau))
    wander = np.concatenate([np.zeros((len(table.rows), 1)), steps.cumsum(axis=1)], axis=1)
    errors = np.log(1 - table.observed)[:, None] + DECAY * tau + WANDER * wander
    return Curves(1 - np.minimum(np.exp(errors[:, ::-1]), 1.0), 0.3 + table.flops / table.flops.mean())


@dataclass(frozen=True)
class Run:
    """What one simulated search came to: (epochs spent, row) of every full training, in the order of their ends."""

    finished: list[tuple[int, int]]
    duplicates: int
    proposal_seconds: list[float]

    def hypervolume_after(self, epochs: float, table: Table, reference: Point) -> float:
        """The hypervolume of what was finished by then, as scored."""
        return hypervolume(table.points([row for spent, row in self.finished if spent <= epochs]), reference)

    def epochs_to(self, share: float, table: Table, reference: Point) -> float:
        """The epochs spent when the front first had this share of the true hypervolume; inf where it never had."""
        goal = share * table.hypervolume(reference)
        best: list[Point] = []
        for spent, row in self.finished:
            best += table.points([row])
            if hypervolume(best, reference) >= goal - 1e-12:
                return spent
        return math.inf


class NoRungs:
    """Trains everything to the end."""

    def rungs(self) -> tuple[int, ...]:
        return ()

    def should_continue(self, number: int, trials: Sequence[TrialView], epochs_left: float) -> bool:
        return True

    def promotion(self, trials: Sequence[TrialView], epochs_left: float) -> int | None:
        return None


class GainRungs(NoRungs):
    """This project's: goes on, holds back and promotes by expected improvement an epoch."""

    def __init__(self, decisions: Decisions, rungs: tuple[int, ...]) -> None:
        self._decisions = decisions
        self._rungs = rungs

    def rungs(self) -> tuple[int, ...]:
        return self._rungs

    def should_continue(self, number: int, trials: Sequence[TrialView], epochs_left: float) -> bool:
        return self._decisions.should_continue(number, self._decisions.state(trials), epochs_left)

    def promotion(self, trials: Sequence[TrialView], epochs_left: float) -> int | None:
        if not any(trial.status == "held" for trial in trials):
            return None
        return self._decisions.promotion(self._decisions.state(trials), epochs_left)


class AccuracyRungs(NoRungs):
    """Ray Tune's own ASHA, which ranks accuracy alone and only stops."""

    def __init__(self, asha: Callable[[int, int, float], bool], rungs: tuple[int, ...]) -> None:
        self._asha = asha
        self._rungs = rungs

    def rungs(self) -> tuple[int, ...]:
        return self._rungs

    def should_continue(self, number: int, trials: Sequence[TrialView], epochs_left: float) -> bool:
        accuracies = trials[number].accuracies
        return self._asha(number, len(accuracies), accuracies[-1])


def simulate(
    table: Table,
    curves: Curves,
    sampler: Sampler,
    rungs: NoRungs,
    *,
    workers: int,
    most_epochs: float,
    keeps_held: bool,
) -> Run:
    """Searches until `most_epochs` epochs are spent. Stopped trials stay candidates where `keeps_held`."""
    source = TableSource(table)
    trials: list[TrialView] = []
    levels = (*rungs.rungs(), curves.epochs)
    events: list[tuple[float, int, int, int]] = []
    order = itertools.count()
    finished: list[tuple[int, int]] = []
    spent = 0
    reserved: dict[int, int] = {}

    def begin(number: int, now: float) -> None:
        done = len(trials[number].accuracies)
        level = next(level for level in levels if level > done)
        row = int(trials[number].candidate.key)
        heapq.heappush(events, (now + (level - done) * curves.epoch_seconds[row], next(order), number, level))
        reserved[number] = curves.epochs - done

    def assign(now: float) -> bool:
        left = most_epochs - spent - sum(reserved.values())
        held = rungs.promotion(trials, left)
        if held is not None:
            trials[held] = replace(trials[held], status="running")
            begin(held, now)
            return True
        if left < curves.epochs:
            return False
        try:
            row = sampler.propose(trials)
        except Exhausted:
            return False
        trials.append(TrialView(len(trials), source.candidate(row), (), "running"))
        begin(len(trials) - 1, now)
        return True

    busy = 0
    while busy < workers and assign(0.0):
        busy += 1
    while events:
        now = events[0][0]
        # Everything that ends at one moment is known before anything is decided on it.
        arrived = []
        while events and events[0][0] == now:
            _, _, number, level = heapq.heappop(events)
            done = len(trials[number].accuracies)
            spent += level - done
            row = int(trials[number].candidate.key)
            accuracies = tuple(curves.accuracies[row, :level].tolist())
            trials[number] = replace(trials[number], accuracies=accuracies)
            arrived.append((number, row, level))
            del reserved[number]
        for number, row, level in arrived:
            if level == curves.epochs:
                trials[number] = replace(trials[number], status="finished")
                finished.append((spent, row))
                sampler.finished(row, float(table.observed[row]))
                busy -= 1
        for number, row, level in arrived:
            if level == curves.epochs:
                continue
            if rungs.should_continue(number, trials, most_epochs - spent - sum(reserved.values())):
                begin(number, now)
            else:
                trials[number] = replace(trials[number], status="held" if keeps_held else "ended")
                if not keeps_held:
                    sampler.stopped(row)
                busy -= 1
        while busy < workers and assign(now):
            busy += 1
    return Run(finished, sampler.duplicates, sampler.proposal_seconds)
