"""Proposals made ahead by a process of their own (`nas.engine.proposing`), for which the driver's loop does not wait.

With very many workers a proposal is due every second or so and takes the better part of one. Where a search need not
repeat itself to the byte, the next one is worked out while the loop goes on, from the moment the last one is used, with
what runs then.
"""

import contextlib
import logging
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO, cast

from nas.engine.proposing import Answer, Question
from nas.strategy.decisions import Decisions
from nas.strategy.posterior import TrialView

LOGGER = logging.getLogger(__name__)

# After so many deaths over one question the process is not started again.
ATTEMPTS = 3


class ProposalsAhead:
    """The process, started with the first question and again where it dies. To be closed.

    Once `given_up`, it answers no more.
    """

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = pickle.dumps(decisions)
        # It waits for the process, and is the only one to talk to it.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="proposals")
        self._process: subprocess.Popen[bytes] | None = None
        self._told: dict[int, TrialView] = {}
        self._answer: Future[Answer | None] | None = None
        self._closed = False
        self.given_up = False

    def close(self) -> None:
        """Ends the process."""
        self._closed = True
        if self._process is not None:
            self._process.kill()
        self._thread.shutdown()
        self._end_process()

    @property
    def asked(self) -> bool:
        """Whether an answer is there, or is being worked out."""
        return self._answer is not None

    def ask(self, trials: Mapping[int, TrialView], epochs_left: float) -> None:
        """Begins to work out what is trained next, given all trials by their numbers. Waits for nothing."""
        self._answer = self._thread.submit(self._worked_out, dict(trials), epochs_left)

    def take(self) -> Answer | None:
        """The answer, once. None where it is not there yet. Raises what the decisions raised."""
        if self._answer is None or not self._answer.done():
            return None
        answer, self._answer = self._answer.result(), None
        return answer

    def _worked_out(self, trials: Mapping[int, TrialView], epochs_left: float) -> Answer | None:
        for attempt in range(ATTEMPTS):
            if self._closed:
                return None
            try:
                answer = self._asked(trials, epochs_left)
            except (OSError, EOFError, pickle.UnpicklingError):
                how = self._end_process()
                if not self._closed:
                    again = "it is started again" if attempt < ATTEMPTS - 1 else "the search goes on without it"
                    LOGGER.warning("the process that works out what is trained next %s: %s", how, again)
                continue
            if isinstance(answer, Exception):
                raise answer
            return answer
        self.given_up = True
        return None

    def _asked(self, trials: Mapping[int, TrialView], epochs_left: float) -> Answer | Exception:
        process = self._process or self._started()
        sink, source = cast(BinaryIO, process.stdin), cast(BinaryIO, process.stdout)
        # A view is never changed, only replaced.
        changed = tuple(trial for number, trial in trials.items() if self._told.get(number) is not trial)
        pickle.dump(Question(changed, epochs_left), sink)
        sink.flush()
        answer: Answer | Exception = pickle.load(source)
        self._told = dict(trials)
        return answer

    def _started(self) -> "subprocess.Popen[bytes]":
        self._told = {}
        process = self._process = subprocess.Popen(
            # As -m its classes would be those of another module. Nothing is loaded from where the user stands.
            [sys.executable, "-P", "-c", "from nas.engine.proposing import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            # Ctrl-C is for the driver, which ends it.
            start_new_session=True,
        )
        cast(BinaryIO, process.stdin).write(self._decisions)
        return process

    def _end_process(self) -> str:
        """Leaves nothing of the process. How it ended."""
        process, self._process = self._process, None
        if process is None:
            return "could not be started"
        if process.poll() is None:
            process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                cast(BinaryIO, pipe).close()
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
