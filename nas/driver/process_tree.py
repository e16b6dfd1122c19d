"""The processes that this one started, and theirs: Ray's, when a search ends at once."""

import contextlib
import os
import signal
import subprocess
from pathlib import Path

_PROC = Path("/proc")


def kill_descendants(root: int) -> None:
    """Kills every process below `root`, parents first, so that what Ray starts anew has no parent to live by."""
    for process in descendants(root):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(process, signal.SIGKILL)


def descendants(root: int) -> list[int]:
    """The ids of every process below `root`, parents before their children."""
    children: dict[int, list[int]] = {}
    for process, parent in _parents().items():
        children.setdefault(parent, []).append(process)
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(0), [])
        found += below
        waiting += below
    return found


def _parents() -> dict[int, int]:
    """The parent of every process."""
    if not (_PROC / "self" / "stat").exists():
        listed = subprocess.run(["ps", "-axo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
        return {int(process): int(parent) for process, parent in map(str.split, listed.splitlines())}
    parents = {}
    for directory in _PROC.iterdir():
        if directory.name.isdigit():
            with contextlib.suppress(OSError):
                # "pid (name) state parent …", and the name may hold anything.
                parents[int(directory.name)] = int((directory / "stat").read_text().rpartition(")")[2].split()[1])
    return parents
