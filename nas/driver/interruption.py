"""Signals: the first one asks for an orderly end, a second Ctrl-C ends the process at once.

A thread does what is to be done, since the main thread may be waiting in a library when a signal comes.
"""

import contextlib
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import psutil

from search_spaces.exit_codes import SIGNAL_EXIT_CODES, SUCCESS

# An orderly end may take so long; a preempted job is given 30 s or more.
GRACE_SECONDS = 25.0

_STOPPING = "\nstopping: what is finished is kept. {} ends at once.\n"
_OUT_OF_TIME = b"\nthe time for an orderly end is over\n"
_SHOW_CURSOR = b"\x1b[?25h"


class Interruption:
    """Listens to Ctrl-C, SIGTERM, SIGUSR1 and SIGHUP for as long as its context lasts; entered in the main thread.

    The first signal sets it. A second Ctrl-C, or the end of the grace time, kills the processes below this one, calls
    `last_deed`, prints `last_words` and ends the process: the ledger and the checkpoints are sound at any moment.
    """

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace_seconds = grace_seconds
        self._event = threading.Event()
        self._signal: int | None = None
        self._is_asked = False
        self._deadline: float | None = None
        self._under_way = False
        self.last_deed: Callable[[], None] | None = None
        self.last_words = ""

    def __enter__(self) -> "Interruption":
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._writer, False)
        self._previous = {number: signal.getsignal(number) for number in SIGNAL_EXIT_CODES}
        self._listen()
        self._previous_wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._report_unraisable = sys.unraisablehook
        sys.unraisablehook = self._unraisable
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        signal.set_wakeup_fd(self._previous_wakeup)
        sys.unraisablehook = self._report_unraisable
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        os.close(self._writer)
        self._thread.join()
        os.close(self._reader)

    def claim(self) -> None:
        """Takes the signals again, for which Ray sets handlers of its own when it starts.

        From here on there is something to end in order; a signal before it ends the process at once.
        """
        self._listen()
        self._under_way = True

    def _listen(self) -> None:
        for number, previous in self._previous.items():
            # `nohup` has a search outlive its terminal.
            if not (number == signal.SIGHUP and previous is signal.SIG_IGN):
                signal.signal(number, _leave_to_the_thread)

    def _unraisable(self, unraisable: "sys.UnraisableHookArgs") -> None:
        # Ray's own handler of SIGTERM, until `claim` takes its place, exits wherever the main thread is. Within a
        # destructor that is printed and goes no further; the thread ends the process.
        if not (isinstance(unraisable.exc_value, SystemExit) and unraisable.exc_value.code == signal.SIGTERM):
            self._report_unraisable(unraisable)

    def is_set(self) -> bool:
        """Whether the search is to end."""
        return self._event.is_set()

    def end(self) -> bool:
        """Asks for the orderly end, as SIGTERM does. False where that has been asked for already."""
        if self._event.is_set():
            return False
        self._is_asked = True
        os.write(self._writer, bytes([signal.SIGTERM]))
        return True

    @property
    def ended_by(self) -> str | None:
        """What asked for the end, as a user knows it; None where nothing did."""
        if self._signal is None:
            return None
        if self._is_asked:
            return "nas/control.py --stop"
        return "Ctrl-C" if self._signal == signal.SIGINT else signal.Signals(self._signal).name

    @property
    def exit_code(self) -> int:
        """The exit code of the process: 0 where no signal came."""
        return SUCCESS if self._signal is None else SIGNAL_EXIT_CODES[signal.Signals(self._signal)]

    def end_now(self, message: str, exit_code: int) -> None:
        """Ends the process: kills all below it and says how to go on.

        `message` and `exit_code` are for when no signal has come, which would be the reason then.
        """
        kill_descendants()
        if self.last_deed is not None:
            self.last_deed()
        if sys.stdout.isatty():
            _write(1, _SHOW_CURSOR)
        if self._signal is None:
            _write(2, message.encode())
        _write(1, self.last_words.encode())
        os._exit(self.exit_code or exit_code)

    def _watch(self) -> None:
        while True:
            left = None if self._deadline is None else max(0.0, self._deadline - time.monotonic())
            if not select.select([self._reader], [], [], left)[0]:
                _write(2, _OUT_OF_TIME)
                self.end_now("", self.exit_code)
            numbers = os.read(self._reader, 64)
            if not numbers:
                return
            for number in numbers:
                if number in self._previous:
                    self._heard(number)

    def _heard(self, number: int) -> None:
        if self._signal is None:
            self._signal = number
            self._deadline = time.monotonic() + self._grace_seconds
            if number == signal.SIGHUP:
                _leave_the_terminal()
            if not self._under_way:
                self.end_now("", self.exit_code)
            self._event.set()
            again = "Ctrl-C again" if number == signal.SIGINT else "Ctrl-C"
            _write(2, _STOPPING.format(again).encode())
        elif number == signal.SIGINT:
            # A closing terminal and a job system send their signals more than once; only a person insists.
            self.end_now("", self.exit_code)


def kill_descendants() -> None:
    """Kills every process below this one, parents first, so that what Ray starts anew has no parent to live by."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()


def _leave_to_the_thread(signal_number: int, frame: FrameType | None) -> None:
    """Python's own handler of a signal that the thread acts on."""


def _leave_the_terminal() -> None:
    """Sends what is still printed to nowhere where it went to the terminal, which is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        if os.isatty(descriptor):
            os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _write(descriptor: int, text: bytes) -> None:
    try:
        os.write(descriptor, text)
    except OSError:
        return  # Whoever read it is gone.
