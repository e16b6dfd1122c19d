"""Which nodes are given trials: those whose workers were told to end are not, until they pass a check again.

Only Ray's list of nodes and what a check finds are made up.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from cluster.node_checks import NodeCheck, NodeReport, PendingCheck
from cluster.node_findings import NodeVerdict
from nas.engine.faults import FAILURES_UNTIL_LEFT_OUT, Cause, Failure, Faults
from nas.records.left_out_nodes import LeftOutNode
from nas.settings.cluster_settings import ClusterSettings
from nas.workers import nodes as nodes_module
from nas.workers.checked_nodes import CheckedNodes
from nas.workers.nodes import Nodes
from trainers.folders import Directory


@dataclass
class Check:
    """A check that is over at once."""

    problems: tuple[str, ...] = ()
    is_gone: bool = False

    def start(self, node: dict[str, Any]) -> PendingCheck:
        return PendingCheck(None, Directory(Path("no storage")), "no probe", 0.0)

    def is_over(self, pending: PendingCheck) -> bool:
        return True

    def report(self, pending: PendingCheck) -> NodeReport:
        return NodeReport(None, NodeVerdict(self.problems, ()), self.is_gone)


@pytest.fixture
def two_nodes(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[str, Any]]:
    living = {
        name: {"NodeID": name * 8, "NodeManagerHostname": f"host-{name}", "Resources": {"CPU": 2.0}} for name in "ab"
    }
    monkeypatch.setattr(nodes_module, "living_nodes", lambda: living)
    monkeypatch.setattr(nodes_module, "SECONDS_BETWEEN_LOOKS", 0.0)
    return living


def nodes_of(check: Check | None, left_out: list[LeftOutNode], faults: Faults | None = None) -> Nodes:
    checked = None if check is None else CheckedNodes(cast(NodeCheck, check), {}, frozenset("ab"))
    return Nodes(ClusterSettings(None, 0, 1), faults or Faults(), checked, left_out.extend, lambda: 0.0)


def test_a_node_whose_worker_was_told_to_end_waits_for_a_check_and_is_not_left_out(
    two_nodes: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    check, left_out = Check(("its storage is gone",)), list[LeftOutNode]()
    nodes = nodes_of(check, left_out)
    assert nodes.free() == ["a", "b"]
    monkeypatch.setattr(nodes_module, "SECONDS_UNTIL_CHECKED", 0.0)
    with caplog.at_level(logging.WARNING):
        nodes.is_to_end("a")
        nodes.is_to_end("a")
        assert nodes.training == {"b"} and nodes.why_none_trains is None
        for _ in range(3):
            nodes.look()
        assert nodes.training == {"b"}
        del two_nodes["b"]
        nodes.look()
        assert not nodes.training and nodes.why_none_trains is None
    assert [record.getMessage() for record in caplog.records] == [
        "node host-a aaaaaaaa: a worker was told to end; it is given no trials until its check in 0.0 s"
    ]
    assert left_out == []


def test_it_is_given_trials_again_once_it_passes(
    two_nodes: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    nodes = nodes_of(Check(), [])
    monkeypatch.setattr(nodes_module, "SECONDS_UNTIL_CHECKED", 0.0)
    with caplog.at_level(logging.WARNING):
        nodes.is_to_end("a")
        nodes.look()
        nodes.look()
    assert nodes.training == {"a", "b"}
    assert caplog.records[-1].getMessage() == "node host-a aaaaaaaa has passed its check: it is given trials again"


@pytest.mark.parametrize(("cause", "left"), [("memory", {"b"}), ("device", set())])
def test_a_node_that_is_short_of_memory_is_left_out_and_the_last_one_is_not(
    two_nodes: dict[str, dict[str, Any]], cause: Cause, left: set[str]
) -> None:
    faults = Faults()
    nodes = nodes_of(Check(), [], faults)
    for node in "ab":
        for number in range(FAILURES_UNTIL_LEFT_OUT):
            assert node in nodes.training
            faults.failed(Failure(number, node, cause, "something", "oom", True), "abc")
            nodes.failures_counted(node)
    assert nodes.training == left


def test_a_storage_that_is_away_is_said_once_for_all_nodes(two_nodes: dict[str, dict[str, Any]]) -> None:
    faults = Faults()
    nodes = nodes_of(Check(), [], faults)
    for node in "ab":
        assert nodes.why_none_trains is None
        for number in range(FAILURES_UNTIL_LEFT_OUT):
            faults.failed(Failure(number, node, "storage", "s3://b/one cannot be read: gone", "failed", True), "ab")
            nodes.failures_counted(node)
    said = "no node can use the storage, and no trial is counted as failed: s3://b/one cannot be read: gone"
    assert nodes.why_none_trains == said


def test_what_an_earlier_driver_left_out_is_not_left_out_by_this_one(two_nodes: dict[str, dict[str, Any]]) -> None:
    before = (LeftOutNode("host-a aaaaaaaa", "it was hot", 1.0, 2.0), LeftOutNode("gone", "no data", 3.0, None))
    kept: list[tuple[LeftOutNode, ...]] = []
    checked = CheckedNodes(cast(NodeCheck, Check()), {}, frozenset("ab"))
    Nodes(ClusterSettings(None, 0, 1), Faults(), checked, kept.append, lambda: 9.0, before)
    assert kept == [(before[0], LeftOutNode("gone", "no data", 3.0, 9.0))]
    Nodes(ClusterSettings(None, 0, 1), Faults(), checked, kept.append, lambda: 9.5, kept[0])
    assert len(kept) == 1


def test_a_node_that_leaves_during_its_check_is_not_left_out_and_one_that_was_is_so_no_longer(
    two_nodes: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    check, faults = Check(), Faults()
    kept: list[tuple[LeftOutNode, ...]] = []
    checked = CheckedNodes(cast(NodeCheck, check), {}, frozenset("ab"))
    nodes = Nodes(ClusterSettings(None, 0, 1), faults, checked, kept.append, lambda: 7.0)
    two_nodes["c"] = {**two_nodes["a"], "NodeID": "c" * 8}
    check.problems, check.is_gone = ("it left the cluster during its check",), True
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            nodes.look()
        del two_nodes["c"]
        nodes.look()
    assert not caplog.records and not kept and not nodes.is_there("c")
    for number in range(FAILURES_UNTIL_LEFT_OUT):
        faults.failed(Failure(number, "a", "device", "it is hot", "failed", True), "ab")
    nodes.failures_counted("a")
    ((left,),) = kept
    assert left.node == "host-a aaaaaaaa" and left.until is None
    del two_nodes["a"]
    nodes.look()
    nodes.look()
    assert kept[1:] == [(replace(left, until=7.0),)]


def test_a_node_that_trains_is_checked_soon_when_it_fails_again(
    two_nodes: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    faults = Faults()
    nodes = nodes_of(Check(), [], faults)

    def fail() -> str:
        for number in range(FAILURES_UNTIL_LEFT_OUT):
            faults.failed(Failure(number, "a", "device", "it is hot", "failed", True), "ab")
        nodes.failures_counted("a")
        return caplog.records[-1].getMessage()

    assert fail().endswith("it is checked again in 15 s")
    faults.trained(9, "a", "ab")
    nodes.has_trained("a")
    assert nodes.training == {"a", "b"} and fail().endswith("it is checked again in 15 s")


def test_on_this_machine_alone_trials_go_on_at_once(two_nodes: dict[str, dict[str, Any]]) -> None:
    del two_nodes["b"]
    nodes = nodes_of(None, [])
    nodes.is_to_end("a")
    assert nodes.training == {"a"}


def test_a_search_whose_nodes_are_all_gone_says_what_it_waits_for_and_uses_those_that_come(
    two_nodes: dict[str, dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    nodes, came = nodes_of(Check(), []), dict(two_nodes)
    two_nodes.clear()
    with caplog.at_level(logging.WARNING):
        nodes.look()
        nodes.look()
        assert nodes.free() == [] and nodes.why_none_trains is None
        came["c"] = {**came["a"], "NodeID": "c" * 8, "Resources": {"CPU": 5.0}}
        two_nodes["c"] = came["c"]
        for _ in range(3):
            nodes.look()
    assert [record.getMessage() for record in caplog.records] == [
        "waiting for a node that holds a trial of 1 CPUs and 0 GPUs: none is left",
        "there is a node again that holds a trial",
        "node host-a cccccccc has joined",
    ]
    for trial in range(5):
        assert nodes.free() == ["c"]
        nodes.occupy(str(trial), "c")
    assert nodes.free() == []


def test_trials_are_given_to_accelerators_of_the_type_that_was_asked_for(two_nodes: dict[str, dict[str, Any]]) -> None:
    for name, accelerator in (("a", "A100"), ("b", "H100")):
        two_nodes[name]["Resources"] = {"CPU": 2.0, "GPU": 1.0, f"accelerator_type:{accelerator}": 1.0}
    wanted = ClusterSettings(None, 1, 1, accelerator="H100")
    nodes = Nodes(wanted, Faults(), None, lambda left_out: None, lambda: 0.0)
    assert nodes.free() == ["b"] and nodes.accelerator("b") == "H100"
