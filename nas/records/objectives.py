"""What a search weighs accuracy against: FLOPs, which are counted, or latency, which is measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from search_spaces.units import readable_flops

CostName = Literal["flops", "latency_ms"]

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
}


def cost_of(objectives: Sequence[str]) -> CostName:
    """The cost among the two objectives of a search."""
    return "latency_ms" if objectives[1] == "latency_ms" else "flops"


def readable_cost(cost: float, name: CostName) -> str:
    """A cost with its unit, three digits: `1.9 GFLOPs` or `3.21 ms`."""
    return readable_flops(cost) if name == "flops" else f"{cost:.3g} ms"
