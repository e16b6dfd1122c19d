"""What the figures of a search have to know of it beside its trials."""

from dataclasses import dataclass

from nas.records.cost_limits import CostLimits
from nas.records.objectives import CostName
from nas.records.pareto import Point
from search_spaces.space import Space
from search_spaces.space_cost import flops_range, params_range
from trainers.data.config import DataSummary


@dataclass(frozen=True, slots=True)
class SearchFacts:
    """`full_epochs` is the budget of a trial that is never stopped.

    `reference` is the least accuracy and the most of each cost that count for the hypervolume; `cost_names` says which
    costs.
    """

    name: str
    data: DataSummary
    full_epochs: int
    reference: Point
    cost_names: tuple[CostName, ...] = ("flops",)

    @property
    def cost_name(self) -> CostName:
        """The first of the costs: that of the axis and the tables."""
        return self.cost_names[0]


def reference_point(
    space: Space,
    data: DataSummary,
    cost_names: tuple[CostName, ...],
    min_accuracy: float | None,
    limits: CostLimits,
    most_latency_ms: float | None,
    max_latency_ms: float | None,
) -> Point:
    """The least accuracy and the most of each cost that count: the user's limits, or guessing and the space's highest
    costs.

    Of latency, the most is `most_latency_ms`, or the user's limit `max_latency_ms` where that is less.
    """
    least = 1 / data.classes if min_accuracy is None else min_accuracy
    size = {"image_size": data.image_size, "in_channels": data.in_channels, "classes": data.classes}

    def most(name: CostName) -> float:
        # Until it is measured nothing is trained, and nothing is compared with it.
        if name == "latency_ms" and most_latency_ms is not None:
            return most_latency_ms if max_latency_ms is None else min(most_latency_ms, max_latency_ms)
        if name == "params":
            return limits.params or float(params_range(space, **size)[1])
        return limits.flops or float(flops_range(space, **size)[1])

    return least, *map(most, cost_names)
