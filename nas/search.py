"""Searches architectures for accuracy against FLOPs or latency.

python nas/search.py --space resnet_stages [--help]
"""

if __name__ == "__main__":
    import os
    import sys

    # Where nobody has installed the project, it is found beside this script.
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    from search_spaces.installed import require_installed

    require_installed()

from search_spaces.ctrl_c import end_on_ctrl_c, ending_on_ctrl_c

if __name__ == "__main__":
    # What is imported next takes a while, and may not be installed.
    end_on_ctrl_c()
    from search_spaces.extras import require_search

    require_search("nas/search.py")

import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from nas.driver.checks import check_search
from nas.driver.command_line import read_command
from nas.driver.lock import check_free, driver_lock
from nas.driver.plan import plan_search
from nas.driver.requests import void_requests
from nas.driver.steps import step
from nas.driver.texts import output_console
from nas.settings.addresses import redacted
from nas.settings.command import Command
from nas.settings.config_file import config_text
from nas.settings.run_directory import RunDirectory, check_writable, run_directory
from nas.workers.ray_environment import check_cluster, set_ray_environment
from search_spaces.errors import UserError
from search_spaces.exit_codes import FAILURE, INTERRUPTED, MISTAKE, SUCCESS
from search_spaces.machine import Needs, prepare_machine
from search_spaces.slow_steps import LOADING_SECONDS
from search_spaces.standard_streams import run_program

# Twice of what Ray's processes were seen to take, and of what each trial adds that runs at a time.
CPUS = os.cpu_count() or 1
# The largest file is Ray's object store, of 80 MB; the ledger, the MLflow store and logs stay far below.
SEARCH_NEEDS = Needs(open_files=128 + 16 * CPUS, threads=200 + 40 * CPUS, file_bytes=160_000_000)


def main(arguments: Sequence[str]) -> int:
    """Runs a command line.

    The exit code: 0, 1 where the storage is full or the ledger gone, 2 on a user's mistake, 130 after Ctrl-C, 143 after
    SIGTERM, 129 after SIGHUP.
    """
    asked = None
    try:
        command = read_command(arguments)
        if command.print_config:
            print(config_text(command), end="")
            return SUCCESS
        directory = run_directory(command.runs_dir, command.name).stored_at(command.storage.address)
        asked = directory, command.cluster, command.ledger.url
        check_writable(directory)
        if command.plan:
            plan_search(output_console(), command, directory)
            return SUCCESS
        return _run(command, directory)
    except KeyboardInterrupt:
        return INTERRUPTED  # Before there is anything to keep.
    except UserError as error:
        print(f"error: {redacted(str(error))}", file=sys.stderr)
        return MISTAKE
    except Exception as error:
        from nas.driver.outages import outage

        said = None if asked is None else outage(error, *asked)
        if said is None:
            raise
        print(f"error: {redacted(said)}", file=sys.stderr)
        return FAILURE


def _run(command: Command, directory: RunDirectory) -> int:
    """Checks a search and runs it. The exit code. Raises UserError."""
    console = output_console()
    with ExitStack() as driving:
        # One that goes on is being driven from here on, for whoever asks what it does. A new one has its name, and so
        # its directory, once nothing is found wrong with it.
        if command.resume:
            _begin_to_drive(directory, driving)
        else:
            check_free(directory)
        with step(console, "asking the Ray cluster"):
            check_cluster(command.cluster)
        prepare_machine(SEARCH_NEEDS)
        # Torch, Ray and MLflow take seconds to import: whatever can be found wrong is said before.
        with step(console, "looking at the data and for room to write"):
            data = check_search(command, directory)
        set_ray_environment(command.cluster)
        with step(console, "loading PyTorch and Ray", said_after=LOADING_SECONDS), ending_on_ctrl_c():
            from nas.driver.session import run_search
        if not command.resume:
            _begin_to_drive(directory, driving)
        return run_search(console, command, directory, data)


def _begin_to_drive(directory: RunDirectory, driving: ExitStack) -> None:
    driving.enter_context(driver_lock(directory))
    void_requests(directory)


if __name__ == "__main__":
    sys.exit(run_program(main))
