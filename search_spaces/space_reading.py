"""Reading a space from what a YAML file or a configuration holds, strictly."""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from search_spaces.architecture import BLOCKS_OF_DEPTH, POSITIONAL_ENCODINGS, STEMS, Attention
from search_spaces.errors import UserError, unknown_name
from search_spaces.operator_choices import OPERATORS, OperatorChoices
from search_spaces.space import BASE_CHANNELS, STAGE_KEYS, Space

SPACE_KEYS = ("granularity", "stem", "depth", "width", "stages", *STAGE_KEYS)


def space_from_mapping(name: str, mapping: Mapping[str, Any]) -> Space:
    """The space that a YAML file or a configuration holds. Raises UserError on anything unknown, empty or unfit."""
    for key in mapping:
        if key not in SPACE_KEYS:
            raise unknown_name(f"key of space {name}", key, SPACE_KEYS)
    for key in ("stem", "depth", "width", "stages"):
        if mapping.get(key) is None:
            raise UserError(f"space {name}: {key} is missing.")
    granularity = mapping.get("granularity", "stage")
    if granularity not in ("stage", "block"):
        raise unknown_name("granularity", granularity, ("stage", "block"))
    everywhere = _stage_mapping("stages", mapping["stages"])
    stages = []
    for key in STAGE_KEYS:
        own = {
            choice: values
            for choice, values in _stage_mapping(key, mapping.get(key) or {}).items()
            if values is not None
        }
        stages.append(_operator_choices(key if own else "stages", {**everywhere, **own}))
    space = Space(
        name=name,
        granularity=granularity,
        stem=_names("stem", mapping["stem"], STEMS),  # type: ignore[arg-type]
        depth=tuple(_one_of("depth", value, tuple(BLOCKS_OF_DEPTH)) for value in _values("depth", mapping["depth"])),
        width=tuple(_width(value) for value in _values("width", mapping["width"])),
        stages=tuple(stages),
    )
    if next(space.frames(), None) is None:
        raise UserError(f"space {name}: no stem, width and operators fit together; check heads against the channels.")
    return space


def _stage_mapping(key: str, mapping: object) -> Mapping[str, Any]:
    if not isinstance(mapping, Mapping):
        raise UserError(f"space.{key} is {mapping!r}: expected a mapping of choices to lists.")
    known = tuple(OperatorChoices.__dataclass_fields__)
    for choice in mapping:
        if choice not in known:
            raise unknown_name(f"key of space.{key}", choice, known)
    return mapping


def _operator_choices(key: str, mapping: Mapping[str, Any]) -> OperatorChoices:
    operator = _names(f"{key}.operator", mapping.get("operator"), OPERATORS)
    if "attention" not in operator:
        return OperatorChoices(operator, (), (), ())
    choices = OperatorChoices(
        operator,
        _counts(f"{key}.spatial_extent", mapping.get("spatial_extent")),
        _counts(f"{key}.heads", mapping.get("heads")),
        _names(f"{key}.positional_encoding", mapping.get("positional_encoding"), POSITIONAL_ENCODINGS),  # type: ignore[arg-type]
    )
    for extent in choices.spatial_extent:
        Attention(extent, 1, "none")
    return choices


def _values(key: str, values: object) -> list[Any]:
    if not isinstance(values, (list, tuple)) or not values:
        example = "[a, b]" if values in (None, "") or not isinstance(values, (str, int, float)) else f"[{values}]"
        raise UserError(f"space.{key} is {values!r}: expected a list of at least one value, as in {example}.")
    # 1 and 1.0 are one number, and True is none.
    numbers = [value for value in values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(set(map(repr, values))) < len(values) or len(set(numbers)) < len(numbers):
        raise UserError(f"space.{key} is {values!r}: a value stands there twice.")
    return list(values)


def _one_of(key: str, value: Any, accepted: Sequence[Any]) -> Any:
    if value not in accepted or isinstance(value, bool):
        raise unknown_name(f"space.{key}", value, accepted)
    return value


def _names(key: str, values: object, accepted: Sequence[str]) -> tuple[str, ...]:
    return tuple(_one_of(key, value, accepted) for value in _values(key, values))


def _counts(key: str, values: object) -> tuple[int, ...]:
    for value in (checked := _values(key, values)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise UserError(f"space.{key} has {value!r}: expected whole numbers of at least 1.")
    return tuple(checked)


def _width(value: Any) -> float:
    channels = value * BASE_CHANNELS if isinstance(value, (int, float)) and not isinstance(value, bool) else 0
    if not 1 <= channels <= sys.float_info.max or channels != int(channels):
        raise UserError(
            f"space.width has {value!r}: expected a multiple of {1 / BASE_CHANNELS:g} ({BASE_CHANNELS} channels at 1)."
        )
    return float(value)
