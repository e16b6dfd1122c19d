"""A node of a cluster that was given no trials for a while, because they failed there for no fault of theirs."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from search_spaces.json_fields import read_dataclass


@dataclass(frozen=True, slots=True)
class LeftOutNode:
    """A node, why it was left out, and when and until when, in seconds since 1970; `until` None: it is still."""

    node: str
    reason: str
    since: float
    until: float | None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "LeftOutNode":
        """What `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "node left out")
