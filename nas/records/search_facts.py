"""What the figures of a search have to know of it beside its trials."""

from dataclasses import dataclass

from nas.records.objectives import CostName
from nas.records.pareto import Point
from search_spaces.space import Space
from search_spaces.space_cost import flops_range
from trainers.data.config import DataSummary


@dataclass(frozen=True, slots=True)
class SearchFacts:
    """`full_epochs` is the budget of a trial that is never stopped.

    `reference` is the least accuracy and the most cost that count for the hypervolume; `cost_name` says which cost.
    """

    name: str
    data: DataSummary
    full_epochs: int
    reference: Point
    cost_name: CostName = "flops"


def reference_point(
    space: Space,
    data: DataSummary,
    min_accuracy: float | None,
    max_flops: float | None,
    most_latency_ms: float | None = None,
) -> Point:
    """The least accuracy and the most cost that count: the user's limits, or guessing and the space's highest cost.

    Where the cost is latency, the most is `most_latency_ms`.
    """
    least = 1 / data.classes if min_accuracy is None else min_accuracy
    if most_latency_ms is not None:
        return least, most_latency_ms
    _, most = flops_range(space, image_size=data.image_size, in_channels=data.in_channels, classes=data.classes)
    return least, max_flops or float(most)
