"""The proper score of predictions, against the closed form of a normal distribution and against what is well known."""

import math
from collections.abc import Sequence
from typing import cast

import numpy as np
import pytest
from scipy.special import ndtr

from nas.records.pareto import front
from nas.strategy.candidates import Candidate
from nas.strategy.posterior import Posterior
from tests.benchmarks.forecasts import nearest_to_front, score
from tests.benchmarks.table import Table
from tests.benchmarks.table_source import TableSource

RNG = np.random.default_rng(0)
FLOPS = RNG.uniform(1, 100, 400)
ERRORS = np.exp(-1.5 - 0.01 * FLOPS + 0.3 * RNG.standard_normal(400))
ROWS: list[tuple[int | float | str | bool, ...]] = [(index,) for index in range(400)]
TABLE = Table({"choice_0": tuple(range(400))}, ROWS, FLOPS, FLOPS, 1 - ERRORS, 1 - ERRORS)


class Normal:
    """Predicts that every log error is normal."""

    def __init__(self, mean: float, deviation: float) -> None:
        self._mean, self._deviation = mean, deviation

    def probabilities_below(self, candidates: Sequence[Candidate], log_errors: np.ndarray) -> np.ndarray:
        return np.tile(ndtr((log_errors - self._mean) / self._deviation), (len(candidates), 1))


def scored(mean: float, deviation: float, rows: list[int]) -> tuple[float, float]:
    found = score(cast(Posterior, Normal(mean, deviation)), rows, TableSource(TABLE), 1e-5, 7)
    assert found.evaluations == 7
    return found.crps, found.coverage


@pytest.mark.parametrize(("mean", "deviation"), [(-2.0, 0.3), (-1.5, 1.0), (-3.0, 0.1)])
def test_the_score_is_that_of_a_normal(mean: float, deviation: float) -> None:
    """Gneiting and Raftery 2007, equation 21."""
    rows = list(range(50))
    z = (np.log(ERRORS[rows]) - mean) / deviation
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    closed = deviation * (z * (2 * ndtr(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))
    crps, coverage = scored(mean, deviation, rows)
    # Of the deviation 1.0 some lies beyond an error of 100 %, where no truth is.
    assert crps == pytest.approx(closed.mean(), abs=0.02)
    assert coverage == np.mean(np.abs(z) < 1.6448536)


def test_the_truth_scores_best() -> None:
    rows = list(range(400))
    truth = np.log(ERRORS)
    best = scored(float(truth.mean()), float(truth.std()), rows)
    assert 0.8 < best[1] < 1
    for mean, deviation in ((-1.0, 0.4), (-2.0, 0.01), (-2.0, 3.0)):
        assert scored(mean, deviation, rows)[0] > best[0]


def test_the_nearest_are_the_front_first() -> None:
    reference = (0.5, 90.0)
    nearest = nearest_to_front(TABLE, reference)
    points = TABLE.points(range(400))
    members = {index for index in front(points) if points[index][0] > reference[0] and points[index][1] < reference[1]}
    assert set(nearest[: len(members)]) == members and len(set(nearest)) == 100
    assert all(points[row][0] > reference[0] and points[row][1] < reference[1] for row in nearest)
