"""What a search weighs accuracy against: FLOPs and parameters, which are counted, or latency, which is measured.

All of them are known before an architecture is trained. Peak memory is not: it is measured of the front's members
alone, at the end of a search.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from search_spaces.units import readable_flops

CostName = Literal["flops", "latency_ms", "params"]

ACCURACY = "val_accuracy"
DEFAULT_OBJECTIVES = (ACCURACY, "flops")


@dataclass(frozen=True, slots=True)
class CostWords:
    """How texts speak of a cost: what it is, on an axis, and what of it is better or as good."""

    noun: str
    title: str
    less: str
    no_more: str


COSTS: dict[CostName, CostWords] = {
    "flops": CostWords("FLOPs", "FLOPs of one image (2 a multiply-add)", "fewer FLOPs", "no more FLOPs"),
    "latency_ms": CostWords("latency", "inference latency, ms", "less latency", "no more latency"),
    "params": CostWords("parameters", "parameters", "fewer parameters", "no more parameters"),
}


def costs_of(objectives: Sequence[str]) -> tuple[CostName, ...]:
    """The costs among the objectives of a search, in their order. The first is that of its axis and its tables."""
    return tuple(name for name in objectives if name in COSTS)


def nouns(costs: Sequence[CostName]) -> str:
    """What the costs are, as texts list them: `FLOPs and parameters`."""
    return joined([COSTS[name].noun for name in costs])


def joined(words: Sequence[str]) -> str:
    """`a`, `a and b`, or `a, b and c`."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def readable_costs(costs: Sequence[float], names: Sequence[CostName]) -> str:
    """Several costs with their units: `1.9 GFLOPs and 12,345 parameters`."""
    return joined([readable_cost(cost, name) for cost, name in zip(costs, names, strict=True)])


def readable_cost(cost: float, name: CostName) -> str:
    """A cost with its unit: `1.9 GFLOPs`, `3.21 ms` or `12,345 parameters`."""
    if name == "params":
        return f"{cost:,.0f} parameters"
    return readable_flops(cost) if name == "flops" else f"{cost:.3g} ms"
