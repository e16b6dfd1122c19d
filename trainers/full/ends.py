"""How a training ends, in order or not: what the terminal says of it, and the exit code."""

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from search_spaces.errors import UserError
from search_spaces.exit_codes import FAILURE, INTERRUPTED, MISTAKE, SUCCESS
from search_spaces.pasted_commands import COMMAND_VARIABLE, shell_word, stands_in_project
from trainers.distributed import is_lost_connection
from trainers.full.readout import failure_line
from trainers.loop import TRAINING_FAILURES, Diverged
from trainers.stopping import Stopped, StopSignals

if TYPE_CHECKING:
    from trainers.distributed import Processes


def carried_out(train: Callable[[], None], processes: "Processes", signals: StopSignals, command: str) -> int:
    """Trains, and gives the exit code: 0, 1 for a failure, 2 for a mistake, or that of the signal that ended it.

    `command` is what goes on with the training, which is said where that helps.
    """
    go_on = f"to go on: {command}"
    try:
        train()
    except (KeyboardInterrupt, Stopped) as end:
        if processes.is_first:
            print(f"\ninterrupted; {go_on}", file=sys.stderr)
        if isinstance(end, KeyboardInterrupt):
            return INTERRUPTED
        processes.leave()
        return signals.exit_code
    except TRAINING_FAILURES as error:
        # A loss is that of all processes; what else fails may do so in one alone.
        if processes.is_first or not isinstance(error, Diverged):
            print(f"error: {failure_line(error)}", file=sys.stderr)
        return FAILURE
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return MISTAKE
    except OSError as error:
        if processes.is_first:
            print(f"error: {_in_words(error)}; once that is mended, {go_on}", file=sys.stderr)
        return FAILURE
    except RuntimeError as error:
        if not is_lost_connection(error):
            raise
        print(f"error: another process of this training has gone; {go_on}", file=sys.stderr)
        return FAILURE
    return SUCCESS


def _in_words(error: OSError) -> str:
    if error.filename is None or error.strerror is None:
        return str(error)
    return f"{error.strerror}: {error.filename!r}"


def command_again(arguments: list[str]) -> str:
    """The command as it was typed, from where it was: its paths may be relative.

    What has started this process in its turn says by what command that was.
    """
    if started_by := os.environ.get(COMMAND_VARIABLE):
        return started_by
    processes = os.environ.get("LOCAL_WORLD_SIZE")
    program = f"torchrun --nproc-per-node {processes}" if processes else "python"
    there = "" if stands_in_project() else f"cd {shell_word(os.getcwd())} && "
    return there + " ".join([program, *map(shell_word, [sys.argv[0], *arguments])])
