"""Expected hypervolume improvement against Monte Carlo, quadrature and brute force."""

import math
import random
from collections.abc import Sequence

import moocore
import numpy as np
import pytest

from nas.records.pareto import Point, hypervolume
from nas.strategy.error_scale import ErrorScale
from nas.strategy.expected_improvement import expected_hypervolume_improvement, regions_of

REFERENCE = (0.3, 90.0)


def random_points(seed: int, count: int) -> list[Point]:
    """Shuffled, with ties in either objective and points beyond the reference."""
    rng = random.Random(seed)
    points: list[Point] = [(rng.randint(0, 12) / 12, float(rng.randint(1, 100))) for _ in range(count)]
    points += points[: count // 3]
    rng.shuffle(points)
    return points


def gain_of(point: Point, points: Sequence[Point], reference: Point = REFERENCE) -> float:
    return hypervolume([*points, point], reference) - hypervolume(points, reference)


def expected(
    mean: float, variance: float, flops: float, points: Sequence[Point], reference: Point = REFERENCE
) -> float:
    regions, costs = regions_of(points, reference), np.array([[flops]])
    return float(expected_hypervolume_improvement(np.array([mean]), np.array([variance]), costs, regions)[0])


@pytest.mark.parametrize("count", [0, 1, 3, 20])
@pytest.mark.parametrize("seed", range(3))
def test_steps_are_the_best_accuracy_for_given_flops(seed: int, count: int) -> None:
    points = random_points(seed, count)
    steps = regions_of(points, REFERENCE)
    starts, ends = steps.lower[:, 0], steps.upper[:, 0]
    assert starts[0] == 0 and ends[-1] == REFERENCE[1] and (starts[1:] == ends[:-1]).all() and (starts < ends).all()
    for flops in [0.5, *np.arange(1, 90, 0.5)]:
        best = max([REFERENCE[0], *(accuracy for accuracy, at in points if at <= flops)])
        assert steps.accuracies[np.searchsorted(starts, flops, side="right") - 1] == best


@pytest.mark.parametrize("count", [0, 1, 4, 20])
@pytest.mark.parametrize("seed", range(3))
def test_the_gain_is_the_mean_over_draws(seed: int, count: int) -> None:
    points = random_points(seed, count)
    mean, variance, flops = [(-1.2, 0.3, 20.0), (-3.0, 1.0, 5.0), (-0.5, 0.05, 60.0)][seed]
    draws = mean + math.sqrt(variance) * np.random.default_rng(seed).standard_normal(4000)
    improvements = np.array([gain_of((1 - math.exp(z), flops), points) for z in draws])
    error = improvements.std() / math.sqrt(len(improvements))
    assert expected(mean, variance, flops, points) == pytest.approx(improvements.mean(), abs=5 * error + 1e-9)


@pytest.mark.parametrize("count", [0, 1, 4, 20])
@pytest.mark.parametrize("seed", range(3))
def test_the_gain_is_the_integral(seed: int, count: int) -> None:
    points = random_points(10 + seed, count)
    rng = random.Random(seed)
    mean, variance, flops = rng.uniform(-3, 0), rng.uniform(0.01, 2), rng.uniform(1, 89)
    grid = np.linspace(-9, 9, 6001)
    density = np.exp(-0.5 * grid**2) / math.sqrt(2 * math.pi)
    improvements = np.array([gain_of((1 - math.exp(mean + math.sqrt(variance) * z), flops), points) for z in grid])
    integral = float(np.sum(improvements * density) * (grid[1] - grid[0]))
    assert expected(mean, variance, flops, points) == pytest.approx(integral, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_a_sure_thing_gains_what_it_adds(seed: int) -> None:
    points = random_points(seed, seed)
    rng = random.Random(seed)
    for _ in range(20):
        point = (rng.randint(1, 23) / 24, float(rng.randint(1, 110)))
        found = expected(math.log(1 - point[0]), 1e-16, point[1], points)
        assert found == pytest.approx(gain_of(point, points), abs=1e-5)


def test_nothing_is_gained_beyond_the_reference() -> None:
    assert expected(-2.0, 1.0, REFERENCE[1], []) == 0
    assert expected(-2.0, 1.0, 2 * REFERENCE[1], random_points(0, 5)) == 0
    assert expected(math.log(0.9), 1e-12, 1.0, []) == 0


def test_nothing_is_gained_over_what_cannot_be_better() -> None:
    assert expected(-2.0, 1.0, 5.0, [(1.0, 1.0)]) == pytest.approx(0, abs=1e-12)


def test_the_cheaper_or_the_less_certain_of_two_alike_gains_more() -> None:
    points = [(0.8, 10.0), (0.9, 40.0)]
    cheap, dear = (expected(math.log(0.12), 0.01, flops, points) for flops in (12.0, 30.0))
    sure, unsure = (expected(math.log(0.25), variance, 20.0, points) for variance in (0.01, 0.5))
    assert cheap > dear and unsure > sure


@pytest.mark.parametrize("scale", [2.0**40, 2.0**-60])
def test_another_unit_of_flops_changes_the_scale_alone(scale: float) -> None:
    points = random_points(1, 12)
    scaled = [(accuracy, flops * scale) for accuracy, flops in points]
    here = expected(-1.5, 0.4, 7.0, points)
    assert expected(-1.5, 0.4, 7.0 * scale, scaled, (REFERENCE[0], REFERENCE[1] * scale)) == here * scale


def test_many_at_once_are_each_on_its_own() -> None:
    points = random_points(2, 10)
    rng = np.random.default_rng(0)
    means, variances, flops = rng.normal(-1.5, 1, 30), rng.random(30), rng.uniform(1, 120, 30)
    together = expected_hypervolume_improvement(means, variances, flops[:, None], regions_of(points, REFERENCE))
    alone = [expected(m, v, f, points) for m, v, f in zip(means, variances, flops, strict=True)]
    assert together == pytest.approx(alone)


def test_the_order_of_the_points_does_not_matter() -> None:
    points = random_points(3, 15)
    improvements = {expected(-1.0, 0.3, 25.0, random.Random(seed).sample(points, len(points))) for seed in range(10)}
    assert len(improvements) == 1


def points_of_several_costs(seed: int, count: int, costs: int) -> list[Point]:
    """Shuffled, with ties in any objective and points beyond the reference."""
    rng = random.Random(seed)
    points = [(rng.randint(0, 12) / 12, *(float(rng.randint(1, 10)) for _ in range(costs))) for _ in range(count)]
    points += points[: count // 3]
    rng.shuffle(points)
    return points


def minimised(points: Sequence[Point]) -> "np.ndarray[tuple[int, int], np.dtype[np.float64]]":
    return np.array([(-point[0], *point[1:]) for point in points])


def volume_by_library(points: Sequence[Point], reference: Point) -> float:
    if not points:
        return 0.0
    return float(moocore.hypervolume(minimised(points), ref=[-reference[0], *reference[1:]]))


@pytest.mark.parametrize("costs", [2, 3])
@pytest.mark.parametrize("count", [0, 1, 4, 20])
@pytest.mark.parametrize("seed", range(3))
def test_the_gain_at_several_costs_is_the_mean_over_draws(seed: int, count: int, costs: int) -> None:
    points, reference = points_of_several_costs(seed, count, costs), (0.3, *([9.0] * costs))
    mean, variance = [(-1.2, 0.3), (-3.0, 1.0), (-0.5, 0.05)][seed]
    cost = tuple(float(random.Random(seed).randint(1, 7)) for _ in range(costs))
    draws = 1 - np.exp(mean + math.sqrt(variance) * np.random.default_rng(seed).standard_normal(3000))
    before = volume_by_library(points, reference)
    gains = np.array([volume_by_library([*points, (draw, *cost)], reference) - before for draw in draws.tolist()])
    found = expected_hypervolume_improvement(
        np.array([mean]), np.array([variance]), np.array([cost]), regions_of(points, reference)
    )
    assert found[0] == pytest.approx(gains.mean(), abs=5 * gains.std() / math.sqrt(len(gains)) + 1e-9)


@pytest.mark.parametrize("costs", [2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_a_sure_thing_gains_at_several_costs_what_it_adds(seed: int, costs: int) -> None:
    points, reference = points_of_several_costs(seed, 3 * seed, costs), (0.3, *([9.0] * costs))
    rng = random.Random(seed)
    sure = [(rng.randint(1, 23) / 24, *(float(rng.randint(1, 10)) for _ in range(costs))) for _ in range(20)]
    found = expected_hypervolume_improvement(
        np.log([1 - point[0] for point in sure]),
        np.full(len(sure), 1e-16),
        np.array([point[1:] for point in sure]),
        regions_of(rng.sample(points, len(points)), reference),
    )
    before = volume_by_library(points, reference)
    added = [volume_by_library([*points, point], reference) - before for point in sure]
    assert found == pytest.approx(added, abs=1e-4)


def test_a_second_cost_that_is_the_same_for_all_changes_nothing() -> None:
    points = random_points(4, 12)
    alone = expected(-1.5, 0.4, 7.0, points)
    regions = regions_of([(*point, 3.0) for point in points], (*REFERENCE, 5.0))
    found = expected_hypervolume_improvement(np.array([-1.5]), np.array([0.4]), np.array([[7.0, 3.0]]), regions)
    assert found[0] == pytest.approx(2.0 * alone)


SCALES = [ErrorScale(-1.0, 0.6), ErrorScale(-2.5, 0.2), ErrorScale(-0.4, 3.0), ErrorScale(-1.5, 1e-3)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("count", [0, 1, 4, 20])
@pytest.mark.parametrize("seed", range(3))
def test_the_gain_on_a_compressed_scale_is_the_integral(seed: int, count: int, scale: ErrorScale) -> None:
    points = random_points(20 + seed, count)
    rng = random.Random(seed)
    mean, variance, flops = rng.uniform(-3, 0), rng.choice([1e-4, 0.04, 1.0]), rng.uniform(1, 89)
    grid = np.linspace(-9, 9, 6001)
    density = np.exp(-0.5 * grid**2) / math.sqrt(2 * math.pi)
    accuracies = 1 - np.exp(scale.expanded(mean + math.sqrt(variance) * grid))
    improvements = np.array([gain_of((accuracy, flops), points) for accuracy in accuracies.tolist()])
    integral = float(np.sum(improvements * density) * (grid[1] - grid[0]))
    found = expected_hypervolume_improvement(
        np.array([mean]), np.array([variance]), np.array([[flops]]), regions_of(points, REFERENCE), scale
    )
    assert found[0] == pytest.approx(integral, rel=2e-3, abs=1e-4)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("seed", range(4))
def test_a_sure_thing_gains_on_a_compressed_scale_what_it_adds(seed: int, scale: ErrorScale) -> None:
    points = random_points(seed, 3 * seed)
    rng = random.Random(seed)
    sure = [(rng.randint(1, 23) / 24, float(rng.randint(1, 110))) for _ in range(20)]
    found = expected_hypervolume_improvement(
        scale.compressed(np.log([1 - accuracy for accuracy, _ in sure])),
        np.full(len(sure), 1e-16),
        np.array([[flops] for _, flops in sure]),
        regions_of(points, REFERENCE),
        scale,
    )
    assert found == pytest.approx([gain_of(point, points) for point in sure], abs=1e-4)


def test_where_the_front_is_better_than_the_knee_the_scale_does_not_matter() -> None:
    points = [(0.8, 10.0), (0.9, 40.0)]
    mean, variance, costs = np.array([-2.0, -1.0]), np.array([0.3, 0.6]), np.array([[12.0], [50.0]])
    regions = regions_of(points, (0.7, 90.0))
    plain = expected_hypervolume_improvement(mean, variance, costs, regions)
    found = expected_hypervolume_improvement(mean, variance, costs, regions, ErrorScale(math.log(0.3), 0.5))
    assert found == pytest.approx(plain, rel=1e-12)
