"""How good a search's predictions are where they matter: a proper score of them, on networks near the true front."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from nas.records.pareto import Point
from nas.strategy.expected_improvement import regions_of
from nas.strategy.posterior import Posterior
from tests.benchmarks.table import Table
from tests.benchmarks.table_source import TableSource

# So many networks are predicted, those nearest to the true front; on so many values of the log error.
NEAREST, GRID = 100, 800
INTERVAL = (0.05, 0.95)


@dataclass(frozen=True, slots=True)
class Score:
    """Of what was predicted of networks near the true front that had not been trained, after `evaluations`; in a search
    with learning curves of `evaluations` full trainings, of trials at rungs, from when ten have come to one.

    `crps`: the mean continuous ranked probability score of the log error, 0 at best. `coverage`: the share of networks
    within the prediction's 90 % interval.
    """

    evaluations: int
    crps: float
    coverage: float


def nearest_to_front(table: Table, reference: Point) -> list[int]:
    """The rows within the reference whose log error is least above that of the true front at their FLOPs."""
    steps = regions_of(table.points(range(len(table.rows))), reference)
    best = steps.accuracies[np.searchsorted(steps.lower[:, 0], table.flops, side="right") - 1]
    distances = np.log(np.maximum(1 - table.accuracy, 1e-6)) - np.log(np.maximum(1 - best, 1e-6))
    inside = np.flatnonzero((table.flops < reference[1]) & (table.accuracy > reference[0]))
    return [int(row) for row in inside[np.argsort(distances[inside], kind="stable")][:NEAREST]]


def score(posterior: Posterior, rows: list[int], source: TableSource, resolution: float, evaluations: int) -> Score:
    """Of the predictions of `rows`: the continuous ranked probability score (Gneiting and Raftery 2007), the mean over
    them, and what share is within the 90 % intervals.
    """
    truth = np.log(np.maximum(1 - source.table.observed[rows], resolution))
    grid = np.linspace(np.log(resolution), 0.0, GRID)
    candidates = [source.candidate(row) for row in rows]
    below = posterior.probabilities_below(candidates, grid)
    squares = (below - (grid >= truth[:, None])) ** 2
    crps = np.trapezoid(squares, grid, axis=1)
    reached = posterior.probabilities_below(candidates, truth).diagonal()
    inside = (reached >= INTERVAL[0]) & (reached <= INTERVAL[1])
    return Score(evaluations, float(crps.mean()), float(inside.mean()))


def normal_crps(truth: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """[N] continuous ranked probability scores of normal forecasts, less being better (equation 21 there)."""
    z = (truth - mean) / deviation
    density = np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi)
    return np.asarray(deviation * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / np.sqrt(np.pi)))
