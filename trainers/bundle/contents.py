"""What a bundle says of its network, as plain data."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from search_spaces.json_fields import read_object
from trainers.bundle.provenance import PaperProvenance, Provenance, read_provenance
from trainers.data.config import DataConfig, DataSummary
from trainers.data.fingerprint import DataFingerprint
from trainers.data.preprocessing import KNOWN_CLASSES, Preprocessing, preprocessing_of
from trainers.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Bundle:
    """An architecture, how to train it, what it was found on, and where it comes from.

    `recipe` is that of the full training. `data_fingerprint` is what the images are known by that it was found or
    trained on, None where that was not kept, or nobody has looked at them yet. `classes` are the names of the network's
    outputs in their order, and `preprocessing` is what is done to a picture before the network sees it; None of both is
    what earlier code wrote.
    """

    architecture: Architecture
    recipe: Recipe
    data: DataConfig
    data_summary: DataSummary
    provenance: Provenance | PaperProvenance
    data_fingerprint: DataFingerprint | None = None
    classes: tuple[str, ...] | None = None
    preprocessing: Preprocessing | None = None

    def __post_init__(self) -> None:
        if self.classes is not None and len(self.classes) != self.data_summary.classes:
            raise UserError(f"bundle classes: expected {self.data_summary.classes} names, found {len(self.classes)}.")
        channels, summary = self.input_rule.channels, self.data_summary
        if (channels, self.input_rule.size) != (summary.in_channels, summary.image_size):
            raise UserError(
                f"bundle preprocessing: expected {summary.in_channels} channels and size {summary.image_size}, found "
                f"{channels} and {self.input_rule.size}."
            )

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the network's outputs in their order, None where nobody knows them."""
        if self.classes is None and self.data_fingerprint is not None:
            return self.data_fingerprint.classes
        return self.classes or KNOWN_CLASSES.get(self.data_summary.name)

    @property
    def input_rule(self) -> Preprocessing:
        """What is done to a picture before the network sees it: where it was not kept, it follows from the data set."""
        return self.preprocessing or preprocessing_of(self.data_summary)

    def described(self) -> "Bundle":
        """The same with all that somebody needs who has the bundle alone."""
        return dataclasses.replace(self, classes=self.class_names, preprocessing=self.input_rule)

    def to_json(self) -> dict[str, Any]:
        values = ((name, getattr(self, name)) for name in (*CONTENTS, *OPTIONAL))
        return {
            name: list(value) if isinstance(value, tuple) else value.to_json()
            for name, value in values
            if value is not None
        }

    @classmethod
    def from_json(cls, data: object) -> "Bundle":
        """The bundle that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        optional = [name for name in OPTIONAL if isinstance(data, Mapping) and name in data]
        fields = read_object(data, "bundle", [*CONTENTS, *optional])
        fingerprint, preprocessing = fields.get("data_fingerprint"), fields.get("preprocessing")
        return cls(
            architecture=Architecture.from_json(fields["architecture"]),
            recipe=Recipe.from_json(fields["recipe"]),
            data=DataConfig.from_json(fields["data"]),
            data_summary=DataSummary.from_json(fields["data_summary"]),
            provenance=read_provenance(fields["provenance"]),
            data_fingerprint=None if fingerprint is None else DataFingerprint.from_json(fingerprint),
            classes=_names(fields["classes"]) if "classes" in fields else None,
            preprocessing=None if preprocessing is None else Preprocessing.from_json(preprocessing),
        )


def _names(classes: object) -> tuple[str, ...]:
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise UserError(f"bundle classes is {classes!r}: expected a list of names.")
    return tuple(classes)


# What bundles of earlier code lack.
OPTIONAL = ["data_fingerprint", "classes", "preprocessing"]
CONTENTS = [field.name for field in dataclasses.fields(Bundle) if field.name not in OPTIONAL]
