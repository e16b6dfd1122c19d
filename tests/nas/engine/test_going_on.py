"""An engine on a ledger that was closed, cut off or extended goes on as if nothing had happened."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import EPOCHS, RUNGS, SHORT, accuracy_of, epochs_spent, new_engine, reopened, run, told
from tests.support.searches import epoch_result, tiny_space


@pytest.mark.parametrize(
    ("settings", "cut"),
    [
        ({"sampler": "ehvi"}, 1),
        ({"sampler": "ehvi", "epochs": 100}, 9),
        ({"sampler": "tpe", "scheduler": "asha"}, 5),
        ({"sampler": "random", "scheduler": "none", "replicates": 2, "trials": 5}, 6),
        ({"sampler": "nsga2", "confirm_front": 2, "trials": 8}, 8),
    ],
)
def test_an_engine_on_a_reopened_ledger_goes_on_as_if_nothing_happened(
    tmp_path: Path, settings: dict[str, Any], cut: int
) -> None:
    settings = {"trials": 12} | settings
    whole = new_engine(tmp_path, name="whole", **settings)
    run(whole)
    broken = new_engine(tmp_path, name="broken", **settings)
    assert len(run(broken, trials=cut)) == cut
    assignment = broken.next_assignment()
    if assignment is not None:
        epoch = assignment.recorded_epochs + 1
        broken.report_epoch(assignment.number, epoch_result(epoch, accuracy_of(assignment.seed, epoch)))
    run(reopened(broken, tmp_path, "broken"))
    final = reopened(broken, tmp_path, "broken")
    assert told(final) == told(whole)


@pytest.mark.parametrize("scheduler", ["pareto", "asha"])
def test_a_search_cut_off_before_a_decision_takes_it_as_it_would_have(tmp_path: Path, scheduler: str) -> None:
    """The driver dies each time when a result is written and what follows from it is not."""
    settings: dict[str, Any] = {"trials": 10, "scheduler": scheduler}
    whole = new_engine(tmp_path, name="whole", **settings)
    run(whole)
    assert {record.outcome for record in whole.records} == {"finished", "stopped"}
    broken = new_engine(tmp_path, name="broken", **settings)
    while (assignment := broken.next_assignment()) is not None:
        epoch = assignment.recorded_epochs + 1
        while epoch not in (*RUNGS, EPOCHS):
            assert broken.report_epoch(assignment.number, epoch_result(epoch, accuracy_of(assignment.seed, epoch)))
            epoch += 1
        broken.ledger.record_epoch(assignment.number, epoch_result(epoch, accuracy_of(assignment.seed, epoch)))
        broken = reopened(broken, tmp_path, "broken")
    broken.conclude()
    assert told(broken) == told(whole)


def test_a_search_cut_off_while_trials_are_held_holds_them(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=14, sampler="ehvi")
    for _ in range(12):
        engine.next_assignment()
    for number in range(12):
        engine.report_epoch(number, epoch_result(1, 0.9 - 0.07 * number))
    again = reopened(engine, tmp_path)
    assert again.records == engine.records
    assigned = run(again)
    held = [record.number for record in engine.records if record.outcome == "held"]
    assert held
    assert all(recorded == len(again.records[number].epochs[:recorded]) for number, recorded in assigned)
    for number in held:
        assert again.records[number].outcome in ("finished", "stopped")
        assert again.records[number].epochs[: len(engine.records[number].epochs)] == engine.records[number].epochs


def test_more_trials_or_epochs_extend_a_finished_search(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=3, epochs=2 * SHORT, full=SHORT)
    run(engine)
    before = engine.records
    assert epochs_spent(engine) == 2 * SHORT
    longer = reopened(engine, tmp_path, epochs=100)
    run(longer)
    assert longer.records[: len(before)] == before
    assert sum(record.trained for record in longer.records) == 3
    longest = reopened(engine, tmp_path, epochs=None, trials=5)
    run(longest)
    assert sum(record.trained for record in longest.records) == 5


def test_a_search_that_brings_nothing_more_ends_and_can_go_on(tmp_path: Path) -> None:
    def flat(seed: int, epoch: int) -> float:
        return 0.5

    engine = new_engine(tmp_path, tiny_space(), trials=16, scheduler="none", stagnation=3, full=1)
    run(engine, accuracy=flat)
    trained = len(engine.records)
    assert 4 <= trained < 12
    longer = reopened(engine, tmp_path, stagnation=None)
    run(longer, accuracy=flat)
    assert sum(record.trained for record in longer.records) == 16
