"""Which program and flag take a YAML file of settings, by what it holds: for one that was given to another. Pure."""

from collections.abc import Mapping
from typing import Any

from search_spaces.json_fields import field_kinds
from trainers.recipe import Recipe

_SEARCH_SECTIONS = ("space", "search", "training")
_DETECTOR_SECTION = "detector"
_TRAINING_SECTIONS = ("recipe", "conduct", "data")


def found_instead(mapping: Mapping[Any, Any], *, expected: str) -> str | None:
    """What a file that is not what was `expected` holds instead, and what takes that; None where it is nothing known.

    `expected` is "recipe", "full training", "detector" or "search".
    """
    kind = _kind(mapping)
    if kind is None or kind == expected:
        return None
    if kind == "recipe":
        return "a recipe, which recipe=FILE takes"
    program = {
        "search": "nas/search.py", "detector": "trainers/train_detector.py", "full training": "trainers/train.py"
    }[kind]  # fmt: skip
    return f"all settings of a {kind}, in sections, which {program} takes by --config FILE"


def _kind(mapping: Mapping[Any, Any]) -> str | None:
    sections = {key for key, value in mapping.items() if isinstance(value, Mapping)}
    if sections.intersection(_SEARCH_SECTIONS):
        return "search"
    if _DETECTOR_SECTION in sections:
        return "detector"
    if sections.intersection(_TRAINING_SECTIONS):
        return "full training"
    return "recipe" if not sections and set(field_kinds(Recipe)).intersection(mapping) else None
