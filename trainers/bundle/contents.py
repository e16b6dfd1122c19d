"""What a bundle says of its network, as plain data."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.json_fields import read_object
from trainers.bundle.provenance import Provenance
from trainers.data.config import DataConfig, DataSummary
from trainers.data.fingerprint import DataFingerprint
from trainers.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Bundle:
    """An architecture, how to train it, what it was found on, and where it comes from.

    `recipe` is that of the full training. `data_fingerprint` is what the images are known by that it was found or
    trained on, None where that was not kept.
    """

    architecture: Architecture
    recipe: Recipe
    data: DataConfig
    data_summary: DataSummary
    provenance: Provenance
    data_fingerprint: DataFingerprint | None = None

    def to_json(self) -> dict[str, Any]:
        values = ((name, getattr(self, name)) for name in (*CONTENTS, *OPTIONAL))
        return {name: value.to_json() for name, value in values if value is not None}

    @classmethod
    def from_json(cls, data: object) -> "Bundle":
        """The bundle that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        optional = [name for name in OPTIONAL if isinstance(data, Mapping) and name in data]
        fields = read_object(data, "bundle", [*CONTENTS, *optional])
        fingerprint = fields.get("data_fingerprint")
        return cls(
            architecture=Architecture.from_json(fields["architecture"]),
            recipe=Recipe.from_json(fields["recipe"]),
            data=DataConfig.from_json(fields["data"]),
            data_summary=DataSummary.from_json(fields["data_summary"]),
            provenance=Provenance.from_json(fields["provenance"]),
            data_fingerprint=None if fingerprint is None else DataFingerprint.from_json(fingerprint),
        )


# What bundles of earlier code lack.
OPTIONAL = ["data_fingerprint"]
CONTENTS = [field.name for field in dataclasses.fields(Bundle) if field.name not in OPTIONAL]
