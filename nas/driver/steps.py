"""Says what a search is doing while it does something slow, so that its terminal is never silent for long."""

import contextlib
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from rich.console import Console

from nas.driver.texts import print_text
from search_spaces.units import readable_duration

T = TypeVar("T")

# A step is said when it has taken so long, and again after so long: with some that are over sooner in between, no
# silence is longer than SILENCE_SECONDS.
SAID_AFTER_SECONDS = 2.0
SAID_AGAIN_SECONDS = 7.0
SILENCE_SECONDS = 15.0
# Loading takes some seconds everywhere, and a mistake that is found right after it is all that shall be said then.
LOADING_SECONDS = 8.0


def error_console() -> Console:
    """Standard error as it is written to while standard output is for results alone."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False)


@contextlib.contextmanager
def step(
    console: Console, doing: str, said_after: float = SAID_AFTER_SECONDS, said_again: float = SAID_AGAIN_SECONDS
) -> Iterator[None]:
    """Says what is being done for as long as the context lasts, once that is long enough to wonder."""
    over = threading.Event()
    started = time.monotonic()

    def say() -> None:
        if over.wait(said_after):
            return
        print_text(console, f"{doing} …")
        while not over.wait(said_again):
            print_text(console, f"still {doing}, since {readable_duration(time.monotonic() - started)}")

    thread = threading.Thread(target=say, name="step", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def said(console: Console, context: AbstractContextManager[T], beginning: str, ending: str) -> Iterator[T]:
    """Enters a context and leaves it, both said once they are long enough to wonder."""
    with contextlib.ExitStack() as stack:
        with step(console, beginning):
            entered = stack.enter_context(context)
        yield entered
        with step(console, ending):
            stack.close()
