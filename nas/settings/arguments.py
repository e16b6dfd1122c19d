"""argparse, reporting mistakes as the rest of the project does."""

import argparse
from typing import Any, NoReturn

from nas.settings.run_directory import DEFAULT_RUNS_DIRECTORY
from nas.settings.search_settings import LEDGER_VARIABLE
from search_spaces.errors import UserError, unknown_name


class ArgumentParser(argparse.ArgumentParser):
    """An ArgumentParser whose errors are UserErrors; an unknown flag comes with the nearest known one."""

    def error(self, message: str) -> NoReturn:
        prefix = "unrecognized arguments: "
        if message.startswith(prefix):
            flag = message.removeprefix(prefix).split()[0].partition("=")[0]
            flags = [option for action in self._actions for option in action.option_strings if option.startswith("--")]
            raise unknown_name("flag", flag, flags)
        raise UserError(message + ".")


def add_runs_directory(parser: argparse.ArgumentParser) -> None:
    """The flag `--runs-dir`."""
    parser.add_argument(
        "--runs-dir",
        default=DEFAULT_RUNS_DIRECTORY,
        metavar="DIR",
        help="where searches are kept (default %(default)s)",
    )


def add_existing_search(parser: argparse.ArgumentParser) -> None:
    """The arguments that name a search and say where it is kept."""
    parser.add_argument("name", metavar="NAME", help="the search")
    add_runs_directory(parser)
    parser.add_argument(
        "--ledger-url",
        metavar="URL",
        help=f"of its ledger, where that is not in its directory (default: {LEDGER_VARIABLE} in the environment)",
    )


def number(kind: type, expected: str) -> Any:
    """An argparse type that reads `kind` and says what was expected where it cannot."""

    def read(text: str) -> Any:
        try:
            return kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"is {text!r}: expected {expected}") from None

    return read
