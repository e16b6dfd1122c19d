"""That what a worker trains is to end soon: by a signal, as before its machine is taken away, or by the driver.

The driver says so in the key-value store of Ray's head, which every worker can ask while it trains.
"""

import contextlib
import functools
import signal
import sys
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import ray
from ray.experimental.internal_kv import internal_kv_get_gcs_client

from search_spaces.exit_codes import TERMINATED

SIGNALS = (signal.SIGTERM, signal.SIGUSR1)
# A job system kills 30 s after its signal, or later: one that has not come to its next step ends in order before.
GRACE_SECONDS = 20
SECONDS_BETWEEN_LOOKS = 1.0
# A head that does not answer is for the driver to notice.
LONGEST_LOOK_SECONDS = 0.5
_NAMESPACE = b"vision-architecture-search"


class EndRequests:
    """Whether a training is to end: what a worker was told by a signal, or by the driver of its search."""

    def __init__(self, asked_by_driver: Callable[[], bool]) -> None:
        self._asked_by_driver = asked_by_driver
        self._trains = False
        self._by_signal = False
        self._by_driver = False
        self._next_look = 0.0
        self._end: Any = signal.SIG_DFL

    def listen(self) -> None:
        """Takes the signals, in the main thread. One that comes while nothing is trained ends the process."""
        if signal.getsignal(signal.SIGTERM) != self._heard:
            self._end = signal.getsignal(signal.SIGTERM)
            for number in SIGNALS:
                signal.signal(number, self._heard)

    @contextlib.contextmanager
    def heeded(self) -> Iterator[None]:
        """While a training goes on in the context, which asks between its steps whether it is to end."""
        self._trains = True
        try:
            yield
        finally:
            self._trains = False

    def requested(self) -> bool:
        """Whether the training is to end. The driver is asked once a second at most."""
        now = time.monotonic()
        if not self._by_driver and now >= self._next_look:
            self._next_look = now + SECONDS_BETWEEN_LOOKS
            self._by_driver = self._asked_by_driver()
        return self._by_signal or self._by_driver

    @property
    def by_signal(self) -> bool:
        """Whether this process was told to end."""
        return self._by_signal

    @property
    def by_driver(self) -> bool:
        """Whether the driver was found to want the end."""
        return self._by_driver

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if not self._trains:
            self._end_now(number, frame)
        if not self._by_signal:
            self._by_signal = True
            signal.signal(signal.SIGALRM, self._end_now)
            signal.alarm(GRACE_SECONDS)

    def _end_now(self, number: int, frame: FrameType | None) -> None:
        # Ray's own handler tells the driver why.
        if callable(self._end):
            self._end(signal.SIGTERM, frame)
        sys.exit(TERMINATED)


@functools.lru_cache(maxsize=1)
def end_requests() -> EndRequests:
    """Those of this process."""
    return EndRequests(end_asked_for)


class Listening:
    """What Ray Tune mixes into the actor of a worker: it is set up in the main thread, which alone may take signals."""

    def setup(self, config: dict[str, Any]) -> None:
        end_requests().listen()
        super().setup(config)  # type: ignore[misc]


def ask_for_end() -> None:
    """Has all workers of this driver checkpoint what they train, and end it."""
    with contextlib.suppress(ray.exceptions.RpcError):
        internal_kv_get_gcs_client().internal_kv_put(_key(), b"", True, _NAMESPACE, timeout=GRACE_SECONDS)


def end_asked_for() -> bool:
    """Whether the driver of this worker wants it to end what it trains."""
    if not ray.is_initialized():
        return False
    with contextlib.suppress(ray.exceptions.RpcError):
        found: bool = internal_kv_get_gcs_client().internal_kv_exists(_key(), _NAMESPACE, timeout=LONGEST_LOOK_SECONDS)
        return found
    return False


def _key() -> bytes:
    return f"job {ray.get_runtime_context().get_job_id()} is to end".encode()
