"""Where a trial is held, stopped and promoted: the engine without Ray's workers, on real ledgers."""

from pathlib import Path

import optuna
import pytest

from nas.ledger.database import ledger_url
from nas.workers.asha import AccuracyHalving
from tests.support.engines import EPOCHS, RUNGS, accuracy_of, epochs_spent, new_engine, reopened, run
from tests.support.present import present
from tests.support.searches import epoch_result


@pytest.mark.parametrize("scheduler", ["pareto", "asha"])
def test_trials_end_at_rungs_or_at_the_end(tmp_path: Path, scheduler: str) -> None:
    engine = new_engine(tmp_path, trials=14, scheduler=scheduler)
    run(engine)
    assert {record.outcome for record in engine.records if record.trained} == {"finished", "stopped"}
    for record in engine.records:
        if record.outcome == "finished":
            assert len(record.epochs) == EPOCHS and record.reason is None
        elif record.outcome == "stopped":
            assert len(record.epochs) in RUNGS and not record.anchor
            assert record.reason == f"rung of epoch {len(record.epochs)}"


def test_a_trial_below_others_is_held_until_the_search_is_concluded(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=14)
    while (assignment := engine.next_assignment()) is not None:
        epoch = assignment.recorded_epochs + 1
        while engine.report_epoch(assignment.number, epoch_result(epoch, accuracy_of(assignment.seed, epoch))):
            epoch += 1
    assert engine.idle
    held = [record for record in engine.records if record.outcome == "held"]
    assert held and all(len(record.epochs) in RUNGS and record.reason is None for record in held)
    study = optuna.load_study(study_name="search", storage=ledger_url(tmp_path / "search.db"))
    assert {study.trials[record.number].state for record in held} == {optuna.trial.TrialState.RUNNING}
    assert reopened(engine, tmp_path).records == engine.records
    engine.conclude()
    assert {engine.records[record.number].outcome for record in held} == {"stopped"}
    assert not any(record.outcome == "held" for record in reopened(engine, tmp_path).records)


def test_a_held_trial_is_promoted_where_it_was(tmp_path: Path) -> None:
    """With few epochs left nothing fresh can be trained to the end, and what is held can."""
    engine = new_engine(tmp_path, trials=12)
    started = [present(engine.next_assignment()) for _ in range(12)]
    going = [a.number for a in started if engine.report_epoch(a.number, epoch_result(1, 0.9 - 0.07 * a.number))]
    for number in going:
        engine.end(number, "failed", "its worker process died")
    held = [record.number for record in engine.records if record.outcome == "held"]
    limited = reopened(engine, tmp_path, epochs=epochs_spent(engine) + EPOCHS - 1)
    promoted = present(limited.next_assignment())
    assert promoted.number in held and promoted.recorded_epochs == 1
    assert promoted.architecture == started[promoted.number].architecture
    assert limited.records[promoted.number].outcome == "running"
    assert reopened(engine, tmp_path).records == limited.records
    for epoch in range(2, EPOCHS + 1):
        assert limited.report_epoch(promoted.number, epoch_result(epoch, 0.9)) == (epoch < EPOCHS)
    assert limited.records[promoted.number].outcome == "finished" and limited.next_assignment() is None


def test_accuracy_halving_decides_as_ray_does_but_for_the_anchors(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=14, scheduler="asha")
    run(engine)
    rule = AccuracyHalving(minimum_epochs=1, epochs=EPOCHS, reduction_factor=3)
    for record in engine.records:
        verdicts = [rule.should_continue(record.number, e.epoch, e.val_accuracy) for e in record.epochs]
        if not record.anchor:
            assert verdicts == [True] * (len(record.epochs) - 1) + [False]
    assert [len(record.epochs) for record in engine.records if record.anchor] == [EPOCHS] * 2


def test_without_a_scheduler_every_trial_is_trained_to_the_end(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=4, scheduler="none")
    run(engine)
    assert [len(record.epochs) for record in engine.records if record.trained] == [EPOCHS] * 4
