"""The autoscaler of a Ray cluster, where there is one: told how many trials could run, it brings nodes for them."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import ray
from ray.autoscaler.sdk import request_resources
from ray.autoscaler.v2.sdk import get_cluster_status
from ray.experimental import internal_kv

from nas.settings.cluster_settings import ClusterSettings
from nas.workers.node_resources import trial_resources

SECONDS_BETWEEN_REQUESTS = 5.0
# Where nobody scales a cluster Ray names the type of a node after its id.
_UNSCALED_PREFIX = "node_"
_STATUS_KEY = b"__autoscaling_status"


@dataclass
class Autoscaler:
    """Asks for room for the trials of a search. What was asked for last holds until something else is."""

    bundle: dict[str, float]
    _asked: int = 0
    _next: float = 0.0

    def ask(self, trials: Callable[[], int]) -> None:
        """Asks for so much room that `trials()` run at a time, those that run already among them. Called often."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + SECONDS_BETWEEN_REQUESTS
        wanted = trials()
        if wanted != self._asked:
            request_resources(bundles=[self.bundle] * wanted)
            self._asked = wanted

    def release(self) -> None:
        """Takes back what was asked for, so that nodes go that are not needed."""
        if self._asked:
            request_resources(bundles=[])
            self._asked = 0


def autoscaler_of(cluster: ClusterSettings) -> Autoscaler | None:
    """The autoscaler of the cluster that this process has joined; None where nobody scales it."""
    if cluster.address is None or all(name.startswith(_UNSCALED_PREFIX) for name in _node_types()):
        return None
    return Autoscaler(trial_resources(cluster))


def _node_types() -> set[str]:
    """How the cluster's scaling calls the types of its nodes. Empty while it has said nothing."""
    stored = internal_kv._internal_kv_get(_STATUS_KEY)
    report = json.loads(stored).get("autoscaler_report") if stored else None
    if report and report.get("node_type_mapping"):
        return set(report["node_type_mapping"].values())
    # Its second version reports elsewhere.
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    return {node.ray_node_type_name for node in (*status.active_nodes, *status.idle_nodes) if node.ray_node_type_name}
