"""Strict reading of a frozen dataclass from JSON: nothing unknown, missing or of another type."""

import dataclasses
import sys
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints

from search_spaces.errors import UserError, unknown_name

T = TypeVar("T")

# The kinds of field that a settings dataclass may have, and how they are called in a message.
KINDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    int | None: "a whole number or null",
    float: "a number",
    float | None: "a number or null",
    str: "a string",
    str | None: "a string or null",
    tuple[str, ...]: "a list of names",
    tuple[float, ...]: "a list of numbers",
    dict[str, Any]: "an object",
    dict[str, Any] | None: "an object or null",
}


def read_object(data: object, what: str, names: list[str]) -> dict[str, Any]:
    """`data` as a dict with exactly the keys `names`. Raises UserError on any other."""
    if not isinstance(data, Mapping):
        raise UserError(f"{what}: expected an object with {', '.join(names)}, found {type(data).__name__}.")
    for key in data:
        if key not in names:
            raise unknown_name(f"key of {what}", key, names)
    missing = [name for name in names if name not in data]
    if missing:
        raise UserError(f"{what}: missing {', '.join(missing)}.")
    return dict(data)


def read_dataclass(cls: type[T], data: object, what: str) -> T:
    """The dataclass whose fields are exactly the keys of `data`. Raises UserError on anything else."""
    kinds = field_kinds(cls)
    # What a ledger holds by the thousand is as it should be, and is found so at once.
    if type(data) is dict and data.keys() == kinds.keys() and all(type(data[name]) is kinds[name] for name in kinds):
        return cls(**data)
    values = read_object(data, what, list(kinds))
    for name, kind in kinds.items():
        if not _fits(values[name], kind):
            # Settings are called as they are typed: recipe.epochs.
            called = f"{what} {name}" if " " in what else f"{what}.{name}"
            raise UserError(f"{called} is {values[name]!r}: expected {KINDS[kind]}.")
        if kind in (float, float | None) and values[name] is not None:
            values[name] = float(values[name])
        if kind == tuple[str, ...]:
            values[name] = tuple(values[name])
        if kind == tuple[float, ...]:
            values[name] = tuple(map(float, values[name]))
    return cls(**values)


def field_kinds(cls: type) -> Mapping[str, Any]:
    """The declared type of each field of a dataclass."""
    return _field_kinds(cls)


# A ledger's epochs are read by the thousand; the types of a class stay the same.
@lru_cache(maxsize=64)
def _field_kinds(cls: type) -> Mapping[str, Any]:
    hints = get_type_hints(cls)
    return MappingProxyType({field.name: hints[field.name] for field in dataclasses.fields(cls)})


def _fits(value: object, kind: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind in (float, float | None):
        if isinstance(value, int) and abs(value) > sys.float_info.max:
            return False
        return isinstance(value, int | float) or (value is None and kind is not float)
    if kind == tuple[str, ...]:
        return isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    if kind == tuple[float, ...]:
        return isinstance(value, list | tuple) and all(_fits(number, float) for number in value)
    if kind in (dict[str, Any], dict[str, Any] | None):
        return isinstance(value, dict) or (value is None and kind != dict[str, Any])
    return isinstance(value, kind)
