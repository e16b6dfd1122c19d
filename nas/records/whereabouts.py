"""Where trials are trained, what was heard of them, what went wrong with them, and which driver has the search."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.json_fields import read_dataclass


@dataclass(frozen=True, slots=True)
class GpuUse:
    """Of the GPU that a trial is trained on: bytes of its memory in use, and in all, and how busy it is, of 1.

    `utilisation` is None where nobody says.
    """

    used_bytes: int
    total_bytes: int
    utilisation: float | None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "GpuUse":
        """What `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "use of a GPU")


@dataclass(frozen=True, slots=True)
class Place:
    """The node that a trial was given to last, by its name, and when, in seconds since 1970.

    `accelerator` is the type of its GPUs, as Ray names it; None where it trains on CPUs.
    """

    node: str
    since: float
    accelerator: str | None = None

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "Place":
        """What `to_json` wrote. Anything unknown, missing or of another type raises UserError.

        Earlier code knew of no accelerator.
        """
        if isinstance(data, Mapping):
            data = {"accelerator": None, **data}
        return read_dataclass(cls, data, "place of a trial")


@dataclass(frozen=True, slots=True)
class Mishap:
    """What went wrong with a trial last, counted against it or not: on which node, and when, in seconds since 1970."""

    node: str
    reason: str
    at: float

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "Mishap":
        """What `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "mishap of a trial")


def has_left(place: Place | None, mishap: Mishap | None) -> bool:
    """Whether what went wrong with a trial ended its training at the place that it was given to last."""
    return mishap is not None and (place is None or mishap.at >= place.since)


@dataclass(frozen=True, slots=True)
class DriverRun:
    """The last driver of a search: its machine and process, and when it began and ended in order.

    Times are in seconds since 1970; `ended_at` is None while it runs, and where it was killed or ended at once.
    `flags` are those of its command that say on what machines trials run: who goes on with it needs them, too.
    """

    host: str
    process: int
    started_at: float
    ended_at: float | None
    flags: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "flags": list(self.flags)}

    @classmethod
    def from_json(cls, data: object) -> "DriverRun":
        """What `to_json` wrote. Anything unknown, missing or of another type raises UserError.

        Earlier code knew of no flags.
        """
        if isinstance(data, Mapping):
            data = {"flags": [], **data}
        return read_dataclass(cls, data, "driver of a search")
