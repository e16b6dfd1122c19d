"""One process of a full training on a node of Ray: started there, heard, signalled, and never left behind."""

import collections
import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

import ray

import trainers

_PR_SET_PDEATHSIG = 1


class TrainingHost:
    """An actor of Ray's that runs `trainers/train.py` as torchrun does, as one of several processes."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None
        self._lines: collections.deque[tuple[int, str]] = collections.deque()
        self._readers: list[threading.Thread] = []

    def node(self) -> str:
        """The id of the node that it is on."""
        return str(ray.get_runtime_context().get_node_id())

    def meeting(self) -> tuple[str, int]:
        """An address of this node and a port that is free there, for processes to meet at."""
        host = ray.util.get_node_ip_address()
        with socket.socket() as listening:
            listening.bind((host, 0))
            return host, int(listening.getsockname()[1])

    def start(self, arguments: Sequence[str], environment: Mapping[str, str], directory: str) -> str | None:
        """Starts the process, in the directory from which the command was typed. What is wrong if it cannot be."""
        if not os.path.isdir(directory):
            return f"{socket.gethostname()} has no directory {directory!r}"
        if not os.access(directory, os.X_OK):
            return f"{socket.gethostname()} may not enter {directory!r}"
        command = [sys.executable, str(Path(trainers.__path__[0]) / "train.py"), *arguments]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
            cwd=directory,
            start_new_session=True,
            preexec_fn=_heed_signals,
        )
        for descriptor, pipe in ((1, self._process.stdout), (2, self._process.stderr)):
            assert pipe is not None
            reader = threading.Thread(target=self._read, args=(descriptor, pipe), daemon=True)
            reader.start()
            self._readers.append(reader)
        return None

    def _read(self, descriptor: int, pipe: IO[str]) -> None:
        with pipe:
            for line in pipe:
                self._lines.append((descriptor, line))

    def look(self) -> tuple[list[tuple[int, str]], int | None]:
        """What it has written since, each line with its descriptor, and its exit code if it has ended."""
        assert self._process is not None
        code = self._process.poll()
        if code is not None:
            for reader in self._readers:
                reader.join()
        return [self._lines.popleft() for _ in range(len(self._lines))], code

    def send(self, number: int) -> None:
        """Sends it a signal, where it still runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)


def _heed_signals() -> None:
    """Run in the new process. Ray's own have Ctrl-C blocked, and so would what they start."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if sys.platform == "linux":
        # With its host or its driver gone it checkpoints and ends.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
