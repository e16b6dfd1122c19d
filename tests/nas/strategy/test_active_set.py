"""What a Gaussian process holds of very many results, against loops over all of them."""

import math

import numpy as np
import pytest

from nas.strategy.active_set import ACTIVE, DEVIATIONS, MOST_EXACT, NEAR_FRONT, Array, active_set

FLOOR = math.log(0.9)


def results(seed: int, count: int) -> tuple[Array, Array, Array]:
    """Log errors, which rise, variances, most of them 0, and costs [N, 1], of which several are equal."""
    random = np.random.default_rng(seed)
    costs = np.asarray(np.round(np.exp(random.uniform(0, 6, count)), 1), dtype=np.float64)
    log_errors = -1 - 0.1 * np.log(costs) + np.abs(random.normal(0, 0.5, count))
    variances: Array = random.choice(np.array([0.0, 0.0, 0.04]), count)
    order = np.argsort(log_errors)
    return log_errors[order], variances[order], costs[order, None]


def above_the_front(log_errors: Array, variances: Array, costs: Array) -> list[float]:
    """How far each is, at its best, above the best full training that costs no more, as a loop."""
    full = [(e, cost) for e, variance, cost in zip(log_errors, variances, costs, strict=True) if variance == 0]
    found = []
    for value, variance, cost in zip(log_errors, variances, costs, strict=True):
        best = min([FLOOR, *(other for other, price in full if (price <= cost).all())])
        found.append(value - DEVIATIONS * math.sqrt(variance) - best)
    return found


def with_another_cost(count: int) -> tuple[Array, Array, Array]:
    log_errors, variances, costs = results(7, count)
    other = np.random.default_rng(8).permutation(costs)
    return log_errors, variances, np.concatenate([costs, other], axis=1)


@pytest.mark.parametrize("count", [1, 4, MOST_EXACT])
def test_what_is_not_very_many_is_all_held(count: int) -> None:
    assert active_set(*results(0, count), FLOOR).tolist() == list(range(count))


@pytest.mark.parametrize(("costs_each", "count"), [(1, MOST_EXACT + 1), (1, 1600), (2, 1200)])
def test_the_nearest_to_the_front_are_held_and_some_of_all_others(costs_each: int, count: int) -> None:
    log_errors, variances, costs = results(0, count) if costs_each == 1 else with_another_cost(count)
    held = active_set(log_errors, variances, costs, FLOOR)
    assert len(set(held.tolist())) == ACTIVE and held.tolist() == sorted(held)
    distances = above_the_front(log_errors, variances, costs)
    nearest = sorted(distances)[NEAR_FRONT - 100]
    assert {index for index, distance in enumerate(distances) if distance <= nearest} <= set(held.tolist())
    # The rest reaches to the worst, some from everywhere between.
    assert held[-1] == count - 1
    assert np.histogram(held, bins=10, range=(0, count))[0].min() >= 10


def test_the_front_of_what_was_trained_fully_is_held_whatever_else_may_come() -> None:
    """Though more than are held near the front may be better than it."""
    random = np.random.default_rng(0)
    costs = np.concatenate([np.arange(1, 31.0), random.uniform(1, 30, 2000)])
    log_errors = np.concatenate([-1 - 0.01 * np.arange(30), np.sort(random.uniform(-3, -1.5, 2000))])
    variances = np.concatenate([np.zeros(30), np.full(2000, 0.2)])
    order = np.argsort(log_errors)
    held = active_set(log_errors[order], variances[order], costs[order, None], FLOOR)
    assert set(np.flatnonzero(order < 30).tolist()) <= set(held.tolist()) and len(held) == ACTIVE


def test_the_unit_of_the_cost_does_not_matter() -> None:
    log_errors, variances, costs = results(3, 1500)
    held = active_set(log_errors, variances, costs, FLOOR)
    assert (held == active_set(log_errors, variances, costs * 1e-9, FLOOR)).all()
