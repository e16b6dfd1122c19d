"""Several processes that train a trial together: started by its worker on its machine, watched, none left behind."""

import contextlib
import json
import math
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from nas.workers.end_requests import EndRequests
from nas.workers.member_lines import END, GO_ON, MemberLine
from nas.workers.trial_config import EpochReport, TrialConfig, TrialFailed, TrialPreempted, WorkerMessage

LOOK_SECONDS = 0.5
# Once one has ended the others end by what they lose with it, or are ended.
SETTLING_SECONDS = 10.0
# They talk to each other on this machine alone.
LOOPBACK = dict.fromkeys(("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"), "lo" if sys.platform == "linux" else "lo0")


class TrialProcesses:
    """The processes of a trial, for as long as the context lasts; they end with it, and with this process."""

    def __init__(self, trial: TrialConfig, requests: EndRequests) -> None:
        self._trial = replace(trial, latency_reference=None)
        self._requests = requests
        self._members: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "TrialProcesses":
        self._scratch = tempfile.TemporaryDirectory(prefix="trial-")
        meeting = Path(self._scratch.name) / "meeting"
        environment = {**os.environ, **LOOPBACK, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", "nas.workers.trial_member"]
        try:
            for rank in range(self._trial.processes):
                self._members.append(
                    subprocess.Popen(
                        [*command, str(rank), str(meeting)],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        bufsize=0,
                        env=environment,
                        start_new_session=True,
                    )
                )
                self._tell(rank, json.dumps(self._trial.to_json()).encode() + b"\n")
        except BaseException:
            self._end_all()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._end_all()

    @property
    def ids(self) -> list[int]:
        """Their process ids."""
        return [member.pid for member in self._members]

    def messages(self) -> Iterator[WorkerMessage]:
        """The report of each epoch, and of what ended the training before its last. They go on when asked for more."""
        ends: dict[int, WorkerMessage] = {}
        deadline, asked = math.inf, False
        with selectors.DefaultSelector() as selector:
            for rank, member in enumerate(self._members):
                selector.register(_pipe(member.stdout), selectors.EVENT_READ, rank)
            while selector.get_map() and time.monotonic() < deadline:
                if not asked and self._requests.requested():
                    asked = True
                    self._tell(0, END)
                for key, _ in selector.select(LOOK_SECONDS):
                    line = _pipe(self._members[key.data].stdout).readline()
                    if not line.endswith(b"\n"):
                        selector.unregister(key.fileobj)
                        deadline = min(deadline, time.monotonic() + SETTLING_SECONDS)
                        continue
                    message = MemberLine.from_bytes(line).message
                    if message is None:
                        return
                    if isinstance(message.report, EpochReport):
                        yield message
                        self._tell(0, GO_ON)
                    else:
                        ends[key.data] = message
                        deadline = min(deadline, time.monotonic() + SETTLING_SECONDS)
        yield self._what_ended_it(ends)

    def _what_ended_it(self, ends: Mapping[int, WorkerMessage]) -> WorkerMessage:
        """Which of the reports by which processes ended tells why; of one that died there is none."""
        if self._requests.requested() or any(isinstance(end.report, TrialPreempted) for end in ends.values()):
            return WorkerMessage(TrialPreempted())
        for _, end in sorted(ends.items()):
            if not (isinstance(end.report, TrialFailed) and end.report.cause == "death"):
                return end
        for rank, member in enumerate(self._members):
            if rank not in ends and (code := _exit_code(member)) is not None:
                how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
                return _death(f"process {rank + 1} of its {len(self._members)} {how}")
        return ends[min(ends)] if ends else _death(f"its {len(self._members)} processes gave no answer")

    def _tell(self, rank: int, line: bytes) -> None:
        # One that is gone is seen by its output.
        with contextlib.suppress(BrokenPipeError):
            _pipe(self._members[rank].stdin).write(line)

    def _end_all(self) -> None:
        for member in self._members:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(member.pid, signal.SIGKILL)
        for member in self._members:
            _pipe(member.stdin).close()
            _pipe(member.stdout).close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                member.wait(SETTLING_SECONDS)
        self._scratch.cleanup()


def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
    assert pipe is not None
    return pipe


def _exit_code(member: "subprocess.Popen[bytes]") -> int | None:
    try:
        return member.wait(LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return None


def _death(reason: str) -> WorkerMessage:
    return WorkerMessage(TrialFailed("death", reason, ""))
