"""Rank correlations, against scipy's, and how often their intervals hold what is true."""

import math

import numpy as np
import pytest
from scipy import stats

from trainers.rank_correlation import rank_correlation, spearman


def test_the_correlation_is_scipys_with_equal_values_too() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        ones, others = rng.integers(0, 6, (2, 9)).tolist()
        assert spearman(ones, others) == pytest.approx(stats.spearmanr(ones, others).statistic)


def test_no_correlation_of_two_pairs_or_of_equal_values() -> None:
    assert rank_correlation([], []) is None
    assert rank_correlation([0.1, 0.2], [0.1, 0.2]) is None
    assert rank_correlation([0.1, 0.1, 0.1], [0.1, 0.2, 0.3]) is None


def test_an_order_that_agrees_entirely_is_still_not_sure() -> None:
    few, more = (rank_correlation(range(count), range(count)) for count in (4, 12))
    assert few is not None and more is not None
    assert few.value == few.high == 1 and few.low < 0.3 < 0.6 < more.low < 1
    opposite = rank_correlation(range(4), range(4, 0, -1))
    assert opposite is not None and (opposite.value, opposite.low) == (-1, -1) and opposite.high > -0.3


def test_the_interval_is_near_the_usual_one_where_pairs_are_many() -> None:
    """Fisher's transformation with the variance of Bonett and Wright (2000)."""
    rng = np.random.default_rng(1)
    ones = rng.standard_normal(80)
    others = 0.7 * ones + 0.7 * rng.standard_normal(80)
    found = rank_correlation(ones.tolist(), others.tolist())
    assert found is not None
    width = 1.96 * math.sqrt((1 + found.value**2 / 2) / 77)
    low, high = (math.tanh(math.atanh(found.value) + sign * width) for sign in (-1, 1))
    assert found.low == pytest.approx(low, abs=0.06) and found.high == pytest.approx(high, abs=0.06)
    assert found.low < found.value < found.high


def test_what_is_true_is_covered_as_often_as_promised() -> None:
    rng = np.random.default_rng(2)
    true = 6 / math.pi * math.asin(0.8 / 2)
    covered = 0
    for _ in range(60):
        ones = rng.standard_normal(7)
        others = 0.8 * ones + 0.6 * rng.standard_normal(7)
        found = rank_correlation(ones.tolist(), others.tolist())
        assert found is not None
        covered += found.low <= true <= found.high
    # Of 60 at 95 %, fewer than 52 are one in two hundred.
    assert covered >= 52
