"""What the paper's reference models would cost on the images of a search."""

from collections.abc import Iterable
from dataclasses import dataclass

from search_spaces.paper_models import ARCHITECTURES
from trainers.data.config import DataSummary

# Marks within this factor of what a search looked at fit beside it.
NEAR_FACTOR = 3.0


@dataclass(frozen=True, slots=True)
class ReferenceModel:
    """One of the nine ResNets of arXiv 1906.05909, at its full width. `flops` are of one image, 2 a multiply-add."""

    name: str
    flops: int
    params: int


def reference_models(data: DataSummary) -> tuple[ReferenceModel, ...]:
    """The nine models on the images and classes of `data`, by rising FLOPs."""
    models = []
    for name, architecture in ARCHITECTURES.items():
        model_cost = data.cost(architecture)
        models.append(ReferenceModel(name, model_cost.flops, model_cost.params))
    return tuple(sorted(models, key=lambda model: model.flops))


def is_near(model_costs: Iterable[float], trial_costs: Iterable[float]) -> bool:
    """Whether any model's cost lies within NEAR_FACTOR of the range of the trials' costs."""
    costs = list(trial_costs)
    if not costs:
        return False
    low, high = min(costs) / NEAR_FACTOR, max(costs) * NEAR_FACTOR
    return any(low <= cost <= high for cost in model_costs)
