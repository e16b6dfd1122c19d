"""What latencies are measured beside: a fact of a search that its ledger keeps."""

from dataclasses import dataclass
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.json_fields import read_object


@dataclass(frozen=True, slots=True)
class LatencyReference:
    """An architecture and its latency in milliseconds at `batch` images, with nothing else running."""

    architecture: Architecture
    latency_ms: float
    batch: int

    def to_json(self) -> dict[str, Any]:
        return {"architecture": self.architecture.to_json(), "latency_ms": self.latency_ms, "batch": self.batch}

    @classmethod
    def from_json(cls, data: object) -> "LatencyReference":
        """The reference that `to_json` wrote. Anything unknown or missing raises UserError."""
        fields = read_object(data, "latency reference", ["architecture", "latency_ms", "batch"])
        return cls(Architecture.from_json(fields["architecture"]), fields["latency_ms"], fields["batch"])
