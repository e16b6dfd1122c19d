"""How well one order agrees with another: Spearman's rank correlation, and how sure that is of so few pairs.

Shapes: N pairs, S simulated samples.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainers.intervals import CONFIDENCE

# Fewer pairs than that say nothing of an order.
FEWEST_PAIRS = 3
_SAMPLES = 4000
_SEED = 0
# As near to 1 as the correlation of a simulated pair goes.
_NEAREST = 0.9999


@dataclass(frozen=True, slots=True)
class RankCorrelation:
    """Spearman's correlation of so many pairs, -1 to 1, and the two ends of its 95 % interval."""

    value: float
    low: float
    high: float
    pairs: int

    def to_json(self) -> dict[str, Any]:
        return {"spearman": self.value, "low": self.low, "high": self.high, "pairs": self.pairs}


def rank_correlation(ones: Sequence[float], others: Sequence[float]) -> RankCorrelation | None:
    """The rank correlation of pairs; None of fewer than three, or where all of one kind are equal.

    The interval holds every correlation under which what was found is not among the most extreme 2.5 % of samples to
    either side (a test turned round, as Clopper and Pearson's), for pairs that are normally distributed but for their
    scales, which ranks do not see. It therefore holds for few pairs, and where they agree entirely, too, where the
    usual approximations give no interval. Simulated, from a fixed seed.
    """
    value = spearman(ones, others) if len(ones) >= FEWEST_PAIRS else None
    if value is None:
        return None
    count = len(ones)
    rng = np.random.default_rng(_SEED)
    first_SN, noise_SN = rng.standard_normal((2, _SAMPLES, count))
    ranks_SN = _orders(first_SN)

    def simulated(correlation: float) -> NDArray[np.float64]:
        second_SN = correlation * first_SN + np.sqrt(1 - correlation**2) * noise_SN
        squares_S = ((ranks_SN - _orders(second_SN)) ** 2).sum(1)
        found: NDArray[np.float64] = 1 - 6 * squares_S / (count * (count**2 - 1))
        return found

    tail = (1 - CONFIDENCE) / 2
    low = _bisected(lambda correlation: float((simulated(correlation) >= value - 1e-9).mean()) >= tail)
    high = -_bisected(lambda correlation: float((simulated(-correlation) <= value + 1e-9).mean()) >= tail)
    return RankCorrelation(value, min(value, _of_ranks(low)), max(value, _of_ranks(high)), count)


def spearman(ones: Sequence[float], others: Sequence[float]) -> float | None:
    """Spearman's correlation, equal values having the mean of their ranks; None where all of one kind are equal."""
    deviations = [ranks - ranks.mean() for ranks in (_mean_ranks(ones), _mean_ranks(others))]
    squares = float((deviations[0] ** 2).sum() * (deviations[1] ** 2).sum())
    return float((deviations[0] * deviations[1]).sum()) / math.sqrt(squares) if squares else None


def _mean_ranks(values: Sequence[float]) -> NDArray[np.float64]:
    _, place_N, counts = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: NDArray[np.float64] = last - (counts - 1) / 2
    return mean[place_N]


def _orders(values_SN: NDArray[np.float64]) -> NDArray[np.int64]:
    orders: NDArray[np.int64] = values_SN.argsort(1).argsort(1)
    return orders


def _bisected(holds: Callable[[float], bool]) -> float:
    """The least correlation from which on a condition holds, -1 where it always does."""
    if holds(-_NEAREST):
        return -1.0
    low, high = -_NEAREST, _NEAREST
    for _ in range(14):
        middle = (low + high) / 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _of_ranks(correlation: float) -> float:
    """Spearman's correlation of normally distributed pairs whose own correlation is this."""
    return float(6 / np.pi * np.arcsin(correlation / 2))
