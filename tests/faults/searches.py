"""Real searches for the tests to hurt: started as a user starts them, with a look at their processes."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from nas.ledger.ledger import Ledger
from nas.ledger.location import create_ledger, open_ledger, read_ledger, sole_driver
from nas.records.trial import TrialRecord
from nas.settings.run_directory import RunDirectory, run_directory
from tests.entries.test_report import HEADER
from tests.entries.test_search import SMALL, start

LIMIT_SECONDS = 240


def start_search(directory: Path, name: str, *arguments: str) -> subprocess.Popen[str]:
    return start(directory, "nas/search.py", "--space", "resnet_stages", "--name", name, *SMALL, *arguments)


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Waits until a search has come so far, on a machine with much to do for longer.

    Looking may take a second of a core, as into a ledger: who waits shall not take the machine from the search.
    """
    left = float(LIMIT_SECONDS)
    while True:
        looked = time.monotonic()
        if condition():
            return
        assert process.poll() is None, process.communicate()
        assert left > 0, f"still waiting; {os.getloadavg()} want the {os.cpu_count()} cores"
        time.sleep(max(0.1, time.monotonic() - looked))
        left -= counted_seconds(time.monotonic() - looked)


def output_of(process: subprocess.Popen[str], seconds: float = LIMIT_SECONDS) -> tuple[str, str]:
    """What a search prints until it ends, within so many seconds, on a machine with much to do within more."""
    while True:
        began = time.monotonic()
        try:
            return process.communicate(timeout=min(5.0, max(0.0, seconds)))
        except subprocess.TimeoutExpired:
            seconds -= counted_seconds(time.monotonic() - began)
            if seconds <= 0:
                raise


def counted_seconds(seconds: float) -> float:
    """Seconds, as many as a process has had that shares each core with others."""
    return seconds / max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def checkpoints(directory: Path, name: str) -> list[Path]:
    return list(run_directory(str(directory / "runs"), name).path.glob("checkpoints/*/epoch-*.checkpoint"))


def records(directory: Path, name: str) -> tuple[TrialRecord, ...]:
    return read_ledger(run_directory(str(directory / "runs"), name), None).records


def tree(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Every process of a running search."""
    root = psutil.Process(process.pid)
    return [root, *root.children(recursive=True)]


def named(processes: list[psutil.Process], name: str) -> list[psutil.Process]:
    """Those whose command line begins with `name`, or whose program is called so."""
    found = []
    for process in processes:
        try:
            if process.name() == name or " ".join(process.cmdline()).startswith(name):
                found.append(process)
        except psutil.Error:
            continue
    return found


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes of a running search that train."""
    return named(tree(process), "ray::ImplicitFunc")


def left_over(processes: list[psutil.Process], seconds: float = 10) -> list[psutil.Process]:
    """Those still alive, once all have had some seconds to end."""
    deadline = time.monotonic() + seconds
    while (alive := list(filter(is_alive, processes))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return alive


def is_alive(process: psutil.Process) -> bool:
    # psutil's own waiting fails where a process is gone but for a descriptor of it.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def driven(directory: RunDirectory, url: str) -> Iterator[Ledger]:
    """The ledger of a search as its driver has it."""
    ledger = open_ledger(directory, url) if directory.has_ledger else create_ledger(directory, url, HEADER)
    with sole_driver(directory, url) as claim:
        ledger.record_driver("here", 1)
        assert claim is not None
        ledger.outlast_outages(claim)
        yield ledger
