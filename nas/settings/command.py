"""What a command line of `nas/search.py` asks for, as data."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.settings.search_settings import ClusterSettings, LedgerSettings, SearchSettings, TrackingSettings
from search_spaces.space import Space
from trainers.data.config import DataConfig
from trainers.recipe import Recipe


@dataclass(frozen=True, slots=True)
class SpaceFile:
    """A YAML file of the user's (`path`, absolute) and the overrides of what it says."""

    path: str
    overrides: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return {"path": self.path, "overrides": list(self.overrides)}


@dataclass(frozen=True, slots=True)
class Command:
    """What the user asked for.

    `name` is the search's own. Where it goes on (`resume`) or begins with the results of another (`fork_of`),
    `previous` is the header of that search's ledger. `space_file` is where the space came from, with the overrides on
    top of it; None where it is one of those that come with the project.
    """

    name: str
    resume: bool
    fork_of: str | None
    previous: Mapping[str, Any] | None
    plan: bool
    runs_dir: str
    space: Space
    space_file: SpaceFile | None
    data: DataConfig
    training: Recipe
    search: SearchSettings
    cluster: ClusterSettings
    tracking: TrackingSettings
    ledger: LedgerSettings

    def header(self) -> dict[str, Any]:
        """What a ledger keeps of it."""
        return {
            "space_name": self.space.name,
            "space": self.space.to_json(),
            "space_file": None if self.space_file is None else self.space_file.to_json(),
            "data": self.data.to_json(),
            "training": self.training.to_json(),
            "search": self.search.to_json(),
        }
