"""Compares fully trained networks: what the search promised against what was reached, and the baselines.

python trainers/compare.py DIR... [--out DIR]
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
    # What is imported next takes a while.
    end_on_ctrl_c()

import argparse
import sys
from pathlib import Path

from search_spaces.arguments import ArgumentParser, path
from search_spaces.errors import UserError, printable
from search_spaces.exit_codes import FAILURE, MISTAKE, SUCCESS
from search_spaces.paths import check_can_be_directory, check_others_are_not_in
from search_spaces.programs import program
from search_spaces.standard_streams import run_program

DESCRIPTION = """\
Makes one table and one figure of fully trained networks: their accuracy in the search against what they
reached, how well the search ranked them, and each hybrid beside the baselines, at what FLOPs.

DIR is the output directory of trainers/train.py or nas/train_fully.py, or the bundle in it. Trainings of
the same network by the same recipe from several seeds are taken together. Baselines are the networks
whose blocks are all convolution, or all attention."""


def main(arguments: list[str]) -> int:
    """Runs a command line. The exit code: 0, 1 where nothing could be written, or 2 on a user's mistake."""
    try:
        options = _parser().parse_args(arguments)
        if not options.directories:
            raise UserError("DIR is missing: the output directories of full trainings (see --help).")
        from trainers.bundle.trained import read_trained

        check_can_be_directory(Path(options.out), f"--out {options.out!r}")
        trained = [read_trained(directory) for directory in dict.fromkeys(map(Path, options.directories))]
        # What computes takes a moment to import; a mistake is said before.
        from trainers.comparison.files import TABLE, write_comparison
        from trainers.comparison.networks import compare
        from trainers.comparison.tables import aligned, lines_of, rows_of
        from trainers.figures import can_draw

        check_others_are_not_in(Path(options.out), TABLE, "--out")
        comparison = compare(trained)
        replaces = (Path(options.out) / TABLE).exists()
        files = write_comparison(Path(options.out), comparison)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISTAKE
    except PermissionError:
        # It may come of reading, too. Whoever runs the program says which path it is.
        raise
    except OSError as error:
        print(f"error: the comparison cannot be written: {error}", file=sys.stderr)
        return FAILURE
    for line in [*aligned(rows_of(comparison)), "", *lines_of(comparison), ""]:
        print(printable(line))
    if replaces:
        print("in the place of an earlier comparison (--out DIR names another place):")
    for file in files:
        print(printable(str(file)))
    if not can_draw():
        print("no figure: matplotlib is not installed")
    return SUCCESS


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(
        prog=program("trainers/compare.py"),
        usage="%(prog)s DIR [DIR ...] [flags]",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("directories", metavar="DIR", nargs="*", type=path, help="a full training")
    parser.add_argument(
        "--out", metavar="DIR", type=path, default="comparison",
        help="where comparison.csv, comparison.md and comparison.png go (default: comparison)",
    )  # fmt: skip
    return parser


if __name__ == "__main__":
    sys.exit(run_program(main))
