"""What an export is going to write, checked before torch and MLflow are loaded: a mistake is said at once."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from nas.ledger.ledger import Ledger
from nas.records.selection import pick
from nas.records.trial import TrialRecord
from nas.settings.run_directory import RunDirectory
from nas.settings.search_settings import TrackingSettings
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


def plan_export(options: argparse.Namespace, directory: RunDirectory, ledger: Ledger) -> ExportPlan:
    """What the command line asks for. Raises UserError where it cannot be written."""
    picked = pick(ledger.records, options.pick)
    record = picked.record
    out = Path(options.out or f"bundles/{options.name}-{record.number:04d}")
    if (options.onnx or options.register) and newest_epoch(directory.checkpoints(record.number)) != len(record.epochs):
        raise weights_gone(directory, record)
    if options.onnx:
        check_onnx()
    registration = None
    if options.register:
        alias = DEFAULT_ALIAS if options.alias is None else options.alias
        check_names(options.register, alias)
        if ledger.tracking is None:
            raise UserError(f"search {options.name!r} has no MLflow store: it was never run.")
        tracking = TrackingSettings.from_kept(ledger.tracking, options.tracking_uri, "--tracking-uri URI")
        registration = Registration(options.register, alias, store_uri(tracking, directory))
        check_there(registration.uri)
    check_free(out)
    return ExportPlan(record, options.pick, picked.remark, out, options.onnx, registration)


def weights_gone(directory: RunDirectory, record: TrialRecord) -> UserError:
    """What is said where the weights of a trial are needed and not kept."""
    return UserError(
        f"the weights of trial {record.number} are no longer in {str(directory.checkpoints(record.number))!r}: --onnx "
        "and --register need them; expected a trial of the front, or neither flag: the bundle then has all else."
    )
