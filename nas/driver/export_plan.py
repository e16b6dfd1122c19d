"""What an export is going to write, checked before torch and MLflow are loaded: a mistake is said at once."""

from dataclasses import dataclass
from pathlib import Path

from nas.driver.front_table import uncounted_remarks
from nas.ledger.contents import LedgerContents
from nas.records.selection import pick
from nas.records.trial import TrialRecord
from nas.settings.run_directory import RunDirectory
from nas.settings.store_settings import TrackingSettings
from nas.tracking.registered_names import DEFAULT_ALIAS, check_names
from nas.tracking.store_address import check_there, store_uri
from search_spaces.errors import UserError
from trainers.bundle.document import check_free
from trainers.bundle.onnx_export import check_onnx
from trainers.checkpoint import newest_epoch


@dataclass(frozen=True, slots=True)
class Registration:
    """Where a network is registered: as a new version of `model` in the MLflow store at `uri`, called `alias`."""

    model: str
    alias: str
    uri: str


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """A trial that `choice` means, what has to be said of that, and what is to be made of it."""

    record: TrialRecord
    choice: str
    remark: str | None
    out: Path
    onnx: bool
    registration: Registration | None


def plan_export(
    directory: RunDirectory,
    ledger: LedgerContents,
    choice: str,
    out: Path | None = None,
    *,
    onnx: bool = False,
    register: str | None = None,
    alias: str | None = None,
    tracking_uri: str | None = None,
) -> ExportPlan:
    """What is asked for, by the names of the flags. Raises UserError where it cannot be written."""
    directory = directory.stored_at(ledger.header.storage)
    picked = pick(ledger.records, choice)
    record = picked.record
    out = out or Path(f"bundles/{directory.name}-{record.number:04d}")
    if (onnx or register) and newest_epoch(directory.checkpoints(record.number)) != len(record.epochs):
        raise weights_gone(directory, record)
    if onnx:
        check_onnx()
    registration = None
    if register:
        alias = DEFAULT_ALIAS if alias is None else alias
        check_names(register, alias)
        if ledger.tracking is None:
            raise UserError(f"search {directory.name!r} has no MLflow store: it was never run.")
        tracking = TrackingSettings.from_kept(ledger.tracking, tracking_uri, "--tracking-uri URI")
        registration = Registration(register, alias, store_uri(tracking, directory))
        check_there(registration.uri)
    check_free(out)
    remarks = [*filter(None, [picked.remark]), *uncounted_remarks(record, ledger.header.search)]
    return ExportPlan(record, choice, "; ".join(remarks) or None, out, onnx, registration)


def weights_gone(directory: RunDirectory, record: TrialRecord) -> UserError:
    """What is said where the weights of a trial are needed and not kept."""
    return UserError(
        f"the weights of trial {record.number} are no longer in {str(directory.checkpoints(record.number))!r}: --onnx "
        "and --register need them; expected a trial of the front, or neither flag: the bundle then has all else."
    )
