"""How a training's program begins: what is said of a mistake, and of a signal before there is anything to keep.

Imports nothing heavy: torch takes seconds, and --help answers at once.
"""

import contextlib
import logging
import os
import sys
from collections.abc import Callable
from typing import NoReturn, TypeVar

from search_spaces.errors import UserError
from search_spaces.exit_codes import INTERRUPTED, MISTAKE, SUCCESS
from search_spaces.slow_steps import LOADING_SECONDS, on_standard_error, slow_step
from search_spaces.standard_streams import mistake_text
from trainers.stopping import EndedEarly, StopSignals

T = TypeVar("T")


def begun(prepare: Callable[[], T | None], carry_out: Callable[[T, StopSignals], int]) -> int:
    """Carries out what `prepare` gives, and gives the exit code; of several processes the first one speaks.

    Where `prepare` gives None it has done what was asked for. On a busy machine it takes long, which is said. Raises
    nothing of the user's.
    """
    logging.basicConfig(format="warning: %(message)s", level=logging.WARNING)
    with StopSignals() as signals:
        try:
            with slow_step(_say, "loading PyTorch and looking at the images", LOADING_SECONDS):
                prepared = prepare()
        except (UserError, PermissionError) as error:
            if is_first_process():
                print(f"error: {mistake_text(error)}", file=sys.stderr)
            return MISTAKE
        except (KeyboardInterrupt, EndedEarly) as end:
            if is_first_process():
                print("\ninterrupted before anything was written", file=sys.stderr)
            return INTERRUPTED if isinstance(end, KeyboardInterrupt) else signals.exit_code
        if prepared is None:
            return SUCCESS
        signals.claim()
        return carry_out(prepared, signals)


def _say(text: str) -> None:
    if is_first_process():
        on_standard_error(text)


def end_process(code: int) -> NoReturn:
    """Ends this process with an exit code.

    One of several does not take the interpreter apart: gloo's threads may still hold tensors, which ends it by a signal
    then, and torchrun all others, the first perhaps before it has said what came of the training.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        sys.exit(code)
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def is_first_process() -> bool:
    """Whether torchrun has started this process as its first, or nobody has but the user."""
    return os.environ.get("RANK", "0") == "0"
