"""Dominance, fronts and hypervolume against brute force and a published library, on shuffled, tied and odd inputs."""

import math
import random
from collections.abc import Sequence

import moocore
import numpy as np
import pytest

from nas.records.cost_regions import cost_regions
from nas.records.pareto import Point, box_volume, dominates, front, hypervolume, knee, most_accurate

REFERENCE = (0.1, 100.0)


def random_points(rng: random.Random, count: int, levels: int) -> list[tuple[float, float]]:
    """Points on a grid, so that ties in one or both objectives are common when `levels` is small."""
    return [(rng.randint(0, levels) / levels, float(rng.randint(1, levels))) for _ in range(count)]


def brute_front(points: Sequence[Point]) -> set[int]:
    return {
        index
        for index, (accuracy, flops) in enumerate(points)
        if not any(a >= accuracy and f <= flops and (a > accuracy or f < flops) for a, f in points)
    }


@pytest.mark.parametrize("seed", range(40))
def test_front_is_what_no_point_dominates(seed: int) -> None:
    rng = random.Random(seed)
    points = random_points(rng, rng.randint(0, 60), rng.choice([2, 5, 1000]))
    found = front(points)
    assert set(found) == brute_front(points) and len(found) == len(set(found))
    assert [points[index][1] for index in found] == sorted(points[index][1] for index in found)
    assert brute_front(points) == {
        i for i, point in enumerate(points) if not any(dominates(other, point) for other in points)
    }


@pytest.mark.parametrize("seed", range(40))
def test_hypervolume_equals_moocore(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.randint(1, 80)
    points = [(rng.uniform(0, 1), rng.uniform(1, 150)) for _ in range(count)]
    if seed % 2:
        points += random_points(rng, 20, 4)
    minimised = np.array([(-accuracy, flops) for accuracy, flops in points])
    expected = moocore.hypervolume(minimised, ref=[-REFERENCE[0], REFERENCE[1]])
    assert hypervolume(points, REFERENCE) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], 0.0),
        ([(0.1, 5.0)], 0.0),
        ([(0.9, 100.0)], 0.0),
        ([(0.6, 40.0)], 0.5 * 60),
        ([(0.6, 40.0)] * 3, 0.5 * 60),
        ([(0.6, 40.0), (0.5, 60.0)], 0.5 * 60),
        ([(0.6, 40.0), (0.7, 90.0)], 0.5 * 60 + 0.1 * 10),
    ],
)
def test_hypervolume_of_known_areas(points: list[Point], expected: float) -> None:
    assert hypervolume(points, REFERENCE) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(10))
def test_nothing_depends_on_order_or_unit(seed: int) -> None:
    rng = random.Random(seed)
    points = random_points(rng, 30, 6)
    order = list(range(30))
    rng.shuffle(order)
    shuffled = [(points[index][0], points[index][1] * 1e9) for index in order]
    assert {order[index] for index in front(shuffled)} == set(front(points))


def test_knee_is_the_point_that_stands_out() -> None:
    points = [(0.5, 1.0), (0.88, 10.0), (0.89, 100.0), (0.9, 1000.0), (0.3, 500.0)]
    assert knee(points) == 1
    assert knee(points[::-1]) == 3
    assert knee([(0.5, 1.0), (0.9, 10.0)]) == 1
    assert knee([(0.5, 1.0)] * 2) in (0, 1)
    with pytest.raises(ValueError, match="no points"):
        knee([])


@pytest.mark.parametrize("seed", range(10))
def test_knee_is_farthest_from_the_line_between_the_ends(seed: int) -> None:
    rng = random.Random(seed)
    points = [(rng.random(), 10 ** rng.uniform(6, 9)) for _ in range(50)]
    members = [points[index] for index in front(points)]
    ends = np.array([[accuracy, math.log(flops)] for accuracy, flops in (members[0], members[-1])])
    normalised = [
        (np.array([accuracy, math.log(flops)]) - ends[0]) / (ends[1] - ends[0]) for accuracy, flops in members
    ]
    distances = [point[0] - point[1] for point in normalised]
    expected = members[int(np.argmax(distances))] if max(distances) > 1e-12 else members[-1]
    assert points[knee(points)] == expected


def many_points(rng: random.Random, count: int, costs: int, levels: int) -> list[Point]:
    """Points of several costs on a grid: with few `levels` most tie in some objective, and some in all."""
    return [
        (rng.randint(0, levels) / levels, *(float(rng.randint(1, levels)) for _ in range(costs))) for _ in range(count)
    ]


def beats(one: Point, other: Point) -> bool:
    no_worse = [one[0] >= other[0], *(mine <= its for mine, its in zip(one[1:], other[1:], strict=True))]
    better = [one[0] > other[0], *(mine < its for mine, its in zip(one[1:], other[1:], strict=True))]
    return all(no_worse) and any(better)


