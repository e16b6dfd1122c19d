"""YAML files of settings: a mapping, read safely, in which each key stands once.

What is wrong with one is said by its line, without the words that YAML has for its own parts.
"""

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import UserError
from search_spaces.paths import did_you_mean

# So much of a line is shown.
_SHOWN = 60
# What has a beginning and an end, as PyYAML calls it where it looks for the end.
_CLOSED = ("while parsing a flow mapping", "while parsing a flow sequence", "while scanning a quoted scalar")


class KeysOnce(yaml.SafeLoader):
    """Reads YAML as safely, and refuses a key that a mapping has twice, of which YAML would take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        known: set[str] = set()
        for key, _ in node.value:
            if key.value in known and isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(None, None, f"{key.value!r} is given twice", key.start_mark)
            known |= {key.value} if isinstance(key, yaml.ScalarNode) else set()
        return super().construct_mapping(node, deep)


def read_mapping(path: Path, what: str) -> dict[str, Any]:
    """The mapping in a file. Raises UserError, which calls the file `what`, where it is none."""
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        mapping = yaml.load(text, KeysOnce)
    except OSError as error:
        raise UserError(f"{what} cannot be read: {error.strerror}.{did_you_mean(path, Path.is_file)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date or a number that is none is a ValueError
        raise UserError(f"{what} is not YAML: {_reason(error, text)}.") from None
    if not isinstance(mapping, dict):
        raise not_a_mapping(what, mapping)
    return mapping


def _reason(error: Exception, text: str) -> str:
    """What is wrong with `text`, by its line."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return f"line {line} has the character {chr(error.character)!r}, which YAML does not take"
    if isinstance(error, UnicodeDecodeError):
        line = error.object.count(b"\n", 0, error.start) + 1
        return f"line {line} is not UTF-8"
    if not isinstance(error, yaml.MarkedYAMLError) or error.problem_mark is None:
        return " ".join(str(error).split())
    at = error.problem_mark
    if not isinstance(error, yaml.scanner.ScannerError | yaml.parser.ParserError):
        # These are said in plain words, some of them here.
        return f"line {at.line + 1}: {error.problem}"
    lines = text.split("\n")
    if "\t" in lines[at.line]:
        return f"line {at.line + 1} is {lines[at.line][:_SHOWN]!r}, with a tab in it: expected spaces"
    ends_there = at.index >= len(text.rstrip())
    number = text.rstrip().count("\n") if ends_there else at.line
    shown = lines[number].rstrip()
    shown = shown if len(shown) <= _SHOWN else f"…{shown[-_SHOWN:]}" if ends_there else f"{shown[:_SHOWN]}…"
    begun = error.context_mark.line if error.context in _CLOSED and error.context_mark is not None else number
    said = f"it seems cut off in line {number + 1}, {shown!r}" if ends_there else f"line {number + 1} is {shown!r}"
    return said if begun == number else f"{said}, and what began in line {begun + 1} has no end before it"


def files_beside(name: str) -> list[str]:
    """The YAML files in the directory of what was named, which may be meant, written as it is."""
    directory = os.path.dirname(name)
    try:
        names = os.listdir(directory or os.curdir)
    except (OSError, ValueError):
        return []
    return sorted(os.path.join(directory, name) for name in names if name.endswith((".yaml", ".yml")))


def not_a_mapping(what: str, found: object) -> UserError:
    """The error for what stands where a mapping should, in a YAML file; `what` says where."""
    return UserError(f"{what}: expected KEY: VALUE, a line each, found {_in_words(found)}.")


def _in_words(found: object) -> str:
    if found is None:
        return "nothing"
    if isinstance(found, list):
        return "a list"
    return f"the text {found!r}" if isinstance(found, str) else yaml_word(found)


def yaml_word(value: object) -> str:
    """A plain value as YAML has it."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)
