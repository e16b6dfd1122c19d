"""What a ledger holds, for whoever only reads it; it is written by `nas.ledger.ledger`, which says what is in it."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from nas.ledger.checksums import ChecksumMismatch, checked
from nas.ledger.stored_trials import StoredStudy
from nas.ledger.trial_codec import record_of
from nas.records.latency_reference import LatencyReference
from nas.records.left_out_nodes import LeftOutNode
from nas.records.trial import TrialRecord
from nas.records.whereabouts import DriverRun
from nas.settings.addresses import without_secrets
from nas.settings.header import SearchHeader
from nas.settings.search_settings import SearchSettings
from search_spaces.errors import UserError, first_line
from trainers.data.fingerprint import DataFingerprint
from trainers.inference_cost import InferenceCost

LEDGER_FORMAT = 3


class LedgerContents:
    """The content of a study, as it was when it was read; `records` are in the order of the trials' numbers.

    Raises ChecksumMismatch, or what a missing value brings about, where the study is damaged.
    """

    def __init__(self, stored: StoredStudy) -> None:
        self._records: dict[int, TrialRecord] = {}
        self._attributes = {key: checked("search", key, value) for key, value in stored.attributes.items()}
        header = dict(self._attributes["header"])
        assert header.pop("ledger_format") == LEDGER_FORMAT
        self.header = SearchHeader.from_json(header)
        if (fingerprint := self._attributes.get("data_fingerprint")) is not None:
            self.header = replace(self.header, data_fingerprint=DataFingerprint.from_json(fingerprint))
        if (root := self._attributes.get("data_root")) is not None:
            self._set_data_root(root)
        if (limits := self._attributes.get("limits")) is not None:
            self._set_limits(limits)
        self._cost_names = self.header.search.cost_names
        if stored.directions != ["MAXIMIZE", *(["MINIMIZE"] * len(self._cost_names))]:
            raise ChecksumMismatch("the objectives are not to be maximised and minimised")
        if [trial.number for trial in stored.trials] != list(range(len(stored.trials))):
            raise ChecksumMismatch("the trials are not numbered one after the other")
        for trial in stored.trials:
            record = record_of(trial, self._cost_names)
            cost = self._attributes.get(inference_key(trial.number))
            if cost is not None:
                record = replace(record, inference=InferenceCost.from_json(cost))
            self._records[trial.number] = record

    @property
    def search_id(self) -> str:
        return str(self._attributes["search_id"])

    @property
    def latency_reference(self) -> LatencyReference | None:
        """What latencies are measured beside. None where they are not, or not yet."""
        stored = self._attributes.get("yardstick")
        return None if stored is None else LatencyReference.from_json(stored)

    @property
    def most_latency_ms(self) -> float | None:
        """The latency up to which a result counts: that of the latency reference."""
        return None if self.latency_reference is None else self.latency_reference.latency_ms

    def _set_data_root(self, root: str) -> None:
        self.header = replace(self.header, data=replace(self.header.data, root=root))

    def _set_limits(self, limits: Mapping[str, Any]) -> None:
        search = SearchSettings.from_json({**self.header.search.to_json(), **limits})
        self.header = replace(self.header, search=search)

    @property
    def unreadable_images(self) -> tuple[str, ...]:
        """The images that no trial got past, by their paths below data.root."""
        return tuple(self._attributes.get("unreadable_images", ()))

    @property
    def nodes_left_out(self) -> tuple[LeftOutNode, ...]:
        """The nodes that were left out, in the order in which they were."""
        return tuple(map(LeftOutNode.from_json, self._attributes.get("nodes_left_out", ())))

    @property
    def driver(self) -> DriverRun | None:
        """The last driver of the search; None where earlier code began it."""
        stored = self._attributes.get("driver")
        return None if stored is None else DriverRun.from_json(stored)

    @property
    def storage_claims(self) -> tuple[str, ...]:
        """What each of its drivers left as its token at the storage; none where there is no storage."""
        return tuple(self._attributes.get("storage_claims", ()))

    @property
    def tracking(self) -> dict[str, Any] | None:
        """The MLflow store that the search is written to, without secrets; None before it was started."""
        return self._attributes.get("tracking")

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        # They are put in in the order of their numbers, and stay there.
        return tuple(self._records.values())

    def record(self, number: int) -> TrialRecord:
        return self._records[number]

    @property
    def next_number(self) -> int:
        """The number that the next trial will have."""
        return len(self._records)


def inference_key(number: int) -> str:
    """The study's attribute that holds what a trial was measured to cost."""
    return f"inference_{number:05d}"


def ledger_format(attributes: Mapping[str, Any]) -> object:
    """The format that a ledger says it has, of the attributes of its study."""
    header = attributes.get("header", {})
    return header.get("value", header).get("ledger_format")  # Up to format 2 there were no checksums.


def other_format(name: str, found: object) -> UserError:
    """What is said of a ledger that another version of this project wrote."""
    is_later = isinstance(found, int) and found > LEDGER_FORMAT
    return UserError(
        f"the ledger of search {name!r} has format {found!r}: expected {LEDGER_FORMAT}; "
        f"{'a later' if is_later else 'an earlier'} version of this project wrote it, and can go on with it."
    )


# What SQLite says where another process writes for longer than one waits.
_LOCKED = "database is locked"


@contextlib.contextmanager
def unreadable_said(name: str, url: str) -> Iterator[None]:
    """Turns whatever a damaged database may bring about into a UserError that says what is wrong with the ledger."""
    try:
        yield
    except Exception as error:
        missing = isinstance(error, (LookupError, TypeError, AttributeError, AssertionError))
        said = reason(error, url)
        if missing:
            said = f"a value is missing or damaged ({type(error).__name__}: {said})"
        elif said == _LOCKED:
            said += ", by a process that is writing it: a suspended driver (Ctrl-Z, a frozen machine) keeps it so"
        raise UserError(f"the ledger of search {name!r} cannot be read: {said}.") from error


def reason(error: Exception, url: str) -> str:
    """The first line of an error, without the secrets of the address and a full stop.

    Optuna says the same of whatever a database refuses: what the database said itself is told instead.
    """
    said: BaseException = error
    each: BaseException | None = error
    while each is not None:
        said = getattr(each, "orig", None) or said
        each = each.__cause__
    return without_secrets(first_line(said), url).rstrip(". ")
