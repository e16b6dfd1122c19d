"""Replicates, and the front that is confirmed at the end."""

from pathlib import Path

import pytest

from nas.records.front import front_of
from nas.records.trial import TrialRecord, architectures_started
from tests.support.engines import EPOCHS, SHORT, epochs_spent, new_engine, run
from tests.support.present import present
from tests.support.searches import epoch_result


@pytest.mark.parametrize("scheduler", ["pareto", "none"])
def test_replicates_train_what_finished_from_other_seeds(tmp_path: Path, scheduler: str) -> None:
    engine = new_engine(tmp_path, trials=5, replicates=3, scheduler=scheduler, full=SHORT)
    run(engine)
    finished = [record for record in engine.records if record.outcome == "finished"]
    trainings: dict[str, list[TrialRecord]] = {}
    for record in finished:
        trainings.setdefault(record.architecture.id, []).append(record)
    for several in trainings.values():
        assert [record.replicate for record in several] == [0, 1, 2]
        assert len({record.seed for record in several}) == 3
    assert len(architectures_started(engine.records)) == 5
    assert all(record.outcome == "finished" for record in engine.records if record.replicate)


def test_the_front_is_confirmed_at_the_end(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=8, confirm_front=3, full=SHORT)
    run(engine)
    started = architectures_started(engine.records)
    front = front_of(engine.records)
    assert front and all(started[member.architecture.id] == len(member.repeats) == 3 for member in front)
    assert len(started) == 8 and max(started.values()) == 3 and min(started.values()) == 1
    first_repeat = min(record.number for record in engine.records if record.replicate)
    assert sum(record.number < first_repeat and record.trained for record in engine.records) == 8


def test_a_confirmation_waits_for_what_may_still_change_the_front(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=2, confirm_front=2)
    first, second = present(engine.next_assignment()), present(engine.next_assignment())
    for epoch in range(1, EPOCHS + 1):
        engine.report_epoch(first.number, epoch_result(epoch, 0.5))
    assert engine.next_assignment() is None and not engine.idle
    for epoch in range(1, EPOCHS + 1):
        engine.report_epoch(second.number, epoch_result(epoch, 0.9 if epoch == EPOCHS else 0.1))
    repeated = present(engine.next_assignment())
    assert repeated.architecture in (first.architecture, second.architecture)
    assert repeated.seed not in (first.seed, second.seed)


@pytest.mark.parametrize("replicates", [1, 2])
def test_the_limit_on_epochs_holds_for_repeated_trainings_too(tmp_path: Path, replicates: int) -> None:
    engine = new_engine(tmp_path, trials=4, replicates=replicates, confirm_front=3, epochs=50)
    run(engine)
    assert epochs_spent(engine) <= 50
    assert any(record.replicate for record in engine.records)
