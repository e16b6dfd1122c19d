"""Ctrl-C before a program has anything to end in order, and after it has done its work: it ends at once, with 130.

Python would raise KeyboardInterrupt there, for which nobody is prepared: while modules load, some of them print it,
drop it or make another error of it.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from search_spaces.exit_codes import INTERRUPTED


def end_on_ctrl_c() -> None:
    """Has Ctrl-C end this process from here on. What a script started in its background ignores it, as before."""
    _hand_to(_end)


def raise_on_ctrl_c() -> None:
    """Has Ctrl-C raise KeyboardInterrupt from here on, for a program that ends in order."""
    _hand_to(signal.default_int_handler)


@contextlib.contextmanager
def ending_on_ctrl_c() -> Iterator[None]:
    """Has Ctrl-C end this process in the context: while modules are imported, or where there is nothing to undo."""
    previous = signal.getsignal(signal.SIGINT)
    end_on_ctrl_c()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, previous)


def _hand_to(handler: "signal._HANDLER") -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, handler)


def _end(number: int, frame: FrameType | None) -> None:
    # It may have come while something was being written.
    with contextlib.suppress(Exception):
        sys.stdout.flush()
    os._exit(INTERRUPTED)
