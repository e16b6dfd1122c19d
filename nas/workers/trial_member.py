"""One of the processes that train a trial together, on the machine of the worker that started it and never without it.

python -m nas.workers.trial_member RANK MEETING

The worker writes the trial to its standard input, as a line of JSON, and then lines of `nas.workers.member_lines`. The
process writes its reports to its standard output: the first process all of them, the others only what ended them.
"""

import ctypes
import functools
import json
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

from nas.workers.end_requests import EndRequests
from nas.workers.gpu_use import gpu_use
from nas.workers.member_lines import END, MemberLine
from nas.workers.trial import failures_reported, trained_epochs, warnings_so_far
from nas.workers.trial_config import EpochReport, TrialConfig, WorkerMessage, WorkerReport
from search_spaces.exit_codes import FAILURE, SUCCESS
from trainers.distributed import join_by_file

_PR_SET_PDEATHSIG = 1


class Worker:
    """The worker, as one of its processes sees it."""

    def __init__(self, source: IO[bytes], target: IO[bytes], leave: Callable[[int], object]) -> None:
        """`leave` ends this process with an exit code: at once, since an end in order would wait for the others."""
        self._source, self._target, self._leave = source, target, leave
        self._may_go_on = threading.Semaphore(0)
        self._wants_end = threading.Event()

    def trial(self) -> TrialConfig:
        """The trial to train; from then on what else it says is heard."""
        trial = TrialConfig.from_json(json.loads(self._source.readline()))
        threading.Thread(target=self._listen, name="worker", daemon=True).start()
        return trial

    def _listen(self) -> None:
        for line in self._source:
            if line == END:
                self._wants_end.set()
            else:
                self._may_go_on.release()
        # It is gone.
        self._leave(FAILURE)

    def wants_end(self) -> bool:
        return self._wants_end.is_set()

    def say(self, line: MemberLine) -> None:
        self._target.write(line.to_bytes())
        self._target.flush()

    def report(self, rank: int, report: WorkerReport) -> None:
        """Sends the report of an epoch and waits until the driver has taken it, or sends why this process ends."""
        if isinstance(report, EpochReport) and rank:
            return
        self.say(MemberLine(WorkerMessage(report, tuple(warnings_so_far()))))
        warnings_so_far().clear()
        if isinstance(report, EpochReport):
            self._may_go_on.acquire()
        else:
            self._leave(FAILURE)


def train_for(worker: Worker, rank: int, meeting: Path, requests: EndRequests) -> None:
    """Trains the trial of `worker`, with the others that meet in a file."""
    trial = worker.trial()
    report = functools.partial(worker.report, rank)
    with failures_reported(trial, requests, report):
        processes = join_by_file(meeting, rank, trial.processes, trial.device)
        for result in trained_epochs(trial, requests, processes):
            report(EpochReport(result, gpu_use(processes.device) if processes.is_first else None))
        if processes.is_first:
            worker.say(MemberLine(None))
        processes.leave()


def main(arguments: list[str]) -> int:
    """Trains a trial with the others that meet in the file MEETING."""
    rank, meeting = int(arguments[0]), Path(arguments[1])
    if sys.platform == "linux":
        # One that is frozen would not see that its input is closed.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    target = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # What else is printed is for the log.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    worker = Worker(sys.stdin.buffer, target, os._exit)
    requests = EndRequests(worker.wants_end)
    requests.listen()
    warnings_so_far()
    train_for(worker, rank, meeting, requests)
    return SUCCESS


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
