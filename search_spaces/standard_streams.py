"""Standard output and error as they may be: closed, full, a pipe that nobody reads, or of another encoding.

What a program does is not lost by where its words go. What cannot be written is dropped, and the exit code tells.
"""

import codecs
import errno
import io
import os
import select
import signal
import sys
from collections.abc import Callable
from typing import Any

from search_spaces.ctrl_c import end_on_ctrl_c, raise_on_ctrl_c
from search_spaces.errors import UserError
from search_spaces.exit_codes import FAILURE, INTERRUPTED, MISTAKE, SUCCESS
from search_spaces.paths import not_permitted

# The exit code of a program whose reader has gone, as shells have it.
BROKEN_PIPE = 128 + signal.SIGPIPE

# What stands for a character that an encoding lacks; for any other its escape does.
_PLAIN = {"·": ".", "×": "x", "²": "^2", "←": "<-", "→": "->", "…": "...", "–": "-", "—": "-"}


def run_program(main: Callable[[list[str]], int]) -> int:
    """Runs a program on its command line. Its exit code, or, where all went well but its output, that of the output."""
    codecs.register_error("plain", _plain)
    for descriptor in (0, 1, 2):
        _make_sure_of(descriptor)
    output, error = _Stream(1, "output"), _Stream(2, "error")
    sys.stdout, sys.stderr = _text(output, sys.stdout), _text(error, sys.stderr)
    code = _code_of(main)
    sys.stdout.flush()
    if code != SUCCESS or output.trouble is None:
        return code
    return BROKEN_PIPE if output.trouble == errno.EPIPE else FAILURE


def _code_of(main: Callable[[list[str]], int]) -> int:
    """Runs a program, which Ctrl-C interrupts; what is to be done about that is its own to say.

    What this user may not read or write is the user's to mend, wherever it comes up: any path may lie in a directory
    that is not to be entered, of which even the question whether it is there is an error.
    """
    try:
        os.getcwd()
    except FileNotFoundError:
        # Libraries end the process over that, or say nothing that helps.
        print("error: the directory that you stand in has been removed: change to one that is there.", file=sys.stderr)
        return MISTAKE
    try:
        try:
            raise_on_ctrl_c()
            return main(sys.argv[1:])
        except SystemExit as end:  # argparse, after --help
            return end.code if isinstance(end.code, int) else SUCCESS
        finally:
            end_on_ctrl_c()
    except KeyboardInterrupt:
        return INTERRUPTED
    except (UserError, PermissionError) as error:
        print(f"error: {mistake_text(error)}", file=sys.stderr)
        return MISTAKE


def mistake_text(error: UserError | PermissionError) -> str:
    """A mistake in one line. Raises a PermissionError again that names no path."""
    return str(error) if isinstance(error, UserError) else not_permitted(error)


class _Stream(io.FileIO):
    """A descriptor that takes whatever is written. `trouble` is the number of the error since which it drops it."""

    def __init__(self, descriptor: int, name: str) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._said_as = name
        self.trouble: int | None = None

    def write(self, content: Any) -> int:
        try:
            # A terminal may be set to take nothing while it is busy.
            while (written := super().write(content)) is None:
                select.select([], [self.fileno()], [])
        except OSError as error:
            self.trouble = error.errno
            _lead_nowhere(self.fileno())
            if error.errno != errno.EPIPE:
                _say(f"error: standard {self._said_as} cannot be written ({error.strerror}): the rest of it is lost.\n")
            return len(content)
        return written


def _make_sure_of(descriptor: int) -> None:
    """Opens a closed descriptor, which else would become that of the next file, and have words written into that."""
    try:
        os.fstat(descriptor)
    except OSError:
        _lead_nowhere(descriptor)


def _lead_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _text(stream: _Stream, before: Any) -> io.TextIOWrapper:
    """A stream of text, buffered and encoded as the one before it; that is None where the descriptor was closed."""
    if before is None:
        return io.TextIOWrapper(io.BufferedWriter(stream), "utf-8", "plain")
    return io.TextIOWrapper(
        io.BufferedWriter(stream),
        before.encoding,
        "plain",
        line_buffering=before.line_buffering,
        write_through=before.write_through,
    )


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    """The error handler of the streams: what an encoding lacks in plain letters, and bytes of no text as they were."""
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end]
    if all(0xDC80 <= ord(character) <= 0xDCFF for character in lacking):
        return lacking.encode("ascii", "surrogateescape"), error.end
    plain = (_PLAIN.get(character) or character.encode("ascii", "backslashreplace").decode() for character in lacking)
    return "".join(plain), error.end


def _say(text: str) -> None:
    """Writes to standard error past all buffers; where that fails, too, nobody is left to tell."""
    try:
        os.write(2, text.encode("ascii", "backslashreplace"))
    except OSError:
        return
