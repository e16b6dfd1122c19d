"""Who trains on past a rung: its promises, on shuffled, tied and degenerate rungs with any improvements."""

import random

import pytest

from nas.records.pareto import Point, dominates
from nas.strategy.halving import lifted_improvement, promoted, rung_epochs, should_continue

Peer = tuple[Point, float]


def random_rung(seed: int) -> list[Peer]:
    """Points of one cost, or of two, with ties in any objective and in all, and improvements that have nothing to do
    with them.
    """
    rng = random.Random(seed)
    levels, costs = rng.choice([2, 4, 1000]), 1 + seed % 2

    def point() -> Point:
        return rng.randint(0, levels) / levels, *(float(rng.randint(1, levels)) for _ in range(costs))

    trials = [(point(), rng.choice([0.0, 1.0, rng.random()])) for _ in range(rng.randint(1, 30))]
    trials += trials[: rng.randint(0, 3)]
    rng.shuffle(trials)
    return trials


def going(trials: list[Peer], *, rival_improvement: float = 8.0, factor: int = 3, remaining: int = 6) -> list[bool]:
    """What becomes of each trial of a rung when the others have been there."""
    return [
        should_continue(
            point,
            improvement,
            trials[:index] + trials[index + 1 :],
            remaining_epochs=remaining,
            epochs=9,
            rival_improvement=rival_improvement,
            reduction_factor=factor,
        )
        for index, (point, improvement) in enumerate(trials)
    ]


@pytest.mark.parametrize(
    ("arguments", "rungs"),
    [((1, 9, 3), (1, 3)), ((2, 54, 3), (2, 6, 18)), ((1, 1, 3), ()), ((5, 4, 2), ()), ((1, 8, 2), (1, 2, 4))],
)
def test_rungs_stop_short_of_the_full_budget(arguments: tuple[int, int, int], rungs: tuple[int, ...]) -> None:
    assert rung_epochs(*arguments) == rungs


@pytest.mark.parametrize("rival_improvement", [0.125, 0.5, 1.25])
@pytest.mark.parametrize("seed", range(60))
def test_nothing_goes_on_while_what_dominates_it_is_stopped(seed: int, rival_improvement: float) -> None:
    trials = random_rung(seed)
    fates = going(trials, rival_improvement=rival_improvement)
    for (point, _), goes in zip(trials, fates, strict=True):
        for (other, _), other_goes in zip(trials, fates, strict=True):
            if dominates(point, other):
                assert goes or not other_goes


def test_rungs_of_the_property_stop_some_and_not_all() -> None:
    fates = [fate for seed in range(60) for fate in going(random_rung(seed), rival_improvement=0.5)]
    assert 0.1 < sum(fates) / len(fates) < 0.99


@pytest.mark.parametrize("seed", range(40))
def test_a_gain_is_lifted_to_the_most_of_what_is_dominated(seed: int) -> None:
    trials = random_rung(seed)
    for point, improvement in trials:
        highest = improvement
        for (accuracy, *costs), other in trials:
            no_worse = point[0] >= accuracy and all(mine <= its for mine, its in zip(point[1:], costs, strict=True))
            if no_worse and point != (accuracy, *costs) and other > highest:
                highest = other
        assert lifted_improvement(point, improvement, trials) == highest


def test_the_rate_is_the_gain_for_each_epoch_that_remains() -> None:
    peers = [((0.9, 1.0), 0.0), ((0.8, 1.0), 0.0)]

    def fate(improvement: float, remaining: int) -> bool:
        return should_continue(
            (0.1, 9.0),
            improvement,
            peers,
            remaining_epochs=remaining,
            epochs=8,
            rival_improvement=4.0,
            reduction_factor=3,
        )

    for remaining in (1, 2, 6):
        least = 4.0 / 8 * remaining
        assert fate(least, remaining) and not fate(0.99 * least, remaining)


def test_where_nothing_else_is_worth_anything_every_trial_goes_on() -> None:
    for seed in range(10):
        assert all(going(random_rung(seed), rival_improvement=0.0))


@pytest.mark.parametrize("scale", [2.0**40, 2.0**-60])
@pytest.mark.parametrize("seed", range(40))
def test_units_and_order_do_not_matter(seed: int, scale: float) -> None:
    trials = random_rung(seed)
    order = random.Random(seed).sample(range(len(trials)), len(trials))
    fates = going(trials)
    points: list[Point] = [(point[0], *(cost * scale for cost in point[1:])) for point, _ in trials]
    scaled = [(points[i], trials[i][1] * scale) for i in order]
    assert going(scaled, rival_improvement=8.0 * scale) == [fates[index] for index in order]


@pytest.mark.parametrize("factor", [2, 3, 5])
def test_fewer_trials_than_the_factor_stop_nobody(factor: int) -> None:
    worst: Peer = ((0.1, 100.0), 0.0)
    for count in range(1, factor):
        assert all(going([worst, *[((0.9, 1.0), 5.0)] * (count - 1)], rival_improvement=1e9, factor=factor))
    assert not any(going([worst] * factor, rival_improvement=1e9, factor=factor))


@pytest.mark.parametrize("seed", range(20))
def test_equal_trials_share_their_fate(seed: int) -> None:
    trials = random_rung(seed)
    trials += trials
    half = len(trials) // 2
    fates = going(trials)
    assert fates[:half] == fates[half:]


@pytest.mark.parametrize("seed", range(20))
def test_the_highest_rate_is_promoted_unless_something_fresh_beats_it(seed: int) -> None:
    rng = random.Random(seed)
    rates = [rng.choice([0.0, 0.25, 0.5, rng.random()]) for _ in range(rng.randint(1, 10))]
    fresh = rng.choice([0.0, 0.25, 0.5, rng.random(), 2.0])
    best = None
    for index, rate in enumerate(rates):
        if rate > 0 and rate >= fresh and (best is None or rate > rates[best]):
            best = index
    assert promoted(rates, fresh) == best


def test_nothing_is_promoted_without_a_gain() -> None:
    assert promoted([], 0.0) is None
    assert promoted([0.0, 0.0], 0.0) is None
    assert promoted([0.5, 0.5], 0.5) == 0
