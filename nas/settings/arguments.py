"""The arguments that several programs share: where searches are kept, and which one is meant."""

import argparse
import os
import sys
import time
from pathlib import Path

from nas.settings.run_directory import RunDirectory, search_names
from nas.settings.store_settings import LEDGER_VARIABLE
from search_spaces.arguments import complete_by, path
from search_spaces.errors import UserError
from search_spaces.run_files import DEFAULT_RUNS_DIRECTORY


def add_runs_directory(parser: argparse.ArgumentParser) -> None:
    """The flag `--runs-dir`."""
    parser.add_argument(
        "--runs-dir",
        type=path,
        default=DEFAULT_RUNS_DIRECTORY,
        metavar="DIR",
        help="where searches are kept (default %(default)s)",
    )


def add_existing_search(parser: argparse.ArgumentParser, *, several: bool = False) -> None:
    """The arguments that name a search, or `several`, and say where it is kept."""
    # That none is named is said by `check_named`, with those that there are.
    if several:
        name = parser.add_argument("names", metavar="NAME", nargs="*", help="the search, or several")
    else:
        name = parser.add_argument("name", metavar="NAME", nargs="?", help="the search")
    complete_by(name, existing_searches)
    add_search_places(parser)


def check_named(name: str | list[str] | None, runs: str) -> None:
    """Raises UserError where no search is named, once those that there are stand on standard error, newest first."""
    if name:
        return
    directories = [RunDirectory(Path(runs), each) for each in search_names(Path(runs))]
    written = {directory.name: _written_at(directory) for directory in directories}
    for each in sorted(written, key=lambda name: -written[name]):
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(written[each]))
        print(f"{each:{max(map(len, written))}}  {moment}", file=sys.stderr)
    there = "expected one of these searches" if written else f"there is no search in {runs!r}, see --runs-dir"
    raise UserError(f"NAME is missing: {there} (see --help).")


def _written_at(directory: RunDirectory) -> float:
    """When a search was written to last, in seconds since 1970; 0 where it has just been removed."""
    try:
        return os.path.getmtime(directory.ledger if directory.ledger.is_file() else directory.ledger_note)
    except OSError:
        return 0


def existing_searches(options: argparse.Namespace) -> list[str]:
    """The searches that there are, for a shell that completes a line."""
    return search_names(Path(options.runs_dir))


def add_search_places(parser: argparse.ArgumentParser) -> None:
    """The flags that say where a search is kept."""
    add_runs_directory(parser)
    parser.add_argument(
        "--ledger-url",
        metavar="URL",
        help=f"of its ledger, where that is not in its directory (default: {LEDGER_VARIABLE} in the environment)",
    )
