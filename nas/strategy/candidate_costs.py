"""What candidates cost: FLOPs and parameters as they are counted, latency as it was measured or is predicted. Pure."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.records.objectives import CostName
from nas.strategy.candidates import Candidate
from nas.strategy.features import FeatureEncoder
from nas.strategy.latency_model import LatencyModel

Array = NDArray[np.float64]

# [M, C] costs of M candidates.
Costs = Callable[[Sequence[Candidate]], Array]


def candidate_costs(
    names: Sequence[CostName], measured: Sequence[tuple[Candidate, float]], encoder: FeatureEncoder
) -> Costs:
    """The costs of these names. `measured` are candidates and their latencies, at least one where latency is wanted."""
    columns = [_COUNTED[name] if name in _COUNTED else LatencyModel(measured, encoder) for name in names]
    return lambda candidates: np.column_stack([column(candidates) for column in columns])


def _flops(candidates: Sequence[Candidate]) -> Array:
    return np.array([candidate.flops for candidate in candidates])


def _params(candidates: Sequence[Candidate]) -> Array:
    return np.array([candidate.params for candidate in candidates])


_COUNTED: dict[CostName, Callable[[Sequence[Candidate]], Array]] = {"flops": _flops, "params": _params}
