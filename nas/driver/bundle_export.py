"""Exports a found network: as a bundle, as ONNX, and into MLflow's model registry."""

import argparse
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from nas.ledger.ledger import Ledger
from nas.records.selection import pick
from nas.records.trial import TrialRecord
from nas.settings.run_directory import RunDirectory
from nas.settings.search_settings import TrackingSettings
from search_spaces.errors import UserError
from search_spaces.units import readable_flops
from trainers.bundle.contents import Bundle
from trainers.bundle.files import model_of, read_model, write_bundle
from trainers.bundle.onnx_export import check_onnx, onnx_model
from trainers.bundle.provenance import Provenance
from trainers.checkpoint import newest_sound_checkpoint
from trainers.recipe import FULL_TRAINING


def export_bundle(console: Console, options: argparse.Namespace, directory: RunDirectory, ledger: Ledger) -> None:
    """Writes the bundle, and registers its network where that is asked for. Whatever can be checked is checked first.

    Raises UserError, and OSError where the bundle cannot be written.
    """
    record = pick(ledger.records, options.pick)
    out = Path(options.out or f"bundles/{options.name}-{record.number:04d}")
    if options.onnx:
        check_onnx()
    if options.register:
        # MLflow takes seconds to import.
        from nas.tracking.model_registry import DEFAULT_ALIAS, ModelRegistry, check_names
        from nas.tracking.store import store_uri

        alias = DEFAULT_ALIAS if options.alias is None else options.alias
        check_names(options.register, alias)
        if ledger.tracking is None:
            raise UserError(f"search {options.name!r} has no MLflow store: it was never run.")
        tracking = TrackingSettings.from_kept(ledger.tracking, options.tracking_uri, "--tracking-uri URI")
        registry = ModelRegistry(store_uri(tracking, directory), ledger.search_id)
        run = registry.run_of(record.number)
    bundle, weights = found_network(directory, ledger, record, options.pick)
    onnx = onnx_model(model_of(bundle, weights), bundle.data_summary) if options.onnx else None
    write_bundle(out, bundle, weights, onnx)
    console.print(
        f"{out}: trial {record.number}, {record.architecture.label}, {readable_flops(record.flops)}, "
        f"{record.params:,} parameters, validation accuracy {record.point[0]:.2%}",
        soft_wrap=True,
    )
    if options.register:
        try:
            version = registry.register(run, read_model(out), bundle.data_summary, options.register, alias)
        except UserError as error:
            raise UserError(f"{error} (the bundle {str(out)!r} is written)") from None
        console.print(f"models:/{options.register}@{alias}: version {version}", soft_wrap=True)
    _print_next(console, bundle, out)


def _print_next(console: Console, bundle: Bundle, out: Path) -> None:
    root = f" data.root={bundle.data.root}" if bundle.data.root else ""
    console.print("\nnext: train it fully, from scratch, and evaluate it on the test split")
    console.print(f"  python trainers/train.py {out} data={bundle.data.name}{root}", soft_wrap=True)


def found_network(
    directory: RunDirectory, ledger: Ledger, record: TrialRecord, choice: str
) -> tuple[Bundle, dict[str, Tensor]]:
    """A finished trial as a bundle, and its weights. Raises UserError where its weights are gone."""
    checkpoint = newest_sound_checkpoint(directory.checkpoints(record.number))
    if checkpoint is None or checkpoint[0] != len(record.epochs):
        raise UserError(
            f"the weights of trial {record.number} are no longer in {str(directory.checkpoints(record.number))!r}: "
            "expected a trial of the front, whose weights are kept."
        )
    state = checkpoint[1]["training"]
    return found_bundle(directory, ledger, record, choice), state["averaged"] or state["model"]


def found_bundle(directory: RunDirectory, ledger: Ledger, record: TrialRecord, choice: str) -> Bundle:
    """A finished trial as a bundle; `choice` says how it was picked."""
    header = ledger.header
    last = record.epochs[-1]
    provenance = Provenance(
        search=directory.name,
        search_id=ledger.search_id,
        pick=choice,
        trial=record.number,
        seed=record.seed,
        search_seed=header.search.seed,
        code_revision=header.code_revision,
        torch_version=torch.__version__,
        search_training=header.training.to_json(),
        search_data=header.data_summary.to_json(),
        epochs=len(record.epochs),
        train_loss=last.train_loss,
        val_loss=last.val_loss,
        val_accuracy=last.val_accuracy,
        flops=record.flops,
        params=record.params,
        inference=None if record.inference is None else record.inference.to_json(),
    )
    return Bundle(
        record.architecture,
        FULL_TRAINING[header.data.name],
        header.data,
        header.data_summary,
        provenance,
        header.data_fingerprint,
    )
