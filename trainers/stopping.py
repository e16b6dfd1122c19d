"""Ending a training between two steps, or two passes of one: the signals for it, and what is raised once it is kept.

A job system sends SIGTERM, or SIGUSR1 where it is told to, some time before it kills; torchrun hands SIGTERM on and
kills after 30 s. One that dies itself leaves its processes behind, which is taken for SIGTERM. A terminal that is
closed, or whose connection is lost, sends SIGHUP.
"""

import os
import signal
import time
from types import FrameType

from search_spaces.exit_codes import SIGNAL_EXIT_CODES, TERMINATED

# torchrun hands on a Ctrl-C that the terminal has sent already. A person takes longer to press it again.
SECOND_CTRL_C_SECONDS = 1.0


class Stopped(Exception):
    """A training was asked to end and has been checkpointed after `step` steps of epoch `epoch`, counted from 1."""

    def __init__(self, epoch: int, step: int) -> None:
        super().__init__(epoch, step)
        self.epoch, self.step = epoch, step


class EndedEarly(BaseException):
    """A signal came while there was nothing to be kept yet."""


class StopSignals:
    """Notes the signals of SIGNAL_EXIT_CODES for as long as its context lasts; entered in the main thread.

    Until `claim` is called there is nothing to be kept, and a signal raises EndedEarly, or KeyboardInterrupt. A second
    Ctrl-C raises KeyboardInterrupt at any time.
    """

    def __init__(self) -> None:
        self._number: int | None = None
        self._since = 0.0
        self._claimed = False
        self._parent = os.getppid()

    def __enter__(self) -> "StopSignals":
        self._previous = {number: signal.getsignal(number) for number in SIGNAL_EXIT_CODES}
        for number, previous in self._previous.items():
            # What was started in the background of a script has Ctrl-C ignored, and by `nohup` the end of its terminal.
            if previous is not signal.SIG_IGN:
                signal.signal(number, self._heard)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def claim(self) -> None:
        """From here on the training itself looks whether it is to end."""
        self._claimed = True

    def requested(self) -> bool:
        """Whether the training is to end."""
        return self._number is not None or ("TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != self._parent)

    @property
    def exit_code(self) -> int:
        """The exit code of the process once it has ended."""
        return TERMINATED if self._number is None else SIGNAL_EXIT_CODES[signal.Signals(self._number)]

    def _heard(self, number: int, frame: FrameType | None) -> None:
        insists = number == signal.SIGINT == self._number and time.monotonic() - self._since > SECOND_CTRL_C_SECONDS
        if number == signal.SIGINT and (insists or not self._claimed):
            self._number = number
            raise KeyboardInterrupt
        if self._number is None:
            self._number, self._since = number, time.monotonic()
        if not self._claimed:
            raise EndedEarly
