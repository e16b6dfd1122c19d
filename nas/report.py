"""Makes the report of a search from its ledger, while it runs or afterwards, without MLflow.

python nas/report.py NAME [--open | --out DIR]
"""

import argparse
import sqlite3
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from nas.arguments import ArgumentParser
from nas.run_directory import RunDirectory, existing_run
from nas.settings import DEFAULT_RUNS_DIRECTORY
from search_spaces.errors import UserError

EXIT_MISTAKE = 2


def argument_parser() -> argparse.ArgumentParser:
    """The flags of `nas/report.py`."""
    parser = ArgumentParser(
        prog="python nas/report.py",
        description="Write the report of a search from its ledger: an interactive page, pictures, and tables.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="the search")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--open", action="store_true", help="open the page in a browser")
    where.add_argument("--out", metavar="DIR", help="where to write it (default: the search's own report directory)")
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
        page = report(directory, Path(options.out) if options.out else directory.report)
        print(page)
        if options.open and not webbrowser.open(page.resolve().as_uri()):
            raise UserError(f"no browser could be started: open {str(page)!r} yourself.")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_MISTAKE
    return 0


def report(directory: RunDirectory, out: Path) -> Path:
    """Writes the report of a search to `out`. The path of its page. Raises UserError."""
    # These take seconds to import; a mistake on the command line is reported before them.
    from nas.ledger import Ledger, ledger_url
    from nas.report_files import write_report
    from nas.search_facts import facts_from_header

    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / directory.ledger.name
        _copy_ledger(directory, copy)
        ledger = Ledger.open(ledger_url(copy), directory.name)
        facts = facts_from_header(directory.name, ledger.header)
        records = ledger.records
    try:
        return write_report(out, facts, records)[0]
    except OSError as error:
        raise UserError(f"the report cannot be written to {str(out)!r}: {error.strerror or error}.") from None


def _copy_ledger(directory: RunDirectory, copy: Path) -> None:
    """Copies a ledger that a search may be writing, as it is at one moment."""
    try:
        with (
            closing(sqlite3.connect(f"{directory.ledger.resolve().as_uri()}?mode=ro", uri=True)) as source,
            closing(sqlite3.connect(copy)) as target,
        ):
            source.backup(target)
    except sqlite3.Error as error:
        raise UserError(f"the ledger of search {directory.name!r} cannot be read: {error}.") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
