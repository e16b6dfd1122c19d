"""What ends a training: each signal once, and Ctrl-C twice."""

import os
import signal
from collections.abc import Iterator

import pytest

from search_spaces.exit_codes import INTERRUPTED, SIGNAL_EXIT_CODES
from trainers.distributed import Processes
from trainers.full.ends import carried_out
from trainers.stopping import SECOND_CTRL_C_SECONDS, EndedEarly, StopSignals


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """Tests that a script runs in the background have SIGINT ignored, and those of nohup SIGHUP."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGINT, before[0])
    signal.signal(signal.SIGHUP, before[1])


def test_a_second_ctrl_c_ends_at_once_and_the_same_one_handed_on_does_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 100.0
    monkeypatch.setattr("trainers.stopping.time.monotonic", lambda: now)

    with StopSignals() as signals:
        signals.claim()

        def train() -> None:
            nonlocal now
            signal.raise_signal(signal.SIGINT)
            assert signals.requested()
            # torchrun hands it on to those whom the terminal has sent it to already.
            now += SECOND_CTRL_C_SECONDS / 2
            signal.raise_signal(signal.SIGINT)
            now += SECOND_CTRL_C_SECONDS
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("it went on")

        assert carried_out(train, Processes(0, 1, None), signals, "the command") == INTERRUPTED  # type: ignore[arg-type]
    assert capsys.readouterr().err == "\ninterrupted; to go on: the command\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_what_a_job_system_sends_ends_it_in_order_however_often(number: signal.Signals) -> None:
    with StopSignals() as signals:
        with pytest.raises(EndedEarly):
            signal.raise_signal(number)
        signals.claim()
        signal.raise_signal(number)
        signal.raise_signal(signal.SIGINT)
        assert signals.requested() and signals.exit_code == SIGNAL_EXIT_CODES[number]


def test_what_nohup_has_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with StopSignals() as signals:
        os.kill(os.getpid(), signal.SIGHUP)
        assert not signals.requested()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
