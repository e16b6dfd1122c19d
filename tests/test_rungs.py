"""Successive halving on a front: its promises, on shuffled, tied and degenerate rungs."""

import random

import pytest

from nas.pareto import dominates, front
from nas.rungs import goes_on, priorities, rung_epochs


def random_rung(seed: int) -> list[tuple[float, float]]:
    state = random.Random(seed)
    levels = state.choice([2, 4, 1000])
    return [(state.randint(0, levels) / levels, float(state.randint(1, levels))) for _ in range(state.randint(1, 30))]


def survivors(points: list[tuple[float, float]], factor: int) -> list[bool]:
    return [goes_on(point, points[:index] + points[index + 1 :], factor) for index, point in enumerate(points)]


@pytest.mark.parametrize(
    ("arguments", "rungs"),
    [((1, 9, 3), (1, 3)), ((2, 54, 3), (2, 6, 18)), ((1, 1, 3), ()), ((5, 4, 2), ()), ((1, 8, 2), (1, 2, 4))],
)
def test_rungs_stop_short_of_the_full_budget(arguments: tuple, rungs: tuple) -> None:
    assert rung_epochs(*arguments) == rungs


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("seed", range(40))
def test_nothing_is_preferred_to_what_dominates_it(seed: int, factor: int) -> None:
    points = random_rung(seed)
    going = survivors(points, factor)
    for point, goes in zip(points, going, strict=True):
        for other, other_goes in zip(points, going, strict=True):
            if dominates(other, point):
                assert other_goes or not goes


@pytest.mark.parametrize("seed", range(40))
def test_the_best_share_goes_on(seed: int) -> None:
    """Every distinct key below the cut goes on, so with distinct keys it is one in three, rounded up."""
    points = random_rung(seed)
    if len(points) < 3:
        assert all(survivors(points, 3))
        return
    keys = priorities(points)
    expected = [3 * sum(other < key for other in keys) < len(keys) for key in keys]
    assert survivors(points, 3) == expected
    assert any(expected)


@pytest.mark.parametrize("seed", range(40))
def test_units_and_order_do_not_matter(seed: int) -> None:
    points = random_rung(seed)
    order = list(range(len(points)))
    random.Random(seed).shuffle(order)
    going = survivors(points, 3)
    scaled = [(points[index][0], points[index][1] * 2.0**40) for index in order]
    assert survivors(scaled, 3) == [going[index] for index in order]


def test_fewer_peers_than_the_factor_stop_nobody() -> None:
    worst = (0.1, 100.0)
    assert goes_on(worst, [], 3)
    assert goes_on(worst, [(0.9, 1.0)], 3)
    assert not goes_on(worst, [(0.9, 1.0), (0.8, 2.0)], 3)


def test_equal_trials_share_their_fate() -> None:
    assert all(survivors([(0.5, 1.0)] * 7, 3))
    mixed = [(0.5, 1.0)] * 3 + [(0.4, 2.0)] * 3
    assert survivors(mixed, 2) == [True] * 3 + [False] * 3


def test_a_newcomer_that_dominates_everything_goes_on() -> None:
    for seed in range(20):
        peers = random_rung(seed)
        assert goes_on((1.1, 0.5), peers, 3)


def test_a_cheap_trial_on_the_front_is_not_lost_to_accurate_ones() -> None:
    accurate = [(0.90 + 0.001 * index, 100.0 + index) for index in range(8)]
    assert goes_on((0.5, 1.0), accurate, 3)
    assert len(front([(0.5, 1.0), *accurate])) == 9
