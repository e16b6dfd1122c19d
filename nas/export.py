"""Exports an architecture of a search as a bundle that `trainers/train.py` trains.

python nas/export.py NAME --pick knee|accuracy|max-flops=X|trial=N [--out DIR]
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from nas.arguments import ArgumentParser
from nas.ledger import Ledger, ledger_url
from nas.records import TrialRecord, readable_flops
from nas.run_directory import RunDirectory, existing_run
from nas.selection import PICKS, pick
from nas.settings import DEFAULT_RUNS_DIRECTORY
from search_spaces.errors import UserError
from trainers.bundle import Bundle, write_bundle
from trainers.checkpoint import newest_sound_checkpoint
from trainers.data import DataConfig, check_data
from trainers.recipe import FULL_TRAINING

EXIT_MISTAKE = 2


def argument_parser() -> argparse.ArgumentParser:
    """The flags of `nas/export.py`."""
    parser = ArgumentParser(
        prog="python nas/export.py",
        description="Write one architecture of a search as a bundle: its description, the recipe of its full training, "
        "the weights that the search left it with, and where it comes from.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="the search")
    parser.add_argument(
        "--pick", required=True, metavar="|".join(PICKS),
        help="knee: where the front bends; accuracy: its most accurate; max-flops=2e9: its most accurate within a "
        "budget; trial=42: any trial that was finished",
    )  # fmt: skip
    parser.add_argument("--out", metavar="DIR", help="where to write it (default: bundles/NAME-TRIAL)")
    parser.add_argument(
        "--runs-dir",
        default=DEFAULT_RUNS_DIRECTORY,
        metavar="DIR",
        help="where searches are kept (default %(default)s)",
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, or 2 on a user's mistake."""
    try:
        options = argument_parser().parse_args(list(arguments))
        directory = existing_run(options.runs_dir, options.name)
        ledger = Ledger.open(ledger_url(directory.ledger), options.name)
        record = pick(ledger.records, options.pick)
        out = Path(options.out or f"bundles/{options.name}-{record.number:04d}")
        export(directory, ledger, record, options.pick, out)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    console = Console(highlight=False)
    console.print(
        f"{out}: trial {record.number}, {record.architecture.label}, {readable_flops(record.flops)}, "
        f"{record.params:,} parameters, validation accuracy {record.point[0]:.2%}"
    )
    data = ledger.header["data"]
    root = f" data.root={data['root']}" if data["root"] else ""
    console.print("\nnext: train it fully, from scratch, and judge it on the test part")
    console.print(f"  python trainers/train.py {out} data={data['name']}{root}", soft_wrap=True)
    return 0


def export(directory: RunDirectory, ledger: Ledger, record: TrialRecord, choice: str, out: Path) -> None:
    """Writes the bundle of a finished trial. Raises UserError where `out` exists or its weights are gone."""
    header = ledger.header
    data = DataConfig.from_json(header["data"])
    checkpoint = newest_sound_checkpoint(directory.checkpoints(record.number))
    if checkpoint is None or checkpoint[0] != len(record.epochs):
        raise UserError(
            f"the weights of trial {record.number} are no longer in {str(directory.checkpoints(record.number))!r}: "
            "expected a trial of the front, whose weights are kept."
        )
    state = checkpoint[1]["training"]
    bundle = Bundle(
        architecture=record.architecture,
        recipe=FULL_TRAINING[data.name],
        data=data,
        data_summary=check_data(data),
        provenance={
            "search": directory.name,
            "search_id": ledger.search_id,
            "pick": choice,
            "trial": record.number,
            "seed": record.seed,
            "epochs": len(record.epochs),
            "val_accuracy": record.point[0],
            "flops": record.flops,
            "params": record.params,
            "search_training": header["training"],
            "code_revision": header["code_revision"],
        },
    )
    write_bundle(out, bundle, state["averaged"] or state["model"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
