"""What a search is doing while it does something slow, on its console."""

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TypeVar

from rich.console import Console

from nas.driver.texts import print_text
from search_spaces.slow_steps import SAID_AFTER_SECONDS, SAID_AGAIN_SECONDS, slow_step

T = TypeVar("T")


def step(
    console: Console, doing: str, said_after: float = SAID_AFTER_SECONDS, said_again: float = SAID_AGAIN_SECONDS
) -> AbstractContextManager[None]:
    """Says what is being done for as long as the context lasts, once that is long enough to wonder."""
    return slow_step(lambda text: print_text(console, text), doing, said_after, said_again)


@contextlib.contextmanager
def said(console: Console, context: AbstractContextManager[T], beginning: str, ending: str) -> Iterator[T]:
    """Enters a context and leaves it, both said once they are long enough to wonder."""
    with contextlib.ExitStack() as stack:
        with step(console, beginning):
            entered = stack.enter_context(context)
        yield entered
        with step(console, ending):
            stack.close()
