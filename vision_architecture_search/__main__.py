"""The installed command: every program of the project under one name, each the very script that a checkout has."""

import argparse
import os
import runpy
import sys
from pathlib import Path

from search_spaces.arguments import COMPLETING, ArgumentParser, complete_by
from search_spaces.errors import UserError, unknown_name
from search_spaces.exit_codes import MISTAKE, SUCCESS
from search_spaces.programs import COMMAND, PROGRAMS
from search_spaces.standard_streams import run_program

# Where the packages lie: a checkout, or the packages of an environment.
_PACKAGES = Path(__file__).resolve().parents[1]


def main() -> int:
    """Runs the program that the first word of the command line names, on the rest. Its exit code."""
    words = _words_being_typed() if COMPLETING in os.environ else sys.argv[1:]
    if words and words[0] in PROGRAMS:
        script = str(_PACKAGES / PROGRAMS[words[0]][0])
        sys.argv = [script, *words[1:]]
        # It ends by SystemExit.
        runpy.run_path(script, run_name="__main__")
    return run_program(_without_program)


def _words_being_typed() -> list[str]:
    """The program on the line that a shell wants to go on with, where it is typed already."""
    words = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])]
    if len(words.split()) + words.endswith(" ") < 3:
        return []
    # What is completed from here on is the line of that program.
    os.environ[COMPLETING] = "2"
    return words.split()[1:2]


def argument_parser() -> argparse.ArgumentParser:
    """The flags of the command itself."""
    width = max(map(len, PROGRAMS))
    parser = ArgumentParser(
        prog=COMMAND,
        usage="%(prog)s PROGRAM [arguments]",
        description="Searches vision architectures of convolution and local self-attention, and uses what was found.",
        epilog="programs:\n" + "\n".join(f"  {word:{width}}  {text}" for word, (_, text) in PROGRAMS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    word = parser.add_argument("program", nargs="?", metavar="PROGRAM", help="one of those below; each has a --help")
    complete_by(word, lambda options: PROGRAMS)
    return parser


def _without_program(arguments: list[str]) -> int:
    try:
        options = argument_parser().parse_args(arguments)
        if options.program is not None:
            raise unknown_name("program", options.program, PROGRAMS)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISTAKE
    argument_parser().print_help()
    return SUCCESS


if __name__ == "__main__":
    sys.exit(main())
