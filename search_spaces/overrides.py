"""KEY=VALUE on a command line: what it sets, and the value that it stands for.

A value is read by the declared type of what it sets, and text is taken as it stands: a path may hold spaces, brackets,
`=` and `?`. Quotes around the whole of a text are taken off, since commands written for Hydra's grammar have them. A
number is written `20` or `1e-3`, a truth value `true` or `false`, nothing `null`, a list `[a,b]`. In the path of a file
or directory a `~` at the beginning is the user's home.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

from search_spaces.errors import UserError, did_you_mean_text, unknown_name
from search_spaces.json_fields import KINDS, field_kinds
from search_spaces.paths import user_path
from search_spaces.units import count_of, near_count

# The metadata of a dataclass field that holds a path.
PATH = {"is_path": True}
# That of one that holds a count, which may have a unit: 2M.
COUNT = {"is_count": True}

_KEY = re.compile(r"[A-Za-z_]\w*(\.\w+)*", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Override:
    """The setting `key`, as `recipe.epochs`, and the text that was typed for it."""

    key: str
    text: str

    def __str__(self) -> str:
        return f"{self.key}={self.text}"


def read_override(argument: str, example: str) -> Override:
    """What was typed as KEY=VALUE. Raises UserError, naming `example`, where it is anything else."""
    key, equals, text = argument.partition("=")
    if not equals or not _KEY.fullmatch(key):
        raise UserError(f"unexpected argument {argument!r}: expected KEY=VALUE, as in {example}.")
    return Override(key, text)


def with_overrides(
    config: Mapping[str, Any], overrides: Sequence[Override], sections: Mapping[str, type]
) -> dict[str, Any]:
    """A copy of a nested configuration with the values of the overrides in it; of one key the last counts.

    `sections` are the dataclasses whose fields the mappings under these keys hold; their values are read by the types
    of the fields, all others by their looks. Raises UserError where a key is not in `config`, or is not one value but
    a section, and where a text is no value of its field's type.
    """
    changed = _copied(config)
    for override in overrides:
        section, _, name = override.key.rpartition(".")
        holder = _section(changed, section)
        if holder is None or name not in holder:
            raise _unknown(override.key, changed)
        if isinstance(holder[name], Mapping):
            raise UserError(f"override {str(override)!r}: expected {override.key}.KEY=VALUE.")
        cls = sections.get(section)
        holder[name] = plain_value(override) if cls is None else field_value(cls, name, override)
    return changed


def field_value(cls: type, name: str, override: Override) -> Any:
    """The value of an override for the field `name` of a dataclass. Raises UserError where it is of another type."""
    [field] = [field for field in dataclasses.fields(cls) if field.name == name]
    kind, text = field_kinds(cls)[name], override.text
    if NoneType in get_args(kind):
        if text.lower() == "null":
            return None
        [kind] = set(get_args(kind)) - {NoneType}
    if kind is str:
        plain = _unquoted(text)
        if not plain:
            expected = "a path" if field.metadata.get("is_path") else "text"
            null = ", or null" if NoneType in get_args(field_kinds(cls)[name]) else ""
            raise UserError(f"{override.key} is empty: expected {expected}{null}.")
        if not field.metadata.get("is_path"):
            return plain
        try:
            return user_path(plain)
        except UserError as error:
            raise UserError(f"{override.key}: {error}") from None
    try:
        return count_of(text) if field.metadata.get("is_count") else _READERS[kind](text)
    except ValueError:
        is_count = field.metadata.get("is_count")
        form = ", as [a,b]" if kind == tuple[str, ...] else ", as 2M, 1.5G or 3e6" if is_count else ""
        hint = did_you_mean_text(near_count(text) if is_count else None)
        raise UserError(f"{override.key} is {text!r}: expected {KINDS[field_kinds(cls)[name]]}{form}.{hint}") from None


def plain_value(override: Override) -> Any:
    """The value of an override whose type is not declared, by its looks: a list, a number, true, false, null, text.

    Raises UserError on a number of thousands of digits.
    """
    items = _items(override.text)
    try:
        return _scalar(override.text) if items is None else [_scalar(item) for item in items]
    except ValueError:
        raise UserError(f"{override.key} is {override.text!r}: expected numbers that are shorter.") from None


def _scalar(text: str) -> Any:
    if text.lower() == "null":
        return None
    if text.lower() in ("true", "false"):
        return _truth(text)
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _NUMBER.fullmatch(text) else _unquoted(text)


def _unquoted(text: str) -> str:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "'\""
    return text[1:-1] if quoted else text


def _items(text: str) -> list[str] | None:
    """The entries of a list, without the spaces around them; None where the text is no list."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    items = [item.strip() for item in text[1:-1].split(",")]
    return [] if items == [""] else items


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


def _names(text: str) -> tuple[str, ...]:
    items = _items(text)
    if items is None:
        raise ValueError
    return tuple(map(_unquoted, items))


# What reads the text of a field's type, and raises ValueError where it cannot.
_READERS: dict[Any, Callable[[str], Any]] = {bool: _truth, int: int, float: float, tuple[str, ...]: _names}


def _copied(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copied(value) if isinstance(value, Mapping) else value for key, value in config.items()}


def _section(config: dict[str, Any], key: str) -> dict[str, Any] | None:
    """The mapping under a key as `space.stages`, or None where there is none."""
    found: Any = config
    for part in filter(None, key.split(".")):
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _unknown(key: str, config: dict[str, Any]) -> UserError:
    """The error for a key that is not there: lists what the section holds that is, and names the nearest of all."""
    section = key.rpartition(".")[0]
    while (siblings := _section(config, section)) is None:
        section = section.rpartition(".")[0]
    prefix = f"{section}." if section else ""
    return unknown_name("setting", key, [prefix + name for name in siblings], others=_leaves(config))


def _leaves(config: Mapping[str, Any], prefix: str = "") -> list[str]:
    leaves = []
    for key, value in config.items():
        leaves += _leaves(value, f"{prefix}{key}.") if isinstance(value, Mapping) else [prefix + key]
    return leaves
