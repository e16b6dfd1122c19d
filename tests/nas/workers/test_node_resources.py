"""What nodes have: how many trials fit, on accelerators of which type, and what is asked of an autoscaler."""

import json
from typing import Any

import pytest

from nas.settings.cluster_settings import ClusterSettings
from nas.workers import autoscaler as autoscaler_module
from nas.workers import latency_devices, ray_cluster
from nas.workers.autoscaler import Autoscaler, autoscaler_of
from nas.workers.latency_devices import most_common_type, of_one_type
from nas.workers.node_resources import accelerator_of, flags_to_lower, slots_on, trial_resources
from search_spaces.errors import UserError

A100 = {"CPU": 8.0, "GPU": 4.0, "accelerator_type:A100": 1.0}
H100 = {"CPU": 8.0, "GPU": 8.0, "accelerator_type:H100": 1.0}
ON_GPUS = ClusterSettings("auto", gpus_per_trial=1, cpus_per_trial=1)
BOTH = "--cpus-per-trial and --gpus-per-trial"
ON_H100 = ClusterSettings("auto", gpus_per_trial=1, cpus_per_trial=1, accelerator="H100")


@pytest.fixture
def living(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    """Ray's list of nodes, which is made up: one of each type, and one without GPUs."""
    nodes = {name: {"Resources": found} for name, found in (("a", A100), ("h", H100), ("c", {"CPU": 8.0}))}
    for module in (latency_devices, ray_cluster):
        monkeypatch.setattr(module, "living_nodes", lambda: nodes)
    return nodes


def test_trials_fit_on_the_type_of_accelerator_that_was_asked_for_alone() -> None:
    assert [accelerator_of(found) for found in (A100, H100, {"CPU": 8.0})] == ["A100", "H100", None]
    assert [slots_on(found, ON_GPUS) for found in (A100, H100)] == [4, 8]
    assert [slots_on(found, ON_H100) for found in (A100, H100, {"CPU": 8.0, "GPU": 8.0})] == [0, 8, 0]
    assert trial_resources(ON_H100) == {"CPU": 1, "GPU": 1, "accelerator_type:H100": 0.001}
    assert trial_resources(ClusterSettings("auto", 0, 2)) == {"CPU": 2}


@pytest.mark.parametrize(
    ("nodes", "cluster", "flags"),
    [
        ([{"CPU": 2.0}], ClusterSettings("auto", 1, 1), "--gpus-per-trial"),
        ([{"CPU": 2.0}], ClusterSettings("auto", 0, 4), "--cpus-per-trial"),
        ([{"CPU": 2.0, "GPU": 1.0}], ClusterSettings("auto", 1, 4), "--cpus-per-trial"),
        ([{"CPU": 2.0, "GPU": 1.0}], ClusterSettings("auto", 2, 4), BOTH),
        ([{"CPU": 2.0}], ClusterSettings("auto", 0, 1, processes_per_trial=4), "--processes-per-trial"),
        (
            [{"CPU": 8.0}, {"CPU": 1.0, "GPU": 4.0}],
            ClusterSettings("auto", 1, 4),
            "--cpus-per-trial or --gpus-per-trial",
        ),
        # Of the type that was asked for alone: the others' GPUs are no use.
        ([A100 | {"GPU": 16.0}, H100], ClusterSettings("auto", 9, 9, accelerator="H100"), BOTH),
        ([A100, H100 | {"GPU": 2.0}], ClusterSettings("auto", 4, 4, accelerator="H100"), "--gpus-per-trial"),
    ],
)
def test_what_no_node_has_is_what_is_to_be_lowered(
    nodes: list[dict[str, float]], cluster: ClusterSettings, flags: str
) -> None:
    assert not any(slots_on(node, cluster) for node in nodes)
    assert flags_to_lower(nodes, cluster) == flags


def test_a_search_on_latency_takes_one_type(living: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="this cluster has A100 and H100: choose one by --accelerator TYPE"):
        of_one_type(ON_GPUS, None)
    assert of_one_type(ON_H100, None) == ON_H100
    assert of_one_type(ON_GPUS, "H100") == ON_H100
    with pytest.raises(UserError, match="--accelerator is 'H100': the latencies of this search were measured on A100"):
        of_one_type(ON_H100, "A100")
    on_cpus = ClusterSettings("auto", 0, 1)
    assert of_one_type(on_cpus, None) == on_cpus
    assert most_common_type(ON_GPUS) == ON_H100 and most_common_type(on_cpus) == on_cpus
    del living["a"]
    assert of_one_type(ON_GPUS, None) == ON_H100


def test_a_type_that_no_node_has_is_refused_by_name(living: dict[str, Any]) -> None:
    wanted = ClusterSettings("auto", gpus_per_trial=1, cpus_per_trial=1, accelerator="H10")
    with pytest.raises(
        UserError, match=r"unknown --accelerator 'H10': expected one of A100, H100\. Did you mean 'H100'"
    ):
        ray_cluster._slots(wanted, None)
    with pytest.raises(UserError, match=r"a trial takes 16 CPUs and 16 GPUs of type H100 of one machine"):
        ray_cluster._slots(ClusterSettings("auto", 16, 1, processes_per_trial=16, accelerator="H100"), None)
    assert ray_cluster._slots(ON_GPUS, None) == 12


def test_an_autoscaler_is_asked_for_what_could_run_when_that_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[dict[str, float]]] = []
    monkeypatch.setattr(autoscaler_module, "request_resources", lambda *, bundles: asked.append(bundles))
    monkeypatch.setattr(autoscaler_module, "SECONDS_BETWEEN_REQUESTS", 0.0)
    autoscaler = Autoscaler(trial_resources(ON_H100))
    for trials in (3, 3, 2):
        autoscaler.ask(lambda trials=trials: trials)  # type: ignore[misc]
    autoscaler.release()
    autoscaler.release()
    bundle = {"CPU": 1, "GPU": 1, "accelerator_type:H100": 0.001}
    assert asked == [[bundle] * 3, [bundle] * 2, []]
    monkeypatch.setattr(autoscaler_module, "SECONDS_BETWEEN_REQUESTS", 600.0)
    autoscaler.ask(lambda: 5)
    autoscaler.ask(lambda: pytest.fail("asked again at once"))
    assert asked[3:] == [[bundle] * 5]


@pytest.mark.parametrize(("node_type", "scaled"), [("node_ff01", False), ("ray.head.default", True)])
def test_a_cluster_that_nobody_scales_has_no_autoscaler(
    node_type: str, scaled: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Ray reports of either."""
    status = json.dumps({"autoscaler_report": {"node_type_mapping": {"ff01": node_type}}}).encode()
    monkeypatch.setattr("ray.experimental.internal_kv._internal_kv_get", lambda key: status)
    assert (autoscaler_of(ON_GPUS) is not None) == scaled
    assert autoscaler_of(ClusterSettings(None, 0, 1)) is None
