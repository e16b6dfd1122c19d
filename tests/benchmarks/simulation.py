"""A search over a table as a discrete-event simulation: workers, learning curves, and the decisions of `nas/`."""

import heapq
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from nas.records.pareto import Point, hypervolume
from nas.strategy.posterior import TrialView
from tests.benchmarks.forecasts import Score
from tests.benchmarks.samplers import Sampler
from tests.benchmarks.table import Table
from tests.benchmarks.table_source import Exhausted, TableSource

# Learning curves: log error(e) = log final error + DECAY·τ + WANDER·B(τ), with τ = ln(epochs / e) and B Brownian
# motion.
DECAY, WANDER = 0.45, 0.06
# No error at all has no logarithm.
LEAST_ERROR = 1e-12


@dataclass(frozen=True)
class Curves:
    """[N, epochs] accuracies of every row after every epoch; the last is that of the table. They are NaN from the epoch
    on in which a training diverges."""

    accuracies: np.ndarray
    epoch_seconds: np.ndarray

    @property
    def epochs(self) -> int:
        return int(self.accuracies.shape[1])

    def diverges_in(self, row: int) -> int | None:
        """The epoch, None where it comes to its end."""
        lost = np.flatnonzero(np.isnan(self.accuracies[row]))
        return int(lost[0]) + 1 if lost.size else None


def learning_curves(table: Table, epochs: int, seed: int) -> Curves:
    """A made-up curve for each row that ends at its accuracy. An epoch takes 0.3 + FLOPs / mean FLOPs seconds."""
    random = np.random.default_rng(seed)
    tau = np.log(epochs / np.arange(epochs, 0, -1))
    steps = random.standard_normal((len(table.rows), epochs - 1)) * np.sqrt(np.diff(tau))
    wander = np.concatenate([np.zeros((len(table.rows), 1)), steps.cumsum(axis=1)], axis=1)
    errors = np.log(np.maximum(1 - table.observed, LEAST_ERROR))[:, None] + DECAY * tau + WANDER * wander
    return Curves(1 - np.minimum(np.exp(errors[:, ::-1]), 1.0), 0.3 + table.flops / table.flops.mean())


def curves_of(table: Table, epochs: int, seed: int) -> Curves:
    """Those that a table has, and made-up ones elsewhere. With one epoch a training each takes as long."""
    alike = np.ones(len(table.rows))
    if table.replay is None:
        curves = learning_curves(table, epochs, seed)
        return curves if epochs > 1 else replace(curves, epoch_seconds=alike)
    if epochs == 1:
        return Curves(table.observed[:, None], alike)
    return Curves(table.replay.seen, table.replay.epoch_seconds)


@dataclass(frozen=True)
class Run:
    """What one simulated search came to: (epochs spent, row) of every full training, in the order of their ends.

    `forecasts`: the scores of what it said of single trials at rungs.
    """

    finished: list[tuple[int, int]]
    duplicates: int
    proposal_seconds: list[float]
    forecasts: Sequence[Score] = ()

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

    # Whether what is stopped may be promoted later.
    keeps_held = False
    # What was said of single trials at rungs.
    forecasts: Sequence[Score] = ()

    def rungs(self) -> tuple[int, ...]:
        return ()

    def should_continue(self, number: int, trials: Sequence[TrialView], epochs_left: float) -> bool:
        return True

    def promotion(self, trials: Sequence[TrialView], epochs_left: float) -> int | None:
        return None


def simulate(
    source: TableSource, curves: Curves, sampler: Sampler, rungs: NoRungs, *, workers: int, most_epochs: float
) -> Run:
    """Searches until `most_epochs` epochs are spent. The epoch in which a training diverges is spent, too."""
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
        diverges = curves.diverges_in(row)
        if diverges is not None:
            level = min(level, diverges)
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
        source.take(row)
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
            diverged = curves.diverges_in(row) == level
            # What an accuracy was worth before the loss went to infinity, nobody knows.
            accuracies = () if diverged else tuple(curves.accuracies[row, :level].tolist())
            trials[number] = replace(trials[number], accuracies=accuracies, status="failed" if diverged else "running")
            arrived.append((number, row, level))
            del reserved[number]
        for number, row, level in arrived:
            if trials[number].status == "failed":
                sampler.stopped(row)
                busy -= 1
            elif level == curves.epochs:
                trials[number] = replace(trials[number], status="finished")
                finished.append((spent, row))
                sampler.finished(row, float(source.table.observed[row]))
                busy -= 1
        for number, row, _ in arrived:
            if trials[number].status != "running":
                continue
            if rungs.should_continue(number, trials, most_epochs - spent - sum(reserved.values())):
                begin(number, now)
            else:
                trials[number] = replace(trials[number], status="held" if rungs.keeps_held else "ended")
                if not rungs.keeps_held:
                    sampler.stopped(row)
                busy -= 1
        while busy < workers and assign(now):
            busy += 1
    return Run(finished, sampler.duplicates, sampler.proposal_seconds)
