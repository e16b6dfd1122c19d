"""Ctrl-C: the first one asks for an orderly end, the second one ends the process."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

EXIT_INTERRUPTED = 130


@contextlib.contextmanager
def interruption() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets. The second one ends the process; the ledger is sound at any moment."""
    interrupted = threading.Event()

    def handle(signal_number: int, frame: FrameType | None) -> None:
        if interrupted.is_set():
            os._exit(EXIT_INTERRUPTED)
        interrupted.set()
        os.write(2, b"\nstopping: what is finished is kept. Ctrl-C again ends at once.\n")

    previous = signal.signal(signal.SIGINT, handle)
    try:
        yield interrupted
    finally:
        signal.signal(signal.SIGINT, previous)
