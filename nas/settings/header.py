"""What a search was started with, as its ledger keeps it from the first moment on."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from nas.records.earlier_search import EarlierSearch
from nas.records.search_facts import SearchFacts, reference_point
from nas.settings.search_settings import SearchSettings
from nas.settings.space_files import SpaceFile
from search_spaces.json_fields import read_dataclass, read_object
from search_spaces.space import Space
from search_spaces.space_reading import space_from_mapping
from trainers.data.config import DataConfig, DataSummary
from trainers.data.fingerprint import DataFingerprint
from trainers.recipe import Recipe

# The home of the defaults of `search.*`.
SEARCH_DEFAULTS = Path(__file__).resolve().parents[1] / "conf" / "search.yaml"


@dataclass(frozen=True, slots=True)
class ForkOrigin:
    """The search whose finished results a fork began with: its name, id and code, and how many they were."""

    name: str
    search_id: str
    code_revision: str
    results: int

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "ForkOrigin":
        """The origin that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "forked_from")


@dataclass(frozen=True, slots=True)
class SearchHeader:
    """The space, the data, the training and the search settings of a search, and what it ran on.

    `space_file` is the user's file that the space came from, None where it is one of the project's. `data_summary` is
    what the data set was found to hold, `data_fingerprint` what its images are known by (None where the search was
    begun before there were any), `slots` the number of trials that ran at a time. `forked_from` is None where the
    search is no fork; `earlier` are the searches that inform its proposals, as they were when it began. `storage` is
    the address of its checkpoints and results, None where that is its directory.
    """

    space: Space
    space_file: SpaceFile | None
    data: DataConfig
    training: Recipe
    search: SearchSettings
    data_summary: DataSummary
    slots: int
    code_revision: str
    data_fingerprint: DataFingerprint | None = None
    forked_from: ForkOrigin | None = None
    earlier: tuple[EarlierSearch, ...] = ()
    storage: str | None = None

    def to_json(self) -> dict[str, Any]:
        optional = {"data_fingerprint": self.data_fingerprint, "forked_from": self.forked_from}
        return {
            "space_name": self.space.name,
            "space": self.space.to_json(),
            "space_file": None if self.space_file is None else self.space_file.to_json(),
            "data": self.data.to_json(),
            "training": self.training.to_json(),
            "search": self.search.to_json(),
            "data_summary": self.data_summary.to_json(),
            "slots": self.slots,
            "code_revision": self.code_revision,
            **{key: value.to_json() for key, value in optional.items() if value is not None},
            **({"earlier": [search.to_json() for search in self.earlier]} if self.earlier else {}),
            **({} if self.storage is None else {"storage": self.storage}),
        }

    @classmethod
    def from_json(cls, data: object) -> "SearchHeader":
        """The header that `to_json` wrote. Anything unknown, missing or of another type raises UserError.

        A search setting that did not exist when the search began has its default.
        """
        keys = ["space_name", "space", "space_file", "data", "training", "search", "data_summary", "slots"]
        known = ("data_fingerprint", "forked_from", "earlier", "storage")
        optional = [key for key in known if isinstance(data, Mapping) and key in data]
        fields = read_object(data, "ledger header", [*keys, "code_revision", *optional])
        space_file, fingerprint, forked_from = (
            fields.get(key) for key in ("space_file", "data_fingerprint", "forked_from")
        )
        return cls(
            space=space_from_mapping(fields["space_name"], fields["space"]),
            space_file=None if space_file is None else SpaceFile.from_json(space_file),
            data=DataConfig.from_json(fields["data"]),
            training=Recipe.from_json(fields["training"]),
            search=SearchSettings.from_json({**_search_defaults(), **fields["search"]}),
            data_summary=DataSummary.from_json(fields["data_summary"]),
            slots=fields["slots"],
            code_revision=fields["code_revision"],
            data_fingerprint=None if fingerprint is None else DataFingerprint.from_json(fingerprint),
            forked_from=None if forked_from is None else ForkOrigin.from_json(forked_from),
            earlier=tuple(map(EarlierSearch.from_json, fields.get("earlier", ()))),
            storage=fields.get("storage"),
        )

    def settings(self) -> dict[str, Any]:
        """Every setting by its full name, as `training.epochs`."""
        sections = {
            "data": self.data.to_json(),
            "training": self.training.to_json(),
            "search": self.search.to_json(),
            "space": self.space.to_json(),
        }
        named = {f"{section}.{key}": value for section, of in sections.items() for key, value in of.items()}
        return {"space.name": self.space.name} | named

    def facts(self, name: str, most_latency_ms: float | None) -> SearchFacts:
        """What the figures of search `name` have to know of it.

        `most_latency_ms` is the latency up to which a result counts, where the search is on latency.
        """
        search = self.search
        reference = reference_point(
            self.space, self.data_summary, search.cost_names, search.min_accuracy, search.limits,
            most_latency_ms, search.max_latency_ms,
        )  # fmt: skip
        return SearchFacts(name, self.data_summary, self.training.epochs, reference, search.cost_names)


def _search_defaults() -> dict[str, Any]:
    defaults: dict[str, Any] = yaml.safe_load(SEARCH_DEFAULTS.read_text(encoding="utf-8"))["search"]
    return defaults
