"""What latencies are measured beside: a fact of a search that its ledger keeps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.architecture import Architecture


@dataclass(frozen=True, slots=True)
class LatencyReference:
    """An architecture and its latency in milliseconds at `batch` images, with nothing else running."""

    architecture: Architecture
    latency_ms: float
    batch: int

    def to_json(self) -> dict[str, Any]:
        return {"architecture": self.architecture.to_json(), "latency_ms": self.latency_ms, "batch": self.batch}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "LatencyReference":
        return cls(Architecture.from_json(data["architecture"]), data["latency_ms"], data["batch"])
