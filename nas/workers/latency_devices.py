"""On which accelerators a search measures latency: those of one type alone, since only these are compared."""

from collections import Counter
from dataclasses import replace

from nas.settings.cluster_settings import ClusterSettings
from nas.workers.node_resources import accelerator_of, living_nodes, slots_on
from search_spaces.errors import UserError


def of_one_type(cluster: ClusterSettings, measured_on: str | None) -> ClusterSettings:
    """The settings of a search on latency, which trains on accelerators of one type: those of `measured_on`, if given.

    Raises UserError where that is not the one that was asked for, or the cluster has several and none was asked for.
    """
    if not cluster.gpus_per_trial:
        return cluster
    if measured_on is not None:
        if cluster.accelerator not in (None, measured_on):
            raise UserError(
                f"--accelerator is {cluster.accelerator!r}: the latencies of this search were measured on "
                f"{measured_on}, and only those of one type are compared."
            )
        return replace(cluster, accelerator=measured_on)
    types = sorted(slots_by_type(cluster))
    if len(types) > 1:
        raise UserError(
            f"a search on latency compares what one type of GPU takes, and this cluster has {' and '.join(types)}: "
            "choose one by --accelerator TYPE."
        )
    return replace(cluster, accelerator=types[0]) if types else cluster


def most_common_type(cluster: ClusterSettings) -> ClusterSettings:
    """The settings with the type of accelerator on which most trials fit; of several the first by name."""
    slots = slots_by_type(cluster)
    if not cluster.gpus_per_trial or not slots:
        return cluster
    return replace(cluster, accelerator=min(slots, key=lambda name: (-slots[name], name)))


def slots_by_type(cluster: ClusterSettings) -> Counter[str]:
    """How many trials fit on the accelerators of each type."""
    slots = Counter[str]()
    for node in living_nodes().values():
        name, fitting = accelerator_of(node["Resources"]), slots_on(node["Resources"], cluster)
        if name is not None and fitting:
            slots[name] += fitting
    return slots
