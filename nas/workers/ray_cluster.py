"""The Ray that a search runs on: started on this machine or joined."""

import contextlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ray

from cluster.shipped_code import shipped_code
from nas.settings.cluster_settings import ClusterSettings
from nas.workers.autoscaler import Autoscaler, autoscaler_of
from nas.workers.dashboard import HOST, Dashboard, token_file
from nas.workers.node_resources import accelerator_of, flags_to_lower, living_nodes, slots_on, trial_text
from search_spaces.errors import UserError, first_line, unknown_name

LOGGER = logging.getLogger(__name__)

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


@dataclass(frozen=True, slots=True)
class RayCluster:
    """The Ray of a search: how many trials its nodes run at a time as it begins, and who brings more; its dashboard."""

    slots: int
    autoscaler: Autoscaler | None
    dashboard: Dashboard | None = None


@contextlib.contextmanager
def ray_cluster(cluster: ClusterSettings) -> Iterator[RayCluster]:
    """Ray, started on this machine or joined, for as long as the context lasts.

    Waits for an autoscaler to bring a first node where none of those that are there can hold a trial. Raises UserError
    where the cluster cannot be reached, or cannot run a single trial and nobody would bring a node.
    """
    with started_ray(cluster) as dashboard:
        autoscaler = autoscaler_of(cluster)
        try:
            yield RayCluster(_slots(cluster, autoscaler), autoscaler, dashboard)
        finally:
            if autoscaler is not None:
                autoscaler.release()


@contextlib.contextmanager
def started_ray(cluster: ClusterSettings) -> Iterator[Dashboard | None]:
    """Ray, started on this machine or joined, for as long as the context lasts; its dashboard, where one is wanted.

    Raises UserError where the cluster cannot be reached.
    """
    os.environ.update(DRIVER_ENVIRONMENT)
    runtime_env: dict[str, Any] = {"env_vars": WORKER_ENVIRONMENT}
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if cluster.address is None:
        options |= {
            "address": "local",
            "include_dashboard": cluster.dashboard,
            "dashboard_host": HOST,
            "_node_ip_address": "127.0.0.1",
            "object_store_memory": OBJECT_STORE_BYTES,
            "_plasma_directory": _object_store_directory(),
        }
    else:
        runtime_env |= shipped_code()
        options["address"] = cluster.address
    try:
        joined = ray.init(runtime_env=runtime_env, **options)
    except Exception as error:  # Ray raises no less where one of its processes dies while it starts.
        where = f"at {cluster.address!r}" if cluster.address else "on this machine"
        raise UserError(f"no Ray cluster {where}: {first_line(error)}") from None
    # What befalls a worker or a node is said by the search, in a line; Ray prints a paragraph, or the node's last log.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    ray._private.worker._worker_logs_enabled = False
    try:
        if cluster.dashboard:
            with token_file(os.environ["RAY_AUTH_TOKEN"]) as path:
                yield Dashboard(f"http://{joined.dashboard_url}/", path)
        else:
            yield None
    finally:
        ray.shutdown()


def _slots(cluster: ClusterSettings, autoscaler: Autoscaler | None) -> int:
    """How many trials the nodes run at a time, at least one; waits for it where an autoscaler may bring one."""
    said = False
    while (slots := sum(slots_on(node["Resources"], cluster) for node in living_nodes().values())) < 1:
        if autoscaler is None:
            raise _no_room(cluster)
        if not said:
            said = True
            LOGGER.warning(
                "no node holds a trial of %s: the autoscaler of the cluster was asked for one, and is waited for; "
                "whether it brings any is shown by `ray status`",
                trial_text(cluster),
            )
        autoscaler.ask(lambda: 1)
        time.sleep(SECONDS_BETWEEN_LOOKS)
    return slots


def _no_room(cluster: ClusterSettings) -> UserError:
    found = [node["Resources"] for node in living_nodes().values()]
    types = sorted({name for resources in found if (name := accelerator_of(resources)) is not None})
    if cluster.accelerator is not None and cluster.accelerator not in types:
        if not types:
            return UserError(f"--accelerator is {cluster.accelerator!r}: no node of this cluster names a type of GPU.")
        return unknown_name("--accelerator", cluster.accelerator, types)
    nodes = " or ".join(sorted({f"{one.get('CPU', 0):g} and {one.get('GPU', 0):g}" for one in found}))
    return UserError(
        f"a trial takes {trial_text(cluster)} of one machine, and {'each' if len(found) > 1 else 'this'} has {nodes}: "
        f"lower {flags_to_lower(found, cluster)}."
    )


def _object_store_directory() -> str:
    """Where Ray keeps objects: in shared memory, or, where that is missing or small as in containers, on disk."""
    try:
        roomy = shutil.disk_usage(SHARED_MEMORY).free > 2 * OBJECT_STORE_BYTES and os.access(SHARED_MEMORY, os.W_OK)
    except OSError:
        roomy = False
    return SHARED_MEMORY if roomy else tempfile.gettempdir()
