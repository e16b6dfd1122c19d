"""What is printed of exceptions that Python cannot raise while a search listens to signals."""

import signal
import sys

import pytest

from nas.driver.interruption import Interruption


class Raising:
    """Raises when it is dropped, where Python has nobody to raise it to."""

    def __init__(self, exception: BaseException) -> None:
        self._exception = exception

    def __del__(self) -> None:
        raise self._exception


def test_the_exit_of_another_handler_within_a_destructor_is_left_to_the_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    printed: list[str] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda unraisable: printed.append(repr(unraisable.exc_value)))
    with Interruption():
        Raising(SystemExit(signal.SIGTERM))
        Raising(SystemExit(1))
        Raising(ValueError("of another"))
    Raising(SystemExit(signal.SIGTERM))
    assert printed == ["SystemExit(1)", "ValueError('of another')", f"SystemExit({signal.SIGTERM!r})"]
