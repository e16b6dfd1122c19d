"""The reference point of a search's hypervolume."""

from nas.pareto import Point
from search_spaces.space import Space
from trainers.data import DataSummary


def reference_point(space: Space, data: DataSummary, min_accuracy: float | None, max_flops: float | None) -> Point:
    """The least accuracy and the most FLOPs that count: the user's limits, or guessing and the dearest of the space."""
    _, most = space.flops_range(image_size=data.image_size, in_channels=data.in_channels, classes=data.classes)
    return 1 / data.classes if min_accuracy is None else min_accuracy, max_flops or float(most)
