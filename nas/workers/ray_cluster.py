"""The Ray that a search runs on: started on this machine or joined, and watched where it was started.

Without a Ray that lives the search would wait for ever.
"""

import contextlib
import logging
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from typing import Any

import ray

from cluster.shipped_code import shipped_code
from nas.settings.search_settings import ClusterSettings
from nas.workers.nodes import living_nodes, slots_on
from search_spaces.errors import UserError, first_line
from search_spaces.exit_codes import FAILURE

# A reused worker has this long to finish its epoch when its trial is stopped; with Ray's 2 s a search can hang.
WORKER_ENVIRONMENT = {"TUNE_FUNCTION_THREAD_TIMEOUT_S": "30"}
DRIVER_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ctrl-C is ours to handle.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Ray Tune's own snapshots are never read; the ledger is what a search is resumed from.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    # How many trials are assigned at a time is counted by us, for each node.
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",
    # A worker that dies with its node is the engine's to see to, as any other.
    "RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}

# Ray asks for no less. Nothing that passes between the processes of a search is larger than a trial's configuration.
OBJECT_STORE_BYTES = 80_000_000
SHARED_MEMORY = "/dev/shm"

SECONDS_BETWEEN_LOOKS = 0.5
# The processes without which no trial can be trained. The workers end with the second.
_NEEDED = ("raylet", "gcs_server")


@contextlib.contextmanager
def ray_cluster(cluster: ClusterSettings) -> Iterator[int]:
    """Ray, started on this machine or joined, for as long as the context lasts. Yields how many trials run at a time.

    Raises UserError where the cluster cannot be reached or cannot run a single trial.
    """
    with started_ray(cluster):
        yield _slots(cluster)


@contextlib.contextmanager
def started_ray(cluster: ClusterSettings) -> Iterator[None]:
    """Ray, started on this machine or joined, for as long as the context lasts.

    Raises UserError where the cluster cannot be reached.
    """
    os.environ.update(DRIVER_ENVIRONMENT)
    runtime_env: dict[str, Any] = {"env_vars": WORKER_ENVIRONMENT}
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if cluster.address is None:
        options |= {
            "address": "local",
            "include_dashboard": False,
            "_node_ip_address": "127.0.0.1",
            "object_store_memory": OBJECT_STORE_BYTES,
            "_plasma_directory": _object_store_directory(),
        }
    else:
        runtime_env |= shipped_code()
        options["address"] = cluster.address
    try:
        ray.init(runtime_env=runtime_env, **options)
    except Exception as error:  # Ray raises no less where one of its processes dies while it starts.
        where = f"at {cluster.address!r}" if cluster.address else "on this machine"
        raise UserError(f"no Ray cluster {where}: {first_line(error)}") from None
    # What befalls a worker is said by the search, in a line.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        ray.shutdown()


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


def _slots(cluster: ClusterSettings) -> int:
    found = [node["Resources"] for node in living_nodes().values()]
    slots = sum(slots_on(resources, cluster) for resources in found)
    if slots < 1:
        nodes = " or ".join(sorted({f"{one.get('CPU', 0):g} and {one.get('GPU', 0):g}" for one in found}))
        raise UserError(
            f"a trial takes {cluster.trial_cpus:g} CPUs and {cluster.gpus_per_trial:g} GPUs of one machine, and "
            f"{'each' if len(found) > 1 else 'this'} has {nodes}: lower --cpus-per-trial or --gpus-per-trial."
        )
    return slots


def _object_store_directory() -> str:
    """Where Ray keeps objects: in shared memory, or, where that is missing or small as in containers, on disk."""
    try:
        roomy = shutil.disk_usage(SHARED_MEMORY).free > 2 * OBJECT_STORE_BYTES and os.access(SHARED_MEMORY, os.W_OK)
    except OSError:
        roomy = False
    return SHARED_MEMORY if roomy else tempfile.gettempdir()
