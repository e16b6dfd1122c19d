"""Searches whose new architectures are looked at first, from the weights of what is trained."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from nas.engine.engine import Engine
from nas.engine.inheritance import LEAST_SHARE, parent_of
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.front import finished, front_of
from nas.records.inheritance import Inheritance
from nas.records.seeds import derived_seed
from nas.records.trial import TrialRecord
from search_spaces.architecture import Architecture, Attention, Convolution, Operator
from search_spaces.inheritance import alike_share
from tests.support.engines import EPOCHS, new_engine, reopened, run, run_side_by_side, told
from tests.support.present import present
from tests.support.searches import DIGITS, epoch_result, tiny_space

INHERIT: dict[str, Any] = {"sampler": "ehvi", "inherit": True, "minimum_epochs": 4, "trials": 30}
LOOKED_AT = 2

C, A = Convolution(), Attention(3, 2, "relative")
STAGES: tuple[tuple[Operator, ...], ...] = ((C,), (C,), (C,), (C,))
ONE = Architecture("convolution", 8, STAGES)


def with_stages(*operators: Operator) -> Architecture:
    return dataclasses.replace(ONE, stages=tuple((operator,) for operator in operators))


def trained(number: int, architecture: Architecture, **changes: Any) -> TrialRecord:
    record = TrialRecord(number, architecture, 1, 1, 0, "finished", (epoch_result(1, 0.5),))
    return dataclasses.replace(record, **changes)


def chosen(architecture: Architecture, *records: TrialRecord, gone: tuple[int, ...] = ()) -> int | None:
    return parent_of(architecture, records, DIGITS.part_params(architecture), gone)


def test_the_parent_is_what_shares_most_and_the_first_of_several() -> None:
    child = with_stages(A, A, C, C)
    far, near, as_near = trained(0, ONE), trained(1, with_stages(A, C, C, C)), trained(2, with_stages(A, C, C, C))
    assert chosen(child, far) == 0
    assert chosen(child, far, near, as_near) == 1
    assert chosen(child, near, far, gone=(1,)) == 0
    assert chosen(child) is None


def test_only_what_was_trained_from_scratch_to_the_end_is_a_parent() -> None:
    no_parents = (
        trained(0, ONE, outcome="held"), trained(1, ONE, outcome="running"), trained(2, ONE, outcome="stopped"),
        trained(3, ONE, outcome="inherited", inheritance=Inheritance(0, 1)),
    )  # fmt: skip
    assert chosen(ONE, *no_parents) is None
    # A fork has the weights of the front that it took over.
    taken_over = trained(4, ONE, imported_from="OLD/3")
    assert chosen(ONE, *no_parents, taken_over) == 4 and chosen(ONE, *no_parents, taken_over, gone=(4,)) is None


def test_of_too_little_in_common_nothing_is_inherited() -> None:
    # The last stage has most of the parameters.
    child = with_stages(C, C, C, A)
    assert alike_share(child, ONE, DIGITS.part_params(child)) < LEAST_SHARE
    assert chosen(child, trained(0, ONE)) is None
    assert chosen(dataclasses.replace(ONE, base_channels=16), trained(0, ONE)) is None


def accuracy_of(engine: Engine, number: int, epoch: int) -> float:
    """By what the network costs and, of a training from scratch, its epochs: inherited weights do better early on."""
    record = engine.record(number)
    worth = 0.3 + 0.5 * (record.seed % 89) / 89
    return worth * (0.9 if record.inheritance is not None else 0.4 + 0.6 * epoch / EPOCHS)


def search(engine: Engine, events: int | None = None) -> None:
    """Trains one assignment after the other, `events` epochs or until there is none."""
    while (assignment := engine.next_assignment()) is not None:
        for epoch in range(assignment.recorded_epochs + 1, engine.epochs + 1):
            if events is not None:
                if events == 0:
                    return
                events -= 1
            accuracy = accuracy_of(engine, assignment.number, epoch)
            if not engine.report_epoch(assignment.number, epoch_result(epoch, accuracy)):
                break
    engine.conclude()


def test_what_is_looked_at_is_trained_from_scratch_or_not_and_compared_with_nothing(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, **INHERIT)
    search(engine)
    records = engine.records
    looked_at = [record for record in records if record.inheritance is not None]
    assert len(looked_at) > 3
    for record in looked_at:
        inheritance = present(record.inheritance)
        assert record.outcome == "inherited" and len(record.epochs) == inheritance.epochs == LOOKED_AT
        parent = records[inheritance.parent]
        assert parent.outcome == "finished" and parent.number < record.number
        params = DIGITS.part_params(record.architecture)
        best = max(
            alike_share(record.architecture, other.architecture, params)
            for other in records[: record.number]
            if other.outcome == "finished" and (other.finished_at or 0) <= (record.started_at or 0)
        )
        assert alike_share(record.architecture, parent.architecture, params) == best >= LEAST_SHARE
    # None is an official result.
    assert not {record.number for record in looked_at} & {record.number for record in finished(records)}
    again = [one for one in records if any(one.architecture == other.architecture for other in looked_at)]
    scratch = [record for record in again if record.inheritance is None]
    assert 0 < len(scratch) < len(looked_at)
    for record in scratch:
        # As it would have been without.
        assert record.seed == derived_seed("trial", engine.settings.seed, record.architecture.id)
        assert len(record.epochs) > LOOKED_AT
    # An architecture counts once, however it is trained.
    assert len({record.architecture for record in records}) == 30
    numbers = [record.architecture for record in records if record.inheritance is None]
    assert len(numbers) == len(set(numbers))


def test_without_inheritance_nothing_is_looked_at(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, **INHERIT | {"inherit": False})
    search(engine)
    assert all(record.inheritance is None for record in engine.records)


def test_as_long_as_nothing_is_trained_to_the_end_it_is_as_any_search(tmp_path: Path) -> None:
    plain = new_engine(tmp_path, name="plain", **INHERIT | {"inherit": False, "trials": 8})
    inheriting = new_engine(tmp_path, name="inheriting", **INHERIT | {"trials": 8})
    for engine in (plain, inheriting):
        while (assignment := engine.next_assignment()) is not None:
            for epoch in range(1, 3):
                engine.report_epoch(assignment.number, epoch_result(epoch, 0.1))
            engine.end(assignment.number, "failed", "no more")
    assert told(plain) == told(inheriting)


def test_on_several_workers_each_architecture_is_looked_at_once(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, **INHERIT)
    run_side_by_side(engine, 5)
    looked_at = [record.architecture for record in engine.records if record.inheritance is not None]
    assert looked_at and len(looked_at) == len(set(looked_at))
    assert not any(record.outcome == "running" for record in engine.records)


def test_a_search_that_is_cut_off_goes_on_with_what_it_looked_at(tmp_path: Path) -> None:
    whole = new_engine(tmp_path, name="whole", **INHERIT)
    search(whole)
    first = next(record for record in whole.records if record.inheritance is not None)
    before = sum(len(record.epochs) for record in whole.records[: first.number])
    for events in range(before, before + 5):
        name = f"cut{events}"
        engine = new_engine(tmp_path, name=name, **INHERIT)
        search(engine, events)
        engine.close()
        again = reopened(engine, tmp_path, name)
        search(again)
        assert told(again) == told(whole)


def test_what_a_ledger_holds_comes_back(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, **INHERIT)
    search(engine)
    read = Ledger.open(ledger_url(tmp_path / "search.db"), "search")
    assert read.records == engine.records
    assert any(record.inheritance is not None for record in read.records)


def test_what_is_gone_is_not_inherited_from(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, **INHERIT | {"trials": 12})
    search(engine)
    before = len(engine.records)
    gone = [record.number for record in engine.records if record.outcome == "finished"]
    settings = dataclasses.replace(engine.settings, trials=30)
    engine.close()
    again = Engine(engine.ledger, engine.space, DIGITS, settings, EPOCHS, without_weights=gone)
    again.take_up()
    search(again)
    parents = {record.inheritance.parent for record in again.records[before:] if record.inheritance is not None}
    assert parents and not parents & set(gone)


@pytest.mark.parametrize("deterministic", [False, True])
def test_weights_that_turn_out_to_be_gone_cost_no_architecture(tmp_path: Path, deterministic: bool) -> None:
    # All of so small a space is trained in the end.
    engine = new_engine(tmp_path, tiny_space(), **INHERIT | {"trials": 1000}, deterministic=deterministic)
    missed: dict[Architecture, int] = {}
    while (assignment := engine.next_assignment()) is not None:
        start = assignment.start
        if start is not None and not missed:
            missed[assignment.architecture] = start.parent
            engine.end(assignment.number, "inherited", "nothing was inherited: the checkpoints are gone")
            continue
        # Whoever begins later takes no more from there.
        assert start is None or start.parent not in missed.values()
        for epoch in range(assignment.recorded_epochs + 1, EPOCHS + 1):
            accuracy = accuracy_of(engine, assignment.number, epoch)
            if not engine.report_epoch(assignment.number, epoch_result(epoch, accuracy)):
                break
    (architecture,) = missed
    (without, *scratch) = [record for record in engine.records if record.architecture == architecture]
    assert (without.outcome, without.inherited_accuracy, len(scratch)) == ("inherited", None, 1)
    assert scratch[0].inheritance is None
    assert sum(record.outcome == "inherited" for record in engine.records) > 1


def test_a_look_that_fails_leaves_its_architecture_out(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, **INHERIT)
    failed: list[Architecture] = []
    while (assignment := engine.next_assignment()) is not None:
        if assignment.start is not None:
            failed.append(assignment.architecture)
            engine.end(assignment.number, "diverged", "its loss is no number")
            continue
        for epoch in range(assignment.recorded_epochs + 1, EPOCHS + 1):
            if not engine.report_epoch(assignment.number, epoch_result(epoch, 0.5)):
                break
    assert failed and len(failed) == len(set(failed))
    scratch = {record.architecture for record in engine.records if record.inheritance is None}
    assert not scratch & set(failed)


def test_the_worker_is_told_whose_weights_to_take(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, **INHERIT)
    while True:
        assignment = present(engine.next_assignment())
        if assignment.start is not None:
            break
        for epoch in range(assignment.recorded_epochs + 1, EPOCHS + 1):
            if not engine.report_epoch(assignment.number, epoch_result(epoch, 0.5)):
                break
    parent = engine.record(assignment.start.parent)
    assert assignment.start.parent_architecture == parent.architecture and assignment.start.epochs == LOOKED_AT


def test_members_of_the_front_are_confirmed_as_often_as_without(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, **INHERIT | {"confirm_front": 2, "replicates": 1})
    run(engine)
    for member in front_of(engine.records):
        assert len(member.repeats) == 2