@pytest.mark.parametrize("costs", [2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_a_front_of_several_costs_is_what_nothing_beats(costs: int, seed: int) -> None:
    rng = random.Random(seed)
    points = many_points(rng, rng.choice([1, 2, 30, 60]), costs, rng.choice([1, 3, 6, 1000]))
    found = front(points)
    assert set(found) == {i for i, point in enumerate(points) if not any(beats(other, point) for other in points)}
    assert len(found) == len(set(found))
    assert [points[index][1:] for index in found] == sorted(points[index][1:] for index in found)
    assert all(dominates(one, other) == beats(one, other) for one in points for other in points[:10])


@pytest.mark.parametrize("costs", [2, 3])
@pytest.mark.parametrize("seed", range(20))
def test_the_hypervolume_of_several_costs_equals_moocore(costs: int, seed: int) -> None:
    rng = random.Random(seed)
    levels = rng.choice([2, 5, 100])
    points = many_points(rng, rng.choice([1, 2, 10, 40]), costs, levels)
    reference: Point = (0.1, *(rng.choice([0.6, 1.0, 1.2]) * levels for _ in range(costs)))
    minimised = np.array([(-point[0], *point[1:]) for point in points])
    expected = moocore.hypervolume(minimised, ref=[-reference[0], *reference[1:]])
    found = hypervolume(points, reference)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)
    assert found == hypervolume(rng.sample(points, len(points)), reference)
    in_units = [(point[0], point[1] * 2.0**30, *point[2:]) for point in points]
    scaled = hypervolume(in_units, (reference[0], reference[1] * 2.0**30, *reference[2:]))
    assert scaled == pytest.approx(found * 2.0**30)


def test_the_hypervolume_of_one_point_and_of_none_are_boxes() -> None:
    reference = (0.2, 10.0, 100.0)
    assert hypervolume([], reference) == 0
    assert hypervolume([(0.2, 1.0, 1.0), (0.9, 10.0, 1.0), (0.9, 1.0, 200.0)], reference) == 0
    assert hypervolume([(0.7, 4.0, 20.0)] * 2, reference) == pytest.approx(0.5 * 6 * 80)
    assert box_volume(reference) == pytest.approx(0.8 * 1000) and box_volume((0.5, 8.0)) == 4


@pytest.mark.parametrize("costs", [1, 2, 3])
@pytest.mark.parametrize("seed", range(8))
def test_regions_fill_the_box_and_hold_the_best_accuracy_that_their_costs_allow(costs: int, seed: int) -> None:
    rng = random.Random(seed)
    points = many_points(rng, rng.choice([0, 1, 6, 25]), costs, rng.choice([3, 8]))
    reference: Point = (0.3, *([7.0] * costs))
    regions = cost_regions(points, reference)
    sizes = [[high - low for low, high in zip(each.lower, each.upper, strict=True)] for each in regions]
    assert all(size > 0 for box in sizes for size in box)
    assert sum(math.prod(box) for box in sizes) == pytest.approx(7.0**costs)
    assert regions == cost_regions(rng.sample(points, len(points)), reference)
    for _ in range(60):
        budget = tuple(rng.uniform(0, 7) for _ in range(costs))
        allowed = [p[0] for p in points if all(c <= most for c, most in zip(p[1:], budget, strict=True))]
        inside = [
            each
            for each in regions
            if all(low <= b < high for low, b, high in zip(each.lower, budget, each.upper, strict=True))
        ]
        assert [each.accuracy for each in inside] == [max([0.3, *allowed])]


def test_the_knee_of_several_costs_weighs_each_alike() -> None:
    """Trial 1 has most of the accuracy for a tenth of either cost; trial 2 spares parameters alone."""
    points: list[Point] = [(0.5, 1.0, 1.0), (0.88, 10.0, 10.0), (0.89, 100.0, 9.0), (0.9, 100.0, 100.0)]
    assert knee(points) == 1 and knee(points[::-1]) == 2
    in_units = [(accuracy, 1e6 * one, 1e-3 * other) for accuracy, one, other in points]
    assert knee(in_units) == 1


@pytest.mark.parametrize("costs", [2, 3])
def test_the_knee_of_degenerate_fronts_is_their_most_accurate_member(costs: int) -> None:
    one = (0.5, *([3.0] * costs))
    assert knee([one]) == 0 and knee([one] * 3) in (0, 1, 2)
    # Equally accurate, and neither cheaper in all: the cheapest in the first cost.
    alike: list[Point] = [(0.5, 4.0, *([2.0] * (costs - 1))), (0.5, 3.0, *([3.0] * (costs - 1)))]
    assert knee(alike) == 1 and most_accurate(alike) == 1
    # One cost is the same for all.
    flat: list[Point] = [(0.5, 1.0, *([7.0] * (costs - 1))), (0.9, 10.0, *([7.0] * (costs - 1)))]
    assert knee(flat) == 1
    bent: list[Point] = [*flat, (0.85, 2.0, *([7.0] * (costs - 1)))]
    assert knee(bent) == 2 == knee([point[:2] for point in bent])
