"""Dominance, fronts and hypervolume of accuracy, to be high, and one cost or several, to be low.

Pure functions of points (accuracy, cost, …), all of as many costs: FLOPs, latency, parameters. Nothing depends on the
units of the costs or on the order of the points; equal points fare alike.
"""

import math
from collections.abc import Sequence
from operator import le

import numpy as np

from nas.records.cost_regions import cost_regions

Point = tuple[float, ...]


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is at least as good as `other` in every objective and better in one."""
    return one[0] >= other[0] and one[1] <= other[1] and one != other and all(map(le, one[2:], other[2:]))


def front(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other dominates, by rising cost (the first cost first). All of several equal points
    are in it.
    """
    if points and len(points[0]) > 2:
        return _front_of_several_costs(points)
    best = -math.inf
    previous: Point | None = None
    members = []
    for index in sorted(range(len(points)), key=lambda index: (points[index][1], -points[index][0])):
        point = points[index]
        if point[0] > best or point == previous:
            members.append(index)
            best, previous = point[0], point
    return members


def _front_of_several_costs(points: Sequence[Point]) -> list[int]:
    # In this order no point is dominated by a later one, so that the first that is left is always on the front.
    order = sorted(range(len(points)), key=lambda index: (points[index][1:], -points[index][0]))
    values = np.array([(-points[index][0], *points[index][1:]) for index in order])
    left = np.arange(len(order))
    members = []
    while left.size:
        first, others = values[left[0]], values[left[1:]]
        members.append(order[left[0]])
        beaten = (others >= first).all(axis=1) & (others > first).any(axis=1)
        left = left[1:][~beaten]
    return members


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """The volume that `points` dominate within `reference` (lowest accuracy, highest costs), exact."""
    if len(reference) > 2:
        return math.fsum(
            (region.accuracy - reference[0])
            * math.prod(high - low for low, high in zip(region.lower, region.upper, strict=True))
            for region in cost_regions(points, reference)
        )
    floor, ceiling = reference
    volume = 0.0
    best = floor
    for index in front(points):
        accuracy, cost = points[index]
        if cost < ceiling and accuracy > best:
            volume += (accuracy - best) * (ceiling - cost)
            best = accuracy
    return volume


def box_volume(reference: Point) -> float:
    """The volume of the box between `reference` and accuracy 1 at no cost."""
    return (1 - reference[0]) * math.prod(reference[1:])


def knee(points: Sequence[Point]) -> int:
    """Index of the front's point that lies farthest beyond the line between its ends (on accuracy and log cost).

    Of several costs it is the plane in which each of them weighs alike: beyond the mean of the log costs, each over its
    range on the front. With one or two distinct points on a front of one cost, and where nothing lies beyond, it is the
    most accurate, of equally accurate ones the cheapest. Raises ValueError on no points.
    """
    members = front(points)
    if not members:
        raise ValueError("no points to pick a knee from")
    columns = list(zip(*(points[index] for index in members), strict=True))
    low, high = [min(column) for column in columns], [max(column) for column in columns]
    varying = [place for place in range(1, len(low)) if low[place] < high[place]]
    accuracy_range = high[0] - low[0]
    log_ranges = {place: math.log(high[place] / low[place]) for place in varying}
    if not varying or accuracy_range == 0:
        return members[most_accurate([points[index] for index in members])]

    def gain(index: int) -> float:
        point = points[index]
        spent = sum(math.log(point[place] / low[place]) / log_ranges[place] for place in varying) / len(varying)
        return (point[0] - low[0]) / accuracy_range - spent

    # The ends gain nothing; rounding aside, a front that bulges nowhere is represented by its most accurate point.
    best = max(members, key=lambda index: (gain(index), points[index][0]))
    return best if gain(best) > 1e-12 else members[most_accurate([points[index] for index in members])]


def most_accurate(points: Sequence[Point]) -> int:
    """Index of the most accurate of points, of equally accurate ones the cheapest (the first cost first); of equal
    points the last.
    """
    return max(range(len(points)), key=lambda index: (points[index][0], [-cost for cost in points[index][1:]], index))
