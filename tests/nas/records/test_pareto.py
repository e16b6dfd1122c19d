"""Dominance, fronts and hypervolume against brute force and a published library, on shuffled, tied and odd inputs."""

import math
import random

import moocore
import numpy as np
import pytest

from nas.records.pareto import Point, dominates, front, hypervolume, knee

REFERENCE = (0.1, 100.0)


def random_points(rng: random.Random, count: int, levels: int) -> list[tuple[float, float]]:
    """Points on a grid, so that ties in one or both objectives are common when `levels` is small."""
    return [(rng.randint(0, levels) / levels, float(rng.randint(1, levels))) for _ in range(count)]


def brute_front(points: list[Point]) -> set[int]:
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
