"""The scale of log errors: plain below the knee, compressed beyond, and back again."""

import math
import random

import numpy as np
import pytest

from nas.strategy.error_scale import LEAST_REACH, PLAIN, ErrorScale, compressing

Array = np.ndarray


def log_errors_of(seed: int, count: int = 21) -> Array:
    """Shuffled, some tied, some of networks that failed."""
    rng = random.Random(seed)
    return np.array([rng.choice([math.log(rng.uniform(0.02, 0.3)), math.log(0.1), -1e-3, 0.0]) for _ in range(count)])


def compressed_by_definition(log_error: float, knee: float, reach: float) -> float:
    return log_error if log_error <= knee else knee + reach * math.log(1 + (log_error - knee) / reach)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_above_the_median_is_compressed_by_the_distance_of_the_best(seed: int) -> None:
    log_errors = log_errors_of(seed)
    scale = compressing(log_errors)
    in_order = sorted(log_errors)
    assert scale == ErrorScale(in_order[10], in_order[10] - in_order[0]) == compressing(np.array(in_order))
    expected = [compressed_by_definition(one, scale.knee, scale.reach) for one in log_errors]
    assert scale.compressed(log_errors) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(5))
def test_the_order_stays_and_the_way_back_leads_to_the_same(seed: int) -> None:
    log_errors = log_errors_of(seed)
    scale = compressing(log_errors)
    compressed = scale.compressed(np.sort(log_errors))
    assert (np.diff(compressed)[np.diff(np.sort(log_errors)) > 0] > 0).all()
    assert scale.expanded(compressed) == pytest.approx(np.sort(log_errors))
    assert np.ptp(compressed) < np.ptp(log_errors)


def test_the_plain_scale_changes_nothing() -> None:
    log_errors = log_errors_of(0)
    assert (PLAIN.compressed(log_errors) == log_errors).all() and (PLAIN.expanded(log_errors) == log_errors).all()
    assert (PLAIN.compressed_variances(log_errors, np.full(21, 0.3)) == 0.3).all()


@pytest.mark.parametrize("scale", [PLAIN, ErrorScale(-1.0, 0.5), ErrorScale(-0.1, LEAST_REACH), ErrorScale(0.0, 2.0)])
def test_no_error_is_more_than_all(scale: ErrorScale) -> None:
    with np.errstate(all="raise"):
        assert scale.expanded(np.array([0.5, 700.0, 1e9])) == pytest.approx(0.0)


@pytest.mark.parametrize("seed", range(3))
def test_variances_are_those_of_what_is_compressed(seed: int) -> None:
    log_errors, draws = log_errors_of(seed), np.random.default_rng(seed).standard_normal(20_000)
    scale = compressing(log_errors)
    scattered = scale.compressed(log_errors[:, None] + 0.003 * draws)
    # At the knee itself half the draws are on either side.
    clear = np.abs(log_errors - scale.knee) > 0.02
    found = scale.compressed_variances(log_errors, np.full(len(log_errors), 0.003**2))
    assert found[clear] == pytest.approx(scattered.var(axis=1)[clear], rel=0.05)


@pytest.mark.parametrize("log_errors", [[-1.0], [-1.0] * 5, [-1.0, -1.0, -1.0, -0.5], [-2.0, -1.9999]])
def test_where_the_best_are_alike_the_reach_is_not_nothing(log_errors: list[float]) -> None:
    scale = compressing(np.array(log_errors))
    assert scale.reach == LEAST_REACH
    assert np.isfinite(scale.compressed(np.array([*log_errors, 0.0]))).all()
