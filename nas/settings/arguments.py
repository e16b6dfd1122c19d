"""The arguments that several programs share: where searches are kept, and which one is meant."""

import argparse
from pathlib import Path

from nas.settings.run_directory import search_names
from nas.settings.search_settings import LEDGER_VARIABLE
from search_spaces.arguments import complete_by, path
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
    if several:
        name = parser.add_argument("names", metavar="NAME", nargs="+", help="the search, or several")
    else:
        name = parser.add_argument("name", metavar="NAME", help="the search")
    complete_by(name, existing_searches)
    add_search_places(parser)


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
