"""What a trained network costs to run, as it was measured, with the conditions: plain data.

Both latency and memory depend on the machine, so they are compared only where the conditions are the same. FLOPs and
parameters, which follow from the architecture alone, are in `search_spaces.cost`.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.json_fields import read_dataclass

# Latencies agree that differ by no more than this factor.
AGREEMENT = 1.05


@dataclass(frozen=True, slots=True)
class InferenceCost:
    """Latency and memory of one forward pass in evaluation mode, and the conditions they were measured under.

    Of one round of runs one after the other `latency_ms` is the median, `latency_spread_ms` the interquartile range.
    Of several it is what `trainers.latency_rounds` makes of them, between `latency_low_ms` and `latency_high_ms`.
    `runs` are those of all `rounds`. The clock stops when the device is done; the input is on it already.
    `peak_memory_mb` (10⁶ bytes) is the most that weights, input and intermediate results take together, as torch's
    allocator hands it out.
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
    latency_low_ms: float
    latency_high_ms: float
    rounds: int

    @property
    def conditions(self) -> str:
        """The conditions as a person reads them."""
        each = f"{self.runs // self.rounds} runs"
        counted = f"median of {each}" if self.rounds == 1 else f"median of the quickest rounds of {each}"
        return (
            f"batch {self.batch}, {self.image_size}×{self.image_size} pixels, {self.precision}, {self.device}, "
            f"{self.threads} thread{'s' if self.threads > 1 else ''}, attention by {self.attention_backend}, "
            f"torch {self.torch_version}, {counted}"
        )

    @property
    def is_steady(self) -> bool:
        """Whether the latency came out the same again and again."""
        return self.latency_high_ms <= AGREEMENT * self.latency_low_ms

    @property
    def readable_latency(self) -> str:
        """Milliseconds for people, without the unit; their range where they were not steady."""
        if self.is_steady:
            return f"{self.latency_ms:.3g}"
        return f"{_two_digits(self.latency_low_ms)}–{_two_digits(self.latency_high_ms)}"

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "InferenceCost":
        """The cost that `to_json` wrote. Anything unknown, missing or of another type raises UserError.

        Earlier ones are of one round and say only how far its quartiles lie apart, not where: they are within so much
        of the median.
        """
        if isinstance(data, Mapping) and not data.keys() & {"latency_low_ms", "latency_high_ms", "rounds"}:
            data = {**data, **_interval_of_one_round(data)}
        return read_dataclass(cls, data, "inference")


def _two_digits(milliseconds: float) -> str:
    return f"{milliseconds:.2g}" if milliseconds < 99.5 else f"{milliseconds:.0f}"


def _interval_of_one_round(data: Mapping[str, Any]) -> dict[str, Any]:
    latency, spread = data.get("latency_ms"), data.get("latency_spread_ms")
    if not isinstance(latency, int | float) or not isinstance(spread, int | float):
        return {}  # It is refused for that.
    return {"latency_low_ms": max(0.0, latency - spread), "latency_high_ms": latency + spread, "rounds": 1}
