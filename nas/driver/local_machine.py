"""What this machine has for trials, as far as that can be seen before Ray is loaded: what can never start is said."""

import os
import socket
from pathlib import Path

from nas.settings.cluster_settings import ClusterSettings
from nas.workers.dashboard import check_dashboard
from search_spaces.errors import UserError

LOOPBACK = "127.0.0.1"
# The devices that the drivers of GPUs show: NVIDIA's, on Jetson and in WSL, too, and AMD's.
_GPU_DEVICES = ("nvidia[0-9]*", "nvmap", "nvhost*", "dxg", "kfd")


def check_local_machine(cluster: ClusterSettings) -> None:
    """Raises UserError where no trial can run on this machine. Of a cluster that is joined nothing is checked."""
    if cluster.address is not None:
        return
    cpus = os.cpu_count() or 1
    if cluster.cpus_per_trial > cpus:
        raise UserError(f"--cpus-per-trial is {cluster.cpus_per_trial:g}: this machine has {cpus}.")
    if cluster.trial_cpus > cpus:
        raise UserError(f"--processes-per-trial is {cluster.processes}: this machine has {cpus} CPUs.")
    if cluster.gpus_per_trial and not any(next(Path("/dev").glob(name), None) for name in _GPU_DEVICES):
        raise UserError(f"--gpus-per-trial is {cluster.gpus_per_trial:g}: this machine has no GPU that can be seen.")
    if cluster.dashboard:
        check_dashboard()
    _check_loopback()


def _check_loopback() -> None:
    """Ray's processes on this machine talk through it, and would wait for each other in vain."""
    try:
        with socket.socket() as listening:
            listening.bind((LOOPBACK, 0))
            listening.listen()
            socket.create_connection(listening.getsockname(), timeout=2).close()
    except OSError as error:
        raise UserError(
            f"{LOOPBACK} cannot be reached on this machine ({error.strerror or error}), and Ray needs it: bring the "
            f"loopback interface up, as by `ip link set lo up` and `ip addr add {LOOPBACK}/8 dev lo`."
        ) from None
