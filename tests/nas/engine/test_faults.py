"""Whose fault a failure is: the trial's or its node's."""

from collections.abc import Sequence

import pytest

from nas.engine.faults import (
    FAILURES_UNTIL_HOPELESS,
    NODE_CAUSES,
    SURROUNDINGS,
    Cause,
    Failure,
    Faults,
    hopeless,
    verdict,
)
from nas.records.trial import Outcome, TrialRecord
from tests.support.searches import trial_record

BOTH = frozenset({"a", "b"})


def failure(number: int, node: str = "a", cause: Cause = "error", *, first_epoch: bool = True) -> Failure:
    return Failure(number, node, cause, "something", "failed", first_epoch)


@pytest.mark.parametrize("cause", NODE_CAUSES)
@pytest.mark.parametrize("first_epoch", [True, False])
def test_what_is_not_of_an_architecture_is_never_the_trials_at_once(cause: Cause, first_epoch: bool) -> None:
    assert verdict(failure(1, cause=cause, first_epoch=first_epoch), (), BOTH) == "node"
    last = "trial" if cause == "memory" else "open"
    assert verdict(failure(1, cause=cause, first_epoch=first_epoch), ("b",), BOTH) == last
    assert verdict(failure(1, cause=cause, first_epoch=first_epoch), (), {"a"}) == last


def test_an_error_after_an_epoch_on_the_node_is_the_trials() -> None:
    assert verdict(failure(1, first_epoch=False), (), BOTH) == "trial"
    assert verdict(failure(1), (), BOTH) == "node"
    assert verdict(failure(1), (), {"a"}) == "open" == verdict(failure(1), ("b",), BOTH)


def test_a_worker_that_dies_after_an_epoch_may_have_a_sick_node() -> None:
    assert verdict(failure(1, cause="death", first_epoch=False), (), BOTH) == "node"
    assert verdict(failure(1, cause="death", first_epoch=False), (), {"a"}) == "trial"
    assert verdict(failure(1, cause="death", first_epoch=False), ("b",), BOTH) == "trial"
    assert verdict(failure(1, cause="death"), (), {"a"}) == "open"


def test_a_node_with_nothing_else_to_do_takes_those_back_whose_workers_died_there() -> None:
    faults = Faults()
    faults.failed(failure(1, "a", "death"), BOTH)
    faults.failed(failure(2, "a"), BOTH)
    assert not faults.reopen("b") and faults.reopen("a")
    assert faults.may_run(1, "a") and not faults.may_run(2, "a") and not faults.reopen("a")
    # It counts on, so that a node on which everything dies is left out still.
    assert len(faults.in_a_row("a")) == 2


def test_an_error_on_two_nodes_that_train_others_is_the_trials_however_many_there_are() -> None:
    many = frozenset("abcdefgh")
    faults = Faults()
    for node in "ab":
        assert faults.failed(failure(1, node), many) == "node"
    assert faults.trained(2, "a", many, running={1}) == [] == faults.trained(2, "a", many)
    # It is being tried on a third one, and may train there.
    assert faults.trained(3, "b", many, running={1}) == []
    assert faults.failed(failure(1, "c"), many) == "trial" and faults.may_run(1, "c")
    # One that waits ends at once.
    for node in "ab":
        faults.failed(failure(4, node), many)
    assert faults.trained(5, "b", many) == [] and faults.trained(5, "a", many) == [failure(4, "a")]
    # What was found out is not held against what it trains later.
    faults.failed(failure(6, "a"), many)
    faults.trained(7, "a", many)
    faults.trained(6, "b", many)
    for node in "cd":
        assert faults.failed(failure(6, node), many) == "node"


def test_what_a_node_that_is_back_was_blamed_for_stands_no_more() -> None:
    many = frozenset("abc")
    faults = Faults()
    faults.failed(failure(1, "a", "memory"), many)
    faults.trained(2, "a", many)
    faults.node_is_back("a")
    assert faults.may_run(1, "a")
    faults.failed(failure(1, "b", "memory"), many)
    assert faults.trained(2, "b", many) == []


