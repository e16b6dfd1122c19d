"""What latencies are measured beside: a fact of a search that its ledger keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.json_fields import read_object


@dataclass(frozen=True, slots=True)
class LatencyReference:
    """An architecture and its latency in milliseconds at `batch` images, with nothing else running.

    `accelerator` is the type of GPU that it was measured on, as Ray names it, and that all is measured on therefore;
    None on CPUs.
    """

    architecture: Architecture
    latency_ms: float
    batch: int
    accelerator: str | None = None

    def to_json(self) -> dict[str, Any]:
        measured = {"architecture": self.architecture.to_json(), "latency_ms": self.latency_ms, "batch": self.batch}
        return measured if self.accelerator is None else {**measured, "accelerator": self.accelerator}

    @classmethod
    def from_json(cls, data: object) -> "LatencyReference":
        """The reference that `to_json` wrote. Anything unknown or missing raises UserError."""
        optional = ["accelerator"] if isinstance(data, Mapping) and "accelerator" in data else []
        fields = read_object(data, "latency reference", ["architecture", "latency_ms", "batch", *optional])
        return cls(**(fields | {"architecture": Architecture.from_json(fields["architecture"])}))
