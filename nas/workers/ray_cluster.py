"""Watches the Ray that a search started on this machine: without it the search would wait for ever."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ray

from nas.settings.search_settings import ClusterSettings
from search_spaces.exit_codes import FAILURE

SECONDS_BETWEEN_LOOKS = 0.5
# The processes without which no trial can be trained. The workers end with the second.
_NEEDED = ("raylet", "gcs_server")


@contextlib.contextmanager
def watched_ray(cluster: ClusterSettings, end_now: Callable[[str, int], None]) -> Iterator[None]:
    """Calls `end_now` with a message and an exit code once a local Ray is dead, for as long as the context lasts."""
    if cluster.address is not None:
        yield
        return
    node: Any = ray._private.worker._global_node
    closing = threading.Event()

    def watch() -> None:
        while not closing.wait(SECONDS_BETWEEN_LOOKS):
            dead = [kind for kind, _ in node.dead_processes() if kind in _NEEDED]
            if dead and not closing.is_set():
                end_now(f"error: Ray's process {dead[0]} died; what is finished is kept.\n", FAILURE)

    thread = threading.Thread(target=watch, name="ray-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        closing.set()
        thread.join()
