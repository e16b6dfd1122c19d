"""Dominance, fronts and hypervolume in two objectives: accuracy, to be high, and a cost, to be low: FLOPs or latency.

Pure functions of points (accuracy, cost). Nothing depends on the unit of the cost or on the order of the points; equal
points fare alike.
"""

import math
from collections.abc import Sequence

Point = tuple[float, float]


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is at least as good as `other` in both objectives and better in one."""
    return one[0] >= other[0] and one[1] <= other[1] and one != other


def front(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other dominates, by rising cost. All of several equal points are in it."""
    best = -math.inf
    previous: Point | None = None
    members = []
    for index in sorted(range(len(points)), key=lambda index: (points[index][1], -points[index][0])):
        point = points[index]
        if point[0] > best or point == previous:
            members.append(index)
            best, previous = point[0], point
    return members


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """The area that `points` dominate within `reference` (lowest accuracy, highest cost), exact."""
    floor, ceiling = reference
    volume = 0.0
    best = floor
    for index in front(points):
        accuracy, cost = points[index]
        if cost < ceiling and accuracy > best:
            volume += (accuracy - best) * (ceiling - cost)
            best = accuracy
    return volume


def knee(points: Sequence[Point]) -> int:
    """Index of the front's point that lies farthest beyond the line between its ends (on accuracy and log cost).

    With one or two distinct points on the front it is the most accurate. Raises ValueError on no points.
    """
    members = front(points)
    if not members:
        raise ValueError("no points to pick a knee from")
    low, high = points[members[0]], points[members[-1]]
    if low == high:
        return members[-1]
    accuracy_range, log_range = high[0] - low[0], math.log(high[1] / low[1])

    def gain(index: int) -> float:
        accuracy, cost = points[index]
        return (accuracy - low[0]) / accuracy_range - math.log(cost / low[1]) / log_range

    # The ends gain nothing; rounding aside, a front that bulges nowhere is represented by its most accurate point.
    best = max(members, key=lambda index: (gain(index), points[index][0]))
    return best if gain(best) > 1e-12 else members[-1]
