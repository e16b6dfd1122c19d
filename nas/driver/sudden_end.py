"""Says how a search goes on where its driver dies without a word: killed, as for want of memory, or ended by a library.

Nothing in a process can do that for itself. Ray ends one with a stack trace of its own where another head has taken the
place of the one that it knows.
"""

import contextlib
import subprocess
from collections.abc import Iterator

# Waits for a line that does not come where the driver is dead. A terminal may be left without its cursor.
_SCRIPT = r"""
read -r word
test "$word" = ended && exit
test -t 1 && printf '\033[?25h'
printf '\n%s' "$1" >&2
"""


@contextlib.contextmanager
def said_at_sudden_end(words: str) -> Iterator[None]:
    """A shell that says `words` on standard error if this process dies within the context; killed, it says nothing."""
    # In a session of its own no Ctrl-C reaches it, nor the end of its terminal.
    command = ["/bin/sh", "-c", _SCRIPT, "sh", words]
    shell = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    assert shell.stdin is not None
    try:
        yield
    finally:
        with contextlib.suppress(BrokenPipeError), shell.stdin:
            shell.stdin.write(b"ended\n")
        shell.wait()
