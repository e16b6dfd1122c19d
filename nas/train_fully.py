"""Trains the most accurate member of a front and the anchors fully, and says what they reach beside that front.

python nas/train_fully.py NAME [recipe.epochs=100] [--out DIR] [--device DEVICE]
"""

if __name__ == "__main__":
    import os
    import sys

    # Where nobody has installed the project, it is found beside this script.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from search_spaces.installed import require_installed

    require_installed()

from search_spaces.ctrl_c import end_on_ctrl_c, ending_on_ctrl_c

if __name__ == "__main__":
    # What is imported next takes a while, and may not be installed.
    end_on_ctrl_c()
    from search_spaces.extras import require_search

    require_search("nas/train_fully.py")

import argparse
import os
import sys
from collections.abc import Sequence

from nas.driver.found_bundle import check_full_training
from nas.driver.texts import output_console
from nas.ledger.location import found_run, read_ledger
from nas.settings.addresses import redacted
from nas.settings.arguments import add_existing_search, check_named
from search_spaces.arguments import ArgumentParser, path
from search_spaces.devices import check_device
from search_spaces.errors import UserError
from search_spaces.exit_codes import FAILURE, INTERRUPTED, MISTAKE
from search_spaces.pasted_commands import shell_word
from search_spaces.programs import program
from search_spaces.standard_streams import run_program


def argument_parser() -> argparse.ArgumentParser:
    """The flags of `nas/train_fully.py`."""
    parser = ArgumentParser(
        prog=program("nas/train_fully.py"),
        usage="%(prog)s NAME [SETTING=VALUE ...] [flags]",
        description="Train the most accurate member of a search's front and both anchors fully, from scratch, one "
        "after another, evaluate each once on the test split, and show what they reach beside the front. After an "
        "interruption the same command goes on. trainers/train.py trains a single network, on several GPUs too.",
        allow_abbrev=False,
    )
    add_existing_search(parser)
    parser.add_argument(
        "overrides", metavar="SETTING=VALUE", nargs="*", help="recipe.epochs=100 and others of trainers/train.py"
    )
    parser.add_argument("--out", type=path, metavar="DIR", help="where to train (default: the search's own directory)")
    parser.add_argument(
        "--device", default="auto", metavar="DEVICE", help="auto, cpu, cuda or cuda:N (default: auto, a GPU if any)"
    )
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, 1 for a failure, 2 for a mistake, 130 for an interruption."""
    console = output_console()
    try:
        if os.environ.get("WORLD_SIZE", "1") != "1":
            raise UserError(
                "this trains one network after another, each in one process: start it without torchrun. "
                "trainers/train.py trains one on several GPUs, from a bundle of nas/export.py."
            )
        options = argument_parser().parse_intermixed_args(list(arguments))
        check_named(options.name, options.runs_dir)
        check_device(options.device)
        directory = found_run(options.runs_dir, options.name, options.ledger_url)
        ledger = read_ledger(directory, options.ledger_url)
        check_full_training(directory, ledger, options.overrides)
        # Torch takes seconds to import; a mistake on the command line does without.
        with ending_on_ctrl_c():
            from nas.driver.full_trainings import train_fully

        return train_fully(console, options, directory, ledger)
    except UserError as error:
        if os.environ.get("RANK", "0") == "0":
            print(f"error: {redacted(str(error))}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        command = " ".join(map(shell_word, ["python", sys.argv[0], *arguments]))
        print(f"\ninterrupted; to go on: {command}", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        print(f"error: the training cannot be written: {error}", file=sys.stderr)
        return FAILURE


if __name__ == "__main__":
    sys.exit(run_program(main))
