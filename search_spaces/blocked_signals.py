"""Signals that wait, so that what is just being started is not hit by one before it knows what to do about it."""

import contextlib
import signal
from collections.abc import Collection, Iterator


@contextlib.contextmanager
def blocked(signals: Collection[int]) -> Iterator[None]:
    """Keeps these signals waiting in this thread, and in what it starts until that calls `let_through`."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def let_through(signals: Collection[int]) -> None:
    """Lets these signals through in this thread; what has waited comes at once."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
