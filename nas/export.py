"""Shows the front of a search, and exports an architecture of it as a bundle that `trainers/train.py` trains.

python nas/export.py NAME --list
python nas/export.py NAME --pick knee|accuracy|within=P%|max-flops=X|max-params=X|max-memory=MB|max-latency=MS|trial=N
    [--out DIR] [--onnx] [--register MODEL [--alias ALIAS]]
python nas/export.py --paper MODEL [NAME] [data=DATA data.root=DIR recipe.epochs=N ...] [--out DIR]
"""

if __name__ == "__main__":
    import os
    import sys

    # Where nobody has installed the project, it is found beside this script.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from search_spaces.installed import require_installed

    require_installed()

from search_spaces.ctrl_c import end_on_ctrl_c

if __name__ == "__main__":
    # What is imported next takes a while, and may not be installed.
    end_on_ctrl_c()
    from search_spaces.extras import require_search

    require_search("nas/export.py")

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nas.records.picks import PICKS
from nas.settings.addresses import redacted
from nas.settings.arguments import add_search_places, check_named, existing_searches
from search_spaces.arguments import ArgumentParser, complete_by, path
from search_spaces.errors import UserError
from search_spaces.exit_codes import FAILURE, MISTAKE, SUCCESS
from search_spaces.machine import TORCH_ADDRESS_BYTES, check_address_space, prepare_temporary_directory
from search_spaces.paper_models import ARCHITECTURES
from search_spaces.programs import program
from search_spaces.standard_streams import run_program
from trainers.storage.remote_folder import StorageLost

if TYPE_CHECKING:
    from rich.console import Console

    from nas.records.trial import TrialRecord
    from nas.settings.search_settings import SearchSettings

# What is imported above is light: --help and a mistake on the command line are answered at once.


