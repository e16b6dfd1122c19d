"""Exports a found network: as a bundle, as ONNX, and into MLflow's model registry."""

from pathlib import Path

from rich.console import Console
from torch import Tensor

from nas.driver.export_plan import ExportPlan, weights_gone
from nas.driver.found_bundle import found_bundle
from nas.driver.texts import print_pasted, print_text
from nas.ledger.contents import LedgerContents
from nas.records.trial import TrialRecord
from nas.settings.run_directory import RunDirectory
from search_spaces.errors import UserError, printable
from search_spaces.pasted_commands import python_command, stands_in_project
from search_spaces.units import readable_flops
from trainers.bundle.contents import Bundle
from trainers.bundle.files import model_of, read_model, write_bundle
from trainers.bundle.onnx_export import onnx_model
from trainers.checkpoint import evaluated_weights, newest_sound_checkpoint


def export_bundle(console: Console, plan: ExportPlan, directory: RunDirectory, ledger: LedgerContents) -> None:
    """Writes the bundle, and registers its network where that is asked for. What can be checked first is checked first.

    Raises UserError, and OSError where the bundle cannot be written.
    """
    directory = directory.stored_at(ledger.header.storage)
    record, out, registration = plan.record, plan.out, plan.registration
    if registration is not None:
        # MLflow takes seconds to import.
        from nas.tracking.model_registry import ModelRegistry

        registry = ModelRegistry(registration.uri, ledger.search_id)
        run = registry.run_of(record.number)
    bundle, weights = found_bundle(directory, ledger, record, plan.choice), kept_weights(directory, record)
    if weights is None and (plan.onnx or registration is not None):
        raise weights_gone(directory, record)
    # Weights of another network, as in a checkpoint that was put there, are found here and not by who gets the bundle.
    network = None if weights is None else model_of(bundle, weights)
    onnx = onnx_model(network, bundle) if plan.onnx and network is not None else None
    write_bundle(out, bundle, weights, onnx)
    print_pasted(
        console,
        f"{printable(str(out))}: trial {record.number}, {record.architecture.label}, {readable_flops(record.flops)}, "
        f"{record.params:,} parameters, validation accuracy {record.point[0]:.2%}{_of_these_weights(record)}",
    )
    if plan.remark is not None:
        print_text(console, plan.remark)
    if weights is None:
        where = directory.checkpoints(record.number)
        said = f"without weights: the search has not kept those of trial {record.number}, or they are gone from {where}"
        print_text(console, said)
    if registration is not None:
        model, alias = registration.model, registration.alias
        try:
            version = registry.register(run, record, read_model(out), bundle, model, alias)
        except UserError as error:
            raise UserError(f"{error} (the bundle {str(out)!r} is written)") from None
        print_pasted(console, f"models:/{model}@{alias}: version {version}")
    _print_next(console, bundle, out)


def export_paper_model(console: Console, bundle: Bundle, out: Path) -> None:
    """Writes a model of the paper. Raises UserError, and OSError where the bundle cannot be written."""
    write_bundle(out, bundle, None)
    cost, size = bundle.data_summary.cost(bundle.architecture), bundle.data_summary.image_size
    print_pasted(
        console,
        f"{printable(str(out))}: {bundle.architecture.label}, {readable_flops(cost.flops)} at {size} pixels, "
        f"{cost.params:,} parameters",
    )
    _print_next(console, bundle, out)


def _of_these_weights(record: TrialRecord) -> str:
    """Which of several trainings of a network the bundle tells of, where its accuracy is their mean."""
    if len(record.repeats) < 2:
        return ""
    own = record.epochs[-1].val_accuracy
    return f", the mean of {len(record.repeats)} trainings; that of the bundle's weights {own:.2%}"


def _print_next(console: Console, bundle: Bundle, out: Path) -> None:
    is_missing = bundle.data.name == "imagenet" and not bundle.data.root
    root = [f"data.root={'DIR' if is_missing else bundle.data.root}"] if bundle.data.root or is_missing else []
    shown = out if stands_in_project() else out.resolve()
    print_text(console, "\nnext: train it fully, from scratch, and evaluate it on the test split")
    print_pasted(console, f"  {python_command('trainers/train.py', str(shown), f'data={bundle.data.name}', *root)}")


def kept_weights(directory: RunDirectory, record: TrialRecord) -> dict[str, Tensor] | None:
    """The weights that a finished trial ended with; None where they are gone, or its checkpoint is damaged."""
    checkpoint = newest_sound_checkpoint(directory.checkpoints(record.number))
    if checkpoint is None or checkpoint[0] != len(record.epochs):
        return None
    return evaluated_weights(checkpoint[1]["training"])
