"""The best accuracy that a front offers within given costs, as boxes that fill all costs up to a reference.

Exact, for any number of costs. The hypervolume is the sum of these boxes' volumes times their accuracies above the
reference (`nas.records.pareto`), and the expected improvement a sum over the same boxes
(`nas.strategy.expected_improvement`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import le

Costs = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CostRegion:
    """All costs from `lower` up to `upper`; `accuracy` is the best of all points that cost no more than any of them."""

    lower: Costs
    upper: Costs
    accuracy: float


def cost_regions(points: Sequence[tuple[float, ...]], reference: tuple[float, ...]) -> list[CostRegion]:
    """The regions of `points` (accuracy, cost, …) within `reference` (least accuracy, most of each cost), by rising
    lower ends.

    Disjoint; together they are the box between no cost and the reference's. Where no point is offered, the accuracy is
    the reference's. The most accurate points come first: what each adds is what it costs no more than and none before
    it does.
    """
    floor, *most = reference
    upper = tuple(most)
    inside = {
        point for point in points if point[0] > floor and all(c < m for c, m in zip(point[1:], most, strict=True))
    }
    regions: list[CostRegion] = []
    # The costs of what is more accurate, without those that others of them are as cheap as.
    offered: list[Costs] = []
    for point in sorted(inside, key=lambda point: (-point[0], point[1:])):
        costs = point[1:]
        if not any(_no_dearer(other, costs) for other in offered):
            regions += [CostRegion(low, high, point[0]) for low, high in _remainder(costs, upper, offered)]
            offered = [other for other in offered if not _no_dearer(costs, other)] + [costs]
    regions += [CostRegion(low, high, floor) for low, high in _remainder((0.0,) * len(upper), upper, offered)]
    return sorted(regions, key=lambda region: region.lower)


def _no_dearer(one: Costs, other: Costs) -> bool:
    return all(map(le, one, other))


def _remainder(lower: Costs, upper: Costs, corners: Sequence[Costs]) -> Iterator[tuple[Costs, Costs]]:
    """The box from `lower` to `upper` without those from any of `corners` to `upper`, as disjoint boxes.

    By slices between the corners' first costs; a box that is the same in neighbouring slices is one.
    """
    if not corners:
        yield lower, upper
        return
    if len(lower) == 1:
        nearest = min(corner[0] for corner in corners)
        if nearest > lower[0]:
            yield lower, (nearest,)
        return
    raised = [(max(corner[0], lower[0]), corner[1:]) for corner in corners]
    begun: dict[tuple[Costs, Costs], float] = {}
    for start in sorted({lower[0], *(first for first, _ in raised)}):
        slices = dict.fromkeys(_remainder(lower[1:], upper[1:], [rest for first, rest in raised if first <= start]))
        for low, high in [box for box in begun if box not in slices]:
            yield (begun.pop((low, high)), *low), (start, *high)
        begun = {box: begun.get(box, start) for box in slices}
    for (low, high), start in begun.items():
        yield (start, *low), (upper[0], *high)