def argument_parser() -> argparse.ArgumentParser:
    """The flags of `nas/export.py`."""
    parser = ArgumentParser(
        prog=program("nas/export.py"),
        usage="%(prog)s NAME --list | NAME --pick CHOICE | --paper MODEL [NAME] [SETTING=VALUE ...] [flags]",
        description="Show the front of a search, or write one architecture of it as a bundle: its description, the "
        "recipe of its full training, the weights that the search left it with, where it comes from, and a model card. "
        "Or write a model of the paper, as a baseline that is trained by the very same recipe: for the images of the "
        "search NAME, or else for those that data=... names, by default ImageNet.",
        allow_abbrev=False,
    )
    words = parser.add_argument("words", metavar="NAME", nargs="*", help="the search; with --paper SETTING=VALUE, too")
    complete_by(words, existing_searches)
    add_search_places(parser)
    parser.add_argument("--list", action="store_true", help="show the front, and write nothing")
    pick = parser.add_argument(
        "--pick", metavar="CHOICE",
        help=f"{', '.join(PICKS).replace('%', '%%')}. knee: where the front bends; accuracy: its most accurate; "
        "within=1%%: the cheapest within a point of that; max-…: its most accurate "
        "within a budget of FLOPs, parameters, MB or milliseconds; trial: any trial that was finished or stopped",
    )  # fmt: skip
    complete_by(pick, lambda options: [one[: one.find("=") + 1] or one for one in PICKS])
    paper = parser.add_argument(
        "--paper", metavar="MODEL",
        help=f"{', '.join(ARCHITECTURES)} (arXiv 1906.05909, table 1). SETTING=VALUE are data=NAME, data.root=DIR, "
        "recipe.epochs=N and others of trainers/train.py",
    )  # fmt: skip
    complete_by(paper, lambda options: ARCHITECTURES)
    parser.add_argument(
        "--out", type=path, metavar="DIR", help="where to write it (default: bundles/NAME-TRIAL, bundles/MODEL)"
    )
    parser.add_argument("--onnx", action="store_true", help="add the network as model.onnx")
    parser.add_argument("--register", metavar="MODEL", help="register it in MLflow under this name, too")
    parser.add_argument("--alias", metavar="ALIAS", help="what to call the registered version (default: best)")
    parser.add_argument(
        "--tracking-uri", metavar="URI", help="the MLflow store to register in (default: that which the search wrote)"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, 1 where nothing could be read or written, or 2 on a user's mistake."""
    try:
        options = _options(arguments)
        # What reads a ledger takes a moment to import.
        from nas.driver.texts import output_console

        console = output_console()
        if options.paper is not None:
            _export_paper_model(console, options)
            return SUCCESS
        from nas.driver.export_plan import plan_export
        from nas.ledger.location import found_run, open_ledger

        directory = found_run(options.runs_dir, options.name, options.ledger_url)
        ledger = open_ledger(directory, options.ledger_url)
        if options.list:
            print_front(console, ledger.records, ledger.header.search)
        else:
            out = Path(options.out) if options.out else None
            plan = plan_export(
                directory, ledger, options.pick, out,
                onnx=options.onnx, register=options.register, alias=options.alias, tracking_uri=options.tracking_uri,
            )  # fmt: skip
            prepare_temporary_directory()
            check_address_space(TORCH_ADDRESS_BYTES)
            # Torch and MLflow take seconds to import; the list and a mistake do without.
            from nas.driver.bundle_export import export_bundle

            export_bundle(console, plan, directory, ledger)
    except UserError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        return MISTAKE
    except StorageLost as error:
        print(f"error: the storage {error}", file=sys.stderr)
        return FAILURE
    except PermissionError:
        # It may come of reading, too. Whoever runs the program says which path it is.
        raise
    except OSError as error:
        print(f"error: the bundle cannot be written: {error}", file=sys.stderr)
        return FAILURE
    return SUCCESS


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    options = argument_parser().parse_intermixed_args(list(arguments))
    names = [word for word in options.words if "=" not in word]
    options.settings = [word for word in options.words if "=" in word]
    options.name = names[0] if names else None
    if len(names) > 1:
        raise UserError(f"unexpected argument {names[1]!r} (see --help).")
    if options.paper is not None:
        return _paper_options(options)
    if options.settings:
        raise UserError(
            f"{options.settings[0]!r}: settings are for --paper; those of a training, for trainers/train.py."
        )
    check_named(options.name, options.runs_dir)
    if options.list == (options.pick is not None):
        raise UserError(f"expected either --list or --pick with one of {', '.join(PICKS)}.")
    if options.list and (options.out or options.onnx or options.register is not None):
        raise UserError("--list writes nothing: leave out --out, --onnx and --register.")
    if not options.register and (options.alias is not None or options.tracking_uri is not None):
        raise UserError("--alias and --tracking-uri say where a model is registered: they need --register.")
    return options


def _paper_options(options: argparse.Namespace) -> argparse.Namespace:
    if options.list or options.pick is not None:
        raise UserError("--paper writes a model that no search has found: leave out --list and --pick.")
    if options.onnx or any(value is not None for value in (options.register, options.alias, options.tracking_uri)):
        raise UserError("--paper writes a model that is not trained yet: leave out --onnx and --register.")
    return options


def _export_paper_model(console: "Console", options: argparse.Namespace) -> None:
    """Raises UserError, and OSError where the bundle cannot be written."""
    from nas.driver.paper_bundle import paper_bundle
    from trainers.bundle.document import check_free

    search = None
    if options.name is not None:
        from nas.ledger.location import found_run, read_ledger

        directory = found_run(options.runs_dir, options.name, options.ledger_url)
        search = read_ledger(directory, options.ledger_url).header
    bundle = paper_bundle(options.paper, options.settings, search)
    out = Path(options.out or f"bundles/{'' if options.name is None else f'{options.name}-'}{options.paper}")
    check_free(out)
    prepare_temporary_directory()
    check_address_space(TORCH_ADDRESS_BYTES)
    # Torch takes seconds to import; a mistake does without.
    from nas.driver.bundle_export import export_paper_model

    export_paper_model(console, bundle, out)


def print_front(console: "Console", records: "Sequence[TrialRecord]", search: "SearchSettings") -> None:
    """Prints the front as a table, what of it does not count, and under what conditions it was measured."""
    from nas.driver.front_table import front_table, knee_line, measurement_lines, uncounted_lines
    from nas.driver.texts import print_table, print_text
    from nas.records.front import front_of
    from nas.records.pareto import knee

    members = front_of(records)
    if not members:
        raise UserError("no architecture of this search was trained to the end, so there is no front yet.")
    best = members[knee([record.point for record in members])]
    print_table(console, front_table(members, best.number))
    for line in [
        *uncounted_lines(members, search),
        *measurement_lines(members),
        knee_line(members, members[0].cost_names),
    ]:
        print_text(console, line)


if __name__ == "__main__":
    sys.exit(run_program(main))
