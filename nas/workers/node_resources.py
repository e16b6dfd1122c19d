"""What the nodes of a Ray cluster have, and how many trials fit on each."""

from collections.abc import Mapping, Sequence
from typing import Any

import ray

from nas.settings.cluster_settings import ClusterSettings

# Ray has a resource of this name, followed by the type, on a node with accelerators.
ACCELERATOR_PREFIX = "accelerator_type:"
# What a task takes of it, as Ray itself has it: it is there to tell nodes apart.
LEAST_SHARE = 0.001
# Shares of CPUs and GPUs are not exact.
ROUNDING = 1e-9


def living_nodes() -> dict[str, dict[str, Any]]:
    """The nodes of the cluster that are there, by their ids, as Ray describes them."""
    return {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}


def accelerator_of(resources: Mapping[str, float]) -> str | None:
    """The type of the accelerators of a node of these resources, as Ray names them; None where it has none."""
    types = sorted(name.removeprefix(ACCELERATOR_PREFIX) for name in resources if name.startswith(ACCELERATOR_PREFIX))
    return types[0] if types else None


def slots_on(resources: Mapping[str, float], cluster: ClusterSettings) -> int:
    """How many trials a node of these resources, as Ray names them, runs at a time."""
    if cluster.accelerator not in (None, accelerator_of(resources)):
        return 0
    slots = int(resources.get("CPU", 0) / cluster.trial_cpus + ROUNDING)
    share, gpus = cluster.gpus_per_trial, resources.get("GPU", 0)
    if not share:
        return slots
    # What is left of one GPU does for no other trial.
    return min(slots, int(gpus / share + ROUNDING) if share >= 1 else int(gpus) * int(1 / share + ROUNDING))


def flags_to_lower(nodes: Sequence[Mapping[str, float]], cluster: ClusterSettings) -> str:
    """What asks for more than any of these nodes has, none of which runs a trial, of those of the type of GPU."""
    usable = [node for node in nodes if cluster.accelerator in (None, accelerator_of(node))]
    by_processes = cluster.processes > cluster.cpus_per_trial and not cluster.gpus_per_trial
    asked = {
        "--processes-per-trial" if by_processes else "--cpus-per-trial": (cluster.trial_cpus, "CPU"),
        "--gpus-per-trial": (cluster.gpus_per_trial, "GPU"),
    }
    short = [
        flag
        for flag, (wanted, kind) in asked.items()
        if wanted > max((node.get(kind, 0) for node in usable), default=0) + ROUNDING
    ]
    # Else one node has the CPUs, and another the GPUs.
    return " and ".join(short) or " or ".join(asked)


def accelerator_share(cluster: ClusterSettings) -> dict[str, float]:
    """What keeps a task to accelerators of the type that was asked for, as Ray names it; nothing where none was."""
    return {} if cluster.accelerator is None else {f"{ACCELERATOR_PREFIX}{cluster.accelerator}": LEAST_SHARE}


def trial_resources(cluster: ClusterSettings) -> dict[str, float]:
    """What a trial takes of a node, as Ray names it."""
    gpus = {"GPU": cluster.gpus_per_trial} if cluster.gpus_per_trial else {}
    return {"CPU": cluster.trial_cpus, **gpus, **accelerator_share(cluster)}


def trial_text(cluster: ClusterSettings) -> str:
    """What a trial takes of a node, for people."""
    of_type = "" if cluster.accelerator is None else f" of type {cluster.accelerator}"
    return f"{cluster.trial_cpus:g} CPUs and {cluster.gpus_per_trial:g} GPUs{of_type}"
