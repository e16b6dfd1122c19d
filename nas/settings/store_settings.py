"""Where a search keeps its files, its MLflow runs and its ledger: frozen settings, checked, without any framework."""

import os
from dataclasses import dataclass, field
from typing import Any

from nas.settings.address_checks import check_ledger_url, check_tracking_uri
from nas.settings.addresses import MLFLOW_VARIABLE, redacted, whole_address
from search_spaces.errors import UserError
from search_spaces.json_fields import read_dataclass
from trainers.storage.address import StorageAddress

# MLflow's own limit.
LONGEST_EXPERIMENT = 500
# Holds the address of the ledger where the command line shall not.
LEDGER_VARIABLE = "NAS_LEDGER_URL"


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where a search keeps its checkpoints and results; `address` None is the runs directory.

    Raises UserError on what is no address of a storage, or has secrets.
    """

    address: str | None

    def __post_init__(self) -> None:
        if self.address is not None:
            StorageAddress.of(self.address, "storage.address")

    @classmethod
    def from_json(cls, data: object) -> "StorageSettings":
        """The settings of a configuration. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "storage")


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Which MLflow store a search is written to; `uri` None is a SQLite store in the runs directory.

    Raises UserError on an experiment whose name is longer than MLflow takes.
    """

    uri: str | None
    experiment: str

    def __post_init__(self) -> None:
        if len(self.experiment) > LONGEST_EXPERIMENT:
            raise UserError(
                f"tracking.experiment has {len(self.experiment)} characters: MLflow takes at most {LONGEST_EXPERIMENT}."
            )

    @classmethod
    def from_json(cls, data: object) -> "TrackingSettings":
        """The settings of a configuration. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "tracking")

    def without_secrets(self) -> dict[str, Any]:
        """The store as a search's ledger keeps it."""
        return {"uri": None if self.uri is None else redacted(self.uri), "experiment": self.experiment}

    @classmethod
    def from_kept(cls, kept: object, uri: str | None, how: str) -> "TrackingSettings":
        """The store that `without_secrets` wrote, or that at `uri` where one is given.

        Raises UserError where its secrets are not known; `how` says how to give `uri`.
        """
        written = cls.from_json(kept)
        if uri is None and written.uri is not None:
            uri = whole_address(written.uri, None, MLFLOW_VARIABLE)
            if uri is None:
                raise UserError(
                    f"the MLflow store of the search is {written.uri!r}, kept without its password: "
                    f"give it whole by {how} or in {MLFLOW_VARIABLE}."
                )
        if uri is not None:
            check_tracking_uri(uri, how.partition("=")[0].partition(" ")[0])
        return cls(uri, written.experiment)


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """The database of the ledger; `url` None is SQLite in the directory of the search.

    Raises UserError on an address of another kind.
    """

    url: str | None = field(repr=False)

    def __post_init__(self) -> None:
        if self.url is not None:
            check_ledger_url(self.url, "ledger.url")

    def of_new_search(self) -> "LedgerSettings":
        """Where the ledger of a search that begins is: here, or where the environment says.

        Raises UserError where that is no address of a ledger.
        """
        url, name = self.url, "ledger.url"
        if url is None:
            url, name = os.environ.get(LEDGER_VARIABLE) or None, LEDGER_VARIABLE
        if url is not None:
            check_ledger_url(url, name)
        return LedgerSettings(url)

    @classmethod
    def from_json(cls, data: object) -> "LedgerSettings":
        """The settings of a configuration. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "ledger")
