"""Says what a program is doing while it does something slow, so that its terminal is never silent for long."""

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator

from search_spaces.units import readable_duration

# A step is said when it has taken so long, and again after so long: with some that are over sooner in between, no
# silence is longer than SILENCE_SECONDS.
SAID_AFTER_SECONDS = 2.0
SAID_AGAIN_SECONDS = 7.0
SILENCE_SECONDS = 15.0
# Loading takes some seconds everywhere, and a mistake that is found right after it is all that shall be said then.
LOADING_SECONDS = 8.0


def on_standard_error(text: str) -> None:
    """Says something where it is in nobody's way who reads the output."""
    print(text, file=sys.stderr, flush=True)


@contextlib.contextmanager
def slow_step(
    say: Callable[[str], None],
    doing: str,
    said_after: float = SAID_AFTER_SECONDS,
    said_again: float = SAID_AGAIN_SECONDS,
) -> Iterator[None]:
    """Says what is being done for as long as the context lasts, once that is long enough to wonder.

    `say` is called from a thread of its own, which has ended when the context has.
    """
    over = threading.Event()
    started = time.monotonic()

    def wait() -> None:
        if over.wait(said_after):
            return
        say(f"{doing} …")
        while not over.wait(said_again):
            say(f"still {doing}, since {readable_duration(time.monotonic() - started)}")

    thread = threading.Thread(target=wait, name="step", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
