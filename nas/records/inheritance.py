"""A training that begins with the weights of another trial's network, as plain data."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from search_spaces.json_fields import read_dataclass


@dataclass(frozen=True, slots=True)
class Inheritance:
    """The trial whose weights a network begins with, wherever the two compute alike, and for how many epochs it is
    trained from there."""

    parent: int
    epochs: int

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "Inheritance":
        """The inheritance that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "inheritance")
