"""What a bundle says of its network, as plain data."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.json_fields import read_object
from trainers.bundle.provenance import Provenance
from trainers.data.config import DataConfig, DataSummary
from trainers.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Bundle:
    """An architecture, how to train it, what it was found on, and where it comes from.

    `recipe` is that of the full training.
    """

    architecture: Architecture
    recipe: Recipe
    data: DataConfig
    data_summary: DataSummary
    provenance: Provenance

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name).to_json() for name in CONTENTS}

    @classmethod
    def from_json(cls, data: object) -> "Bundle":
        """The bundle that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        fields = read_object(data, "bundle", CONTENTS)
        return cls(
            architecture=Architecture.from_json(fields["architecture"]),
            recipe=Recipe.from_json(fields["recipe"]),
            data=DataConfig.from_json(fields["data"]),
            data_summary=DataSummary.from_json(fields["data_summary"]),
            provenance=Provenance.from_json(fields["provenance"]),
        )


CONTENTS = [field.name for field in dataclasses.fields(Bundle)]
