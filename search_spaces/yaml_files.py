"""YAML files of settings: a mapping, read safely, in which each key stands once."""

import os
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from search_spaces.errors import UserError
from search_spaces.paths import did_you_mean


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
    try:
        mapping = yaml.load(path.read_text(encoding="utf-8"), KeysOnce)
    except OSError as error:
        raise UserError(f"{what} cannot be read: {error.strerror}.{did_you_mean(path, Path.is_file)}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date or a number that is none is a ValueError
        raise UserError(f"{what} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(mapping, dict):
        raise not_a_mapping(what, mapping)
    return mapping


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
