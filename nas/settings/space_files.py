"""The spaces that come with the project, and those in files of the user's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces import space as space_module
from search_spaces.errors import unknown_name
from search_spaces.json_fields import read_dataclass
from search_spaces.overrides import Override
from search_spaces.space_reading import space_from_mapping
from search_spaces.yaml_files import files_beside, read_mapping

SPACE_DIRECTORY = Path(space_module.__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class SpaceFile:
    """A YAML file of the user's (`path`, absolute) and the overrides of what it says."""

    path: str
    overrides: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "overrides": list(self.overrides)}

    @classmethod
    def from_json(cls, data: object) -> "SpaceFile":
        """The file that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "space_file")


def space_names() -> list[str]:
    """The spaces that come with the project."""
    return sorted(path.stem for path in SPACE_DIRECTORY.glob("*.yaml"))


def space_mapping(name: str) -> tuple[str, Mapping[str, Any]]:
    """A space's short name and what its file says; `name` is one of `space_names` or the path of a YAML file."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else SPACE_DIRECTORY / f"{name}.yaml"
    if not name.endswith((".yaml", ".yml")) and name not in space_names():
        raise unknown_name("space", name, [*space_names(), "a file ending in .yaml"], others=files_beside(name))
    mapping = read_mapping(path, f"space file {str(path)!r}")
    space_from_mapping(path.stem, mapping)
    return path.stem, mapping


def space_file_of(space: str, overrides: Sequence[Override]) -> SpaceFile | None:
    """The user's file that `space` names, with those of the overrides that change it; None for a space of ours."""
    if space in space_names():
        return None
    return SpaceFile(
        str(Path(space).resolve()), tuple(str(override) for override in overrides if override.key.startswith("space."))
    )
