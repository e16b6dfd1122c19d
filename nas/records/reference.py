"""The reference point of a search's hypervolume."""

from nas.records.pareto import Point
from nas.strategy.candidates import SpaceCandidates
from nas.strategy.proposals import cover
from search_spaces.architecture import Architecture
from search_spaces.space import Space
from search_spaces.space_cost import flops_range
from trainers.data.config import DataSummary


def reference_point(
    space: Space,
    data: DataSummary,
    min_accuracy: float | None,
    max_flops: float | None,
    most_latency_ms: float | None = None,
) -> Point:
    """The least accuracy and the most cost that count: the user's limits, or guessing and the dearest of the space.

    Where the cost is latency, the most is `most_latency_ms`.
    """
    least = 1 / data.classes if min_accuracy is None else min_accuracy
    if most_latency_ms is not None:
        return least, most_latency_ms
    _, most = flops_range(space, image_size=data.image_size, in_channels=data.in_channels, classes=data.classes)
    return least, max_flops or float(most)


def slow_architectures(space: Space, data: DataSummary, max_flops: float | None, seed: int) -> tuple[Architecture, ...]:
    """What may be the slowest that a search meets: the anchors, and the dearest in FLOPs that is easily found.

    None has more than `max_flops`, which has to leave something of the space.
    """
    source = SpaceCandidates(space, data, max_flops)
    dearest = cover(source, 1, (), seed)
    assert dearest is not None
    found = dict.fromkeys([*space.anchors(), source.architecture(dearest.candidate)])
    return tuple(one for one in found if max_flops is None or data.cost(one).flops <= max_flops)
