"""Shows the front of a search, and exports an architecture of it as a bundle that `trainers/train.py` trains.

python nas/export.py NAME --list
python nas/export.py NAME --pick knee|accuracy|max-flops=X|max-params=X|max-latency=MS|trial=N
    [--out DIR] [--onnx] [--register MODEL [--alias ALIAS]]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from rich.console import Console
from torch import Tensor

from nas.driver.progress import front_table, measurement_lines
from nas.ledger.ledger import Ledger
from nas.ledger.location import open_ledger
from nas.records.pareto import knee
from nas.records.selection import PICKS, pick
from nas.records.trial import TrialRecord, front_of, readable_flops
from nas.settings.addresses import redacted
from nas.settings.arguments import add_existing_search
from nas.settings.kept_addresses import known_tracking
from nas.settings.run_directory import RunDirectory, existing_run
from search_spaces.arguments import ArgumentParser
from search_spaces.errors import UserError
from search_spaces.exit_codes import FAILURE, MISTAKE, SUCCESS
from trainers.bundle.contents import Bundle
from trainers.bundle.files import model_of, read_model, write_bundle
from trainers.bundle.onnx_export import check_onnx, onnx_model
from trainers.bundle.provenance import Provenance
from trainers.checkpoint import newest_sound_checkpoint
from trainers.data.config import DataConfig
from trainers.data.datasets import check_data
from trainers.recipe import FULL_TRAINING


def argument_parser() -> argparse.ArgumentParser:
    """The flags of `nas/export.py`."""
    parser = ArgumentParser(
        prog="python nas/export.py",
        usage="%(prog)s NAME --list | --pick CHOICE [flags]",
        description="Show the front of a search, or write one architecture of it as a bundle: its description, the "
        "recipe of its full training, the weights that the search left it with, where it comes from, and a model card.",
        allow_abbrev=False,
    )
    add_existing_search(parser)
    parser.add_argument("--list", action="store_true", help="show the front, and write nothing")
    parser.add_argument(
        "--pick", metavar="CHOICE",
        help=f"{', '.join(PICKS)}. knee: where the front bends; accuracy: its most accurate; max-…: its most accurate "
        "within a budget of FLOPs, parameters or milliseconds; trial: any trial that was finished",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="where to write it (default: bundles/NAME-TRIAL)")
    parser.add_argument("--onnx", action="store_true", help="add the network as model.onnx")
    parser.add_argument("--register", metavar="MODEL", help="register it in MLflow under this name, too")
    parser.add_argument("--alias", metavar="ALIAS", help="what to call the registered version (default: best)")
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="the MLflow store to register in (default: that which the search wrote)"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, 1 where nothing could be written, or 2 on a user's mistake."""
    console = Console(highlight=False)
    try:
        options = _options(arguments)
        directory = existing_run(options.runs_dir, options.name)
        ledger = open_ledger(directory, options.ledger_url)
        if options.list:
            print_front(console, ledger.records)
        else:
            _export(console, options, directory, ledger)
    except UserError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        return MISTAKE
    except OSError as error:
        print(f"error: the bundle cannot be written: {error}", file=sys.stderr)
        return FAILURE
    return SUCCESS


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    options = argument_parser().parse_args(list(arguments))
    if options.list == (options.pick is not None):
        raise UserError(f"expected either --list or --pick with one of {', '.join(PICKS)}.")
    if options.list and (options.out or options.onnx or options.register):
        raise UserError("--list writes nothing: leave out --out, --onnx and --register.")
    if not options.register and (options.alias is not None or options.tracking_uri is not None):
        raise UserError("--alias and --tracking-uri say where a model is registered: they need --register.")
    return options


def print_front(console: Console, records: Sequence[TrialRecord]) -> None:
    """Prints the front as a table, and under what conditions it was measured."""
    members = front_of(records)
    if not members:
        raise UserError("no architecture of this search was trained to the end, so there is no front yet.")
    best = members[knee([record.point for record in members])]
    console.print(front_table(members, best.number), soft_wrap=True)
    for line in measurement_lines(members):
        console.print(line, soft_wrap=True)


def _export(console: Console, options: argparse.Namespace, directory: RunDirectory, ledger: Ledger) -> None:
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
        tracking = known_tracking(ledger.tracking, options.tracking_uri, "--tracking-uri URI")
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
    console.print("\nnext: train it fully, from scratch, and judge it on the test part")
    console.print(f"  python trainers/train.py {out} data={bundle.data.name}{root}", soft_wrap=True)


def found_network(
    directory: RunDirectory, ledger: Ledger, record: TrialRecord, choice: str
) -> tuple[Bundle, dict[str, Tensor]]:
    """A finished trial as a bundle, and its weights. Raises UserError where its weights are gone."""
    header = ledger.header
    data = DataConfig.from_json(header["data"])
    checkpoint = newest_sound_checkpoint(directory.checkpoints(record.number))
    if checkpoint is None or checkpoint[0] != len(record.epochs):
        raise UserError(
            f"the weights of trial {record.number} are no longer in {str(directory.checkpoints(record.number))!r}: "
            "expected a trial of the front, whose weights are kept."
        )
    state = checkpoint[1]["training"]
    summary = check_data(data)
    last = record.epochs[-1]
    provenance = Provenance(
        search=directory.name,
        search_id=ledger.search_id,
        pick=choice,
        trial=record.number,
        seed=record.seed,
        search_seed=header["search"]["seed"],
        code_revision=header["code_revision"],
        torch_version=torch.__version__,
        search_training=header["training"],
        search_data=summary.to_json(),
        epochs=len(record.epochs),
        train_loss=last.train_loss,
        val_loss=last.val_loss,
        val_accuracy=last.val_accuracy,
        flops=record.flops,
        params=record.params,
        inference=None if record.inference is None else record.inference.to_json(),
    )
    bundle = Bundle(record.architecture, FULL_TRAINING[data.name], data, summary, provenance)
    return bundle, state["averaged"] or state["model"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
