"""What becomes of failed trials, on a real engine and ledger; only which nodes there are is made up."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from nas.engine.faults import Failure, Faults
from nas.workers.failed_trials import FailedTrials
from nas.workers.nodes import Nodes
from tests.support.engines import new_engine
from tests.support.searches import epoch_result


@dataclass
class TwoNodes:
    """Nodes without Ray."""

    training: frozenset[str] = frozenset({"a", "b"})
    types: dict[str, str] = field(default_factory=dict)
    counted: list[str] = field(default_factory=list)
    trained: list[str] = field(default_factory=list)

    def name(self, node: str) -> str:
        return f"node {node}"

    def accelerator(self, node: str) -> str | None:
        return self.types.get(node)

    def failures_counted(self, node: str) -> None:
        self.counted.append(node)

    def has_trained(self, node: str) -> None:
        self.trained.append(node)


def test_a_failure_of_the_node_is_not_counted_and_one_of_the_trial_ends_it(tmp_path: Path) -> None:
    engine, nodes = new_engine(tmp_path, trials=4), TwoNodes()
    failed = FailedTrials(engine, cast(Nodes, nodes), Faults(), tmp_path / "errors")
    first, second = (engine.next_assignment() for _ in range(2))
    assert first is not None and second is not None
    # Its data are missing on one of two nodes: it goes on elsewhere.
    assert failed.has_elsewhere(first.number, "a")
    failed.keep(first.number, "a", "no such directory\n")
    failed.failed(Failure(first.number, "a", "data", "no such directory", "failed", True))
    assert nodes.counted == ["a"] and engine.record(first.number).outcome == "running"
    assert "trial 0 on node a\nno such directory" in (tmp_path / "errors" / "0000.txt").read_text(encoding="utf-8")
    # One that has trained and then fails of itself ends by it.
    engine.report_epoch(second.number, epoch_result(1, 0.3))
    failed.trained(second.number, "b", lambda: frozenset({second.number}))
    assert nodes.trained == ["b"]
    failed.failed(Failure(second.number, "b", "error", "shapes differ", "failed", False))
    record = engine.record(second.number)
    assert record.outcome == "failed" and record.reason == "shapes differ"


def test_a_worker_that_dies_alone_is_tried_again_once(tmp_path: Path) -> None:
    engine, nodes = new_engine(tmp_path, trials=4), TwoNodes(frozenset({"a"}))
    failed = FailedTrials(engine, cast(Nodes, nodes), Faults(), tmp_path / "errors")
    first = engine.next_assignment()
    assert first is not None
    death = Failure(first.number, "a", "death", "its worker died", "crashed", False)
    failed.failed(death)
    assert engine.record(first.number).outcome == "running"
    failed.failed(death)
    assert engine.record(first.number).outcome == "crashed"


def test_memory_that_others_hold_is_the_nodes_and_a_gpu_that_is_too_small_ends_it_where_there_is_no_other(
    tmp_path: Path,
) -> None:
    engine, nodes = new_engine(tmp_path, trials=4), TwoNodes(types={"a": "T4", "b": "T4"})
    failed = FailedTrials(engine, cast(Nodes, nodes), Faults(), tmp_path / "errors")
    first, second = (engine.next_assignment() for _ in range(2))
    assert first is not None and second is not None
    for number in (first.number, second.number):
        failed.failed(Failure(number, "a", "memory", "its worker was killed", "oom", False))
        assert engine.record(number).outcome == "running"
    assert nodes.counted == ["a", "a"]
    failed.does_not_fit(first.number, "b", "the GPU's memory does not suffice")
    assert engine.record(first.number).outcome == "oom"
    assert engine.record(first.number).reason == "the GPU's memory does not suffice"


def test_a_trial_that_one_type_of_gpu_cannot_hold_goes_on_with_another(tmp_path: Path) -> None:
    nodes = TwoNodes(frozenset("abc"), types={"a": "T4", "b": "T4", "c": "A100"})
    engine, faults = new_engine(tmp_path, trials=4), Faults()
    failed = FailedTrials(engine, cast(Nodes, nodes), faults, tmp_path / "errors")
    first = engine.next_assignment()
    assert first is not None
    failed.does_not_fit(first.number, "a", "the GPU's memory does not suffice")
    assert engine.record(first.number).outcome == "running" and nodes.counted == []
    assert [node for node in "abc" if faults.may_run(first.number, node)] == ["c"]
    assert engine.next_assignment() == first
    failed.does_not_fit(first.number, "c", "the GPU's memory does not suffice")
    assert engine.record(first.number).outcome == "oom"


def test_what_was_said_of_a_failure_makes_no_directory_of_a_search_anew(tmp_path: Path) -> None:
    """Workers look for it, and it would be on this machine's own disk."""
    engine, nodes = new_engine(tmp_path, trials=4), TwoNodes()
    gone = tmp_path / "gone"
    FailedTrials(engine, cast(Nodes, nodes), Faults(), gone / "errors").keep(0, "a", "the directory is not there")
    assert not gone.exists()