def test_what_is_too_large_for_one_type_of_gpu_waits_for_another() -> None:
    three = frozenset("abc")
    faults = Faults()
    assert faults.does_not_fit(1, "ab", three)
    assert [node for node in sorted(three) if faults.may_run(1, node)] == ["c"]
    assert not faults.has_elsewhere(1, "c", three) and faults.has_elsewhere(1, "a", three)
    # It is nobody's failure, and stands whatever is trained there.
    assert faults.in_a_row("a") == () and faults.trained(2, "a", three) == [] and not faults.may_run(1, "a")
    assert faults.trained(1, "c", three) == [] and not faults.may_run(1, "a")
    assert faults.failed(failure(1, "c", "data"), three) == "open"
    assert not faults.does_not_fit(1, "c", three)
    # With the only node gone that could hold it, it is tried once more on those there are.
    faults.stuck(anything_trained=True)
    assert faults.may_run(1, "a") and not faults.does_not_fit(1, "ab", "ab")


def test_an_error_on_every_node_is_the_trials_once_one_of_them_trains_another() -> None:
    faults = Faults()
    assert faults.failed(failure(1, "a"), BOTH) == "node"
    assert not faults.may_run(1, "a") and faults.may_run(1, "b") and faults.may_run(2, "a")
    # Node b is still to try it.
    assert faults.trained(2, "a", BOTH) == []
    assert faults.failed(failure(1, "b"), BOTH) == "open"
    assert faults.trained(3, "b", BOTH, running={1}) == []
    assert faults.trained(3, "b", BOTH) == [failure(1, "b")]
    assert faults.may_run(1, "a") and faults.trained(4, "b", BOTH) == []


def test_an_error_that_another_node_does_not_have_was_the_nodes() -> None:
    faults = Faults()
    faults.failed(failure(1, "a"), BOTH)
    assert faults.trained(1, "b", BOTH) == []
    # However few nodes are left then: it has trained, and may be held at a rung.
    assert faults.trained(2, "a", {"a"}) == []
    assert faults.in_a_row("a") == ()


@pytest.mark.parametrize("cause", SURROUNDINGS)
def test_missing_data_are_nobodys_fault_when_the_node_trains_others(cause: Cause) -> None:
    faults = Faults()
    assert faults.failed(failure(1, cause=cause), {"a"}) == "open"
    assert not faults.may_run(1, "a")
    assert faults.trained(2, "a", {"a"}) == [] and faults.may_run(1, "a")


def test_failures_count_until_an_epoch_is_trained_or_the_node_has_passed_its_check() -> None:
    faults = Faults()
    for number in (1, 2):
        faults.failed(failure(number, cause="data"), BOTH)
    faults.failed(failure(3), BOTH)
    assert [one.number for one in faults.in_a_row("a")] == [1, 2, 3] and faults.in_a_row("b") == ()
    faults.node_is_back("a")
    assert faults.in_a_row("a") == () and faults.may_run(1, "a")
    # The check does not see what an error was.
    assert not faults.may_run(3, "a")
    faults.failed(failure(4), BOTH)
    faults.trained(5, "a", BOTH)
    assert faults.in_a_row("a") == ()
    # What is a trial's own fault says nothing of its node.
    faults.failed(failure(6, first_epoch=False), BOTH)
    assert faults.in_a_row("a") == ()


def test_where_nothing_else_runs_errors_stand_if_anything_was_ever_trained() -> None:
    for trained, own in ((True, [1]), (False, [])):
        faults = Faults()
        faults.failed(failure(1), {"a"})
        faults.failed(failure(2, cause="data"), {"a"})
        assert [one.number for one in faults.stuck(anything_trained=trained)] == own
        assert faults.may_run(1, "a") and faults.may_run(2, "a")


def of_outcomes(outcomes: Sequence[Outcome]) -> list[TrialRecord]:
    return [trial_record(number, (), outcome=outcome, reason="r") for number, outcome in enumerate(outcomes)]


def test_a_search_is_hopeless_when_many_fail_by_themselves_before_any_is_trained() -> None:
    enough: list[Outcome] = ["oom"] * FAILURES_UNTIL_HOPELESS
    assert hopeless(of_outcomes(enough[1:]), ()) is None
    assert hopeless(of_outcomes(enough), ()) == (
        "6 architectures have failed and none has trained an epoch; of 6 the reason is oom: r"
    )
    # An anchor that is too large is not everything.
    assert hopeless([*of_outcomes(enough), trial_record(10, (0.5,), outcome="running")], ()) is None
    # What was mended since counts no more.
    assert hopeless(of_outcomes(enough), (0,)) is None
