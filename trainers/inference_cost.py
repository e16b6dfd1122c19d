"""What a trained network costs to run, as it was measured, with the conditions: plain data.

Both latency and memory depend on the machine, so they are compared only where the conditions are the same. FLOPs and
parameters, which follow from the architecture alone, are in `search_spaces.cost`.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from search_spaces.json_fields import read_dataclass


@dataclass(frozen=True, slots=True)
class InferenceCost:
    """Latency and memory of one forward pass in evaluation mode, and the conditions they were measured under.

    `latency_ms` is the median of `runs` runs one after the other, `latency_spread_ms` their interquartile range. The
    clock stops when the device is done; the input is on it already. `peak_memory_mb` (10⁶ bytes) is the most that
    weights, input and intermediate results take together, as torch's allocator hands it out.
    """

    latency_ms: float
    latency_spread_ms: float
    peak_memory_mb: float
    device: str
    threads: int
    batch: int
    image_size: int
    precision: str
    attention_backend: str
    torch_version: str
    runs: int

    @property
    def conditions(self) -> str:
        """The conditions as a person reads them."""
        return (
            f"batch {self.batch}, {self.image_size}×{self.image_size} pixels, {self.precision}, {self.device}, "
            f"{self.threads} thread{'s' if self.threads > 1 else ''}, attention by {self.attention_backend}, "
            f"torch {self.torch_version}, median of {self.runs} runs"
        )

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "InferenceCost":
        """The cost that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "inference")
