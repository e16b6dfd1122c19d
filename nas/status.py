"""Says what a search is doing, from its ledger alone and while it runs: its trials, their nodes, what went wrong.

python nas/status.py NAME [--json]
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

    require_search("nas/status.py")

import argparse
import json
import sys
from collections.abc import Sequence

from nas.driver.running_search import status_of
from nas.driver.status_table import print_status
from nas.driver.texts import output_console
from nas.ledger.location import found_run, read_ledger
from nas.settings.addresses import redacted
from nas.settings.arguments import add_existing_search, check_named
from search_spaces.arguments import ArgumentParser
from search_spaces.errors import UserError
from search_spaces.exit_codes import MISTAKE, SUCCESS
from search_spaces.machine import prepare_temporary_directory
from search_spaces.programs import program
from search_spaces.standard_streams import run_program


def argument_parser() -> argparse.ArgumentParser:
    """The flags of `nas/status.py`."""
    parser = ArgumentParser(
        prog=program("nas/status.py"),
        usage="%(prog)s NAME [flags]",
        description="Show what a search is doing: its running trials with their nodes, epochs, accuracies, GPUs and "
        "last errors, the nodes that are left out, and what failed. It reads the ledger and changes nothing.",
        allow_abbrev=False,
    )
    add_existing_search(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, for scripts")
    return parser


def main(arguments: Sequence[str]) -> int:
    """Runs a command line. The exit code: 0, or 2 on a user's mistake."""
    try:
        options = argument_parser().parse_args(list(arguments))
        check_named(options.name, options.runs_dir)
        directory = found_run(options.runs_dir, options.name, options.ledger_url, ledger_alone=True)
        prepare_temporary_directory()
        ledger = read_ledger(directory, options.ledger_url)
        status = status_of(directory, ledger)
    except UserError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        return MISTAKE
    if options.json:
        print(json.dumps(status.to_json(), indent=2))
    else:
        print_status(output_console(), status, directory)
    return SUCCESS


if __name__ == "__main__":
    sys.exit(run_program(main))
