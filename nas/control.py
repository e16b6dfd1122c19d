"""Changes the limits of a search while it runs, or ends it, from any machine that sees its directory.

python nas/control.py NAME --trials 300 | --epochs N | --time-budget T
python nas/control.py NAME --stop
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

    require_search("nas/control.py")

import argparse
import sys
from collections.abc import Sequence

from nas.driver.running_search import begun_run, change_running
from nas.driver.steps import step
from nas.driver.texts import error_console
from nas.settings.addresses import redacted
from nas.settings.arguments import add_existing_search, check_named
from search_spaces.arguments import NONE, ArgumentParser, at_least, or_none
from search_spaces.errors import UserError
from search_spaces.exit_codes import FAILURE, INTERRUPTED, MISTAKE, SUCCESS
from search_spaces.machine import prepare_temporary_directory
from search_spaces.programs import program
from search_spaces.slow_steps import SAID_AFTER_SECONDS
from search_spaces.standard_streams import run_program


def argument_parser() -> argparse.ArgumentParser:
    """The flags of `nas/control.py`."""
    parser = ArgumentParser(
        prog=program("nas/control.py"),
        usage="%(prog)s NAME [--trials N] [--epochs N] [--time-budget T] | NAME --stop",
        description="Change the limits of a search while it runs, or end it in order, as SIGTERM does. The limits hold "
        "from its next decision on, and for whoever goes on with it. A search that does not run goes on within other "
        "limits by nas/search.py --resume.",
        allow_abbrev=False,
    )
    add_existing_search(parser)
    parser.add_argument("--trials", type=at_least(1), metavar="N", help="architectures to train, those before included")
    parser.add_argument(
        "--epochs",
        type=or_none(at_least(1)),
        metavar="N",
        help="epochs to train, all trials together, or none: no limit",
    )
    parser.add_argument(
        "--time-budget", type=or_none(str), metavar="T",
        help="time since this run of the search began, as 30m or 12h, or none: no limit",
    )  # fmt: skip
    parser.add_argument("--stop", action="store_true", help="end it in order, checkpointed; it exits with 143")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, 1 where the directory cannot be written, 2 on a user's mistake, a search
    that does not run too, 130 after Ctrl-C.
    """
    try:
        options = argument_parser().parse_args(list(arguments))
        check_named(options.name, options.runs_dir)
        given = {name: getattr(options, name) for name in ("trials", "epochs", "time_budget")}
        limits = {name: None if value == NONE else value for name, value in given.items() if value is not None}
        if options.stop == bool(limits):
            raise UserError("expected either --stop, or limits: --trials, --epochs or --time-budget (see --help).")
        prepare_temporary_directory()
        with step(error_console(), f"waiting for the driver of search {options.name}", SAID_AFTER_SECONDS):
            directory = begun_run(options.runs_dir, options.name, options.ledger_url)
            said = change_running(directory, options.ledger_url, limits, stop=options.stop)
        print(f"search {directory.name}: {said}")
    except UserError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        return MISTAKE
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"error: the search cannot be asked: {error}", file=sys.stderr)
        return FAILURE
    return SUCCESS


if __name__ == "__main__":
    sys.exit(run_program(main))
