"""Text on the terminal, so that nothing is cut in the middle of a word, however narrow it is."""

import os
import shutil
import sys
import textwrap
from typing import TextIO

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

# More than any table here takes.
UNBOUNDED_COLUMNS = 1000
_SIZES = ("COLUMNS", "LINES")


def output_console() -> Console:
    """Standard output, as a terminal where it is one: FORCE_COLOR alone, as of notebooks and CI, makes none of it."""
    return _console_of(sys.stdout, stderr=False)


def error_console() -> Console:
    """The same of standard error, written to while standard output is for results alone."""
    return _console_of(sys.stderr, stderr=True)


def _console_of(stream: TextIO, *, stderr: bool) -> Console:
    # What rich then finds out for itself, as a terminal that is dumb, it is left to.
    is_terminal = None if stream.isatty() else False
    # A size of 0 in the environment is one that nobody knows, where rich would print nothing at all.
    environment = {name: value for name, value in os.environ.items() if name not in _SIZES or value.strip("0")}
    return Console(
        stderr=stderr, force_terminal=is_terminal, highlight=False, markup=False, emoji=False, _environ=environment
    )


def silent_console() -> Console:
    """A terminal on which nothing is shown."""
    return Console(quiet=True)


def print_text(console: Console, text: str) -> None:
    """Prints text as it stands: on a terminal broken between words, elsewhere each line as one.

    A word longer than the terminal is wide, such as a path, is left to the terminal, from which it can then be copied.
    """
    if console.is_terminal:
        text = "\n".join(_wrapped(line, _width(console)) for line in text.split("\n"))
    print_pasted(console, text)


def print_pasted(console: Console, text: str) -> None:
    """Prints commands and addresses, which have to be one line wherever they are pasted."""
    console.print(text, markup=False, highlight=False, emoji=False, soft_wrap=True)


def print_table(console: Console, table: Table) -> None:
    """Prints a table: on a terminal as wide as that, its texts broken between words, elsewhere as wide as it gets."""
    if console.is_terminal:
        console.print(table, width=_width(console))
        return
    # Rich takes whatever is no terminal for 80 columns.
    wide = Console(file=console.file, width=UNBOUNDED_COLUMNS, force_terminal=False)
    wide.print(table, width=Measurement.get(wide, wide.options, table).maximum)


def _width(console: Console) -> int:
    """The columns of a terminal; rich takes every dumb one for 80 wide."""
    return min(console.width, shutil.get_terminal_size().columns) if console.is_dumb_terminal else console.width


def _wrapped(line: str, width: int) -> str:
    indent = line[: len(line) - len(line.lstrip())] + "  "
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
