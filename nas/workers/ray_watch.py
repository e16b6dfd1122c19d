"""Watches the Ray that a search runs on: without one that lives the search would wait for ever."""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import ray

from nas.settings.cluster_settings import ClusterSettings
from search_spaces.exit_codes import FAILURE

LOGGER = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 0.5
# The processes without which no trial can be trained. The workers end with the second.
_NEEDED = ("raylet", "gcs_server")

# The head of a cluster is asked again after so long, and may take so long to answer.
SECONDS_BETWEEN_QUESTIONS = 2.0
ANSWER_SECONDS = 3
MOST_SECONDS_BETWEEN_QUESTIONS = 15.0
# Silent for longer, it is taken for dead. After 60 s Ray ends this process without a word of use; a head that others
# start again in the meantime (with a GCS that keeps its state) is found again.
MOST_SILENT_SECONDS = 50.0
# Where another head without that state answers in its place, Ray ends this process with a stack trace, and
# `nas.driver.sudden_end` says how to go on.
SAID_AFTER_SECONDS = 6.0


@contextlib.contextmanager
def watched_ray(cluster: ClusterSettings, end_now: Callable[[str, int], None]) -> Iterator[None]:
    """Calls `end_now` with a message and an exit code once Ray is dead, for as long as the context lasts."""
    find = _death_here() if cluster.address is None else _silence_of_head()
    seconds = SECONDS_BETWEEN_LOOKS if cluster.address is None else SECONDS_BETWEEN_QUESTIONS
    closing = threading.Event()

    def watch() -> None:
        while not closing.wait(seconds):
            death = find()
            if death is not None and not closing.is_set():
                end_now(f"error: {death}; what is finished is kept.\n", FAILURE)

    thread = threading.Thread(target=watch, name="ray-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join()


def _death_here() -> Callable[[], str | None]:
    """What says of the Ray that was started on this machine that it is dead."""
    node: Any = ray._private.worker._global_node

    def find() -> str | None:
        dead = [kind for kind, _ in node.dead_processes() if kind in _NEEDED]
        return f"Ray's process {dead[0]} died" if dead else None

    return find


def _silence_of_head() -> Callable[[], str | None]:
    """What says of the head of a cluster that it is gone."""
    worker: Any = ray._private.worker.global_worker
    client = worker.gcs_client
    address, heard = ray.get_runtime_context().gcs_address, time.monotonic()
    said, asked = False, heard

    def find() -> str | None:
        nonlocal heard, said, asked
        now = time.monotonic()
        if now - asked > MOST_SECONDS_BETWEEN_QUESTIONS:
            # This process was suspended, and who did not ask knows nothing.
            heard = now
        asked = now
        try:
            client.internal_kv_exists(b"gcs_pid", None, timeout=ANSWER_SECONDS)
        except Exception:  # Ray has several for no answer.
            silent = time.monotonic() - heard
            if silent >= SAID_AFTER_SECONDS and not said:
                said = True
                LOGGER.warning(
                    "Ray's head at %s gives no answer; it is waited for, for %.0f s. Where a new one takes its place, "
                    "Ray may end this: what is finished is kept, and --resume goes on.",
                    address,
                    MOST_SILENT_SECONDS,
                )
            return None if silent < MOST_SILENT_SECONDS else f"Ray's head at {address} is silent for {silent:.0f} s"
        heard, said = time.monotonic(), False
        return None

    return find
