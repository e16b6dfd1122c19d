"""Dominance, fronts and hypervolume in two objectives: accuracy, to be high, and FLOPs, to be low.

Pure functions of points (accuracy, flops). Nothing depends on the unit of FLOPs or on the order of the points; equal
points fare alike.
"""

import math
from collections.abc import Sequence

Point = tuple[float, float]


def dominates(one: Point, other: Point) -> bool:
    """Whether `one` is at least as good as `other` in both objectives and better in one."""
    return one[0] >= other[0] and one[1] <= other[1] and one != other


def front(points: Sequence[Point]) -> list[int]:
    """Indices of the points that no other dominates, by rising FLOPs. All of several equal points are in it."""
    best = -math.inf
    previous: Point | None = None
    members = []
    for index in sorted(range(len(points)), key=lambda index: (points[index][1], -points[index][0])):
        point = points[index]
        if point[0] > best or point == previous:
            members.append(index)
            best, previous = point[0], point
    return members


def front_layers(points: Sequence[Point]) -> list[int]:
    """For each point the number of the front it is on: 0 for the front, 1 for the front without those, and so on."""
    layers = [0] * len(points)
    remaining = list(range(len(points)))
    layer = 0
    while remaining:
        members = {remaining[index] for index in front([points[index] for index in remaining])}
        for index in members:
            layers[index] = layer
        remaining = [index for index in remaining if index not in members]
        layer += 1
    return layers


def isolation(points: Sequence[Point]) -> list[float]:
    """How alone each point of one front stands: its crowding distance (Deb et al. 2002) on accuracy and log FLOPs.

    Each axis is scaled to the range of the points; the ends are infinitely alone, and equal points share one value.
    """
    distinct = sorted(set(points), key=lambda point: point[1])
    if len(distinct) <= 2:
        return [math.inf] * len(points)
    axes = [
        [accuracy for accuracy, _ in distinct],
        [math.log(flops) for _, flops in distinct],
    ]
    distance = {distinct[0]: math.inf, distinct[-1]: math.inf}
    for index in range(1, len(distinct) - 1):
        distance[distinct[index]] = sum(
            abs(axis[index + 1] - axis[index - 1]) / (max(axis) - min(axis)) for axis in axes
        )
    return [distance[point] for point in points]


def hypervolume(points: Sequence[Point], reference: Point) -> float:
    """The area that `points` dominate within `reference` (lowest accuracy, highest FLOPs), exact."""
    floor, ceiling = reference
    volume = 0.0
    best = floor
    for index in front(points):
        accuracy, flops = points[index]
        if flops < ceiling and accuracy > best:
            volume += (accuracy - best) * (ceiling - flops)
            best = accuracy
    return volume


def knee(points: Sequence[Point]) -> int:
    """Index of the front's point that lies farthest beyond the line between its ends (on accuracy and log FLOPs).

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
        accuracy, flops = points[index]
        return (accuracy - low[0]) / accuracy_range - math.log(flops / low[1]) / log_range

    # The ends gain nothing; rounding aside, a front that bulges nowhere is represented by its most accurate point.
    best = max(members, key=lambda index: (gain(index), points[index][0]))
    return best if gain(best) > 1e-12 else members[-1]
