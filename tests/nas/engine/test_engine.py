"""The search without Ray's workers, on real ledgers."""

from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

from nas.engine.engine import Engine
from nas.engine.start import start_engine
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.front import front_of
from nas.records.trial import TrialRecord, architectures_started
from nas.workers.asha import AccuracyHalving
from search_spaces.errors import UserError
from search_spaces.space import Space
from search_spaces.space_cost import flops_range
from tests.support.present import present
from tests.support.searches import (
    DIGITS,
    epoch_result,
    search_header,
    search_settings,
    shipped_space,
    tiny_space,
    unsynchronised_sqlite,
)

EPOCHS, RUNGS = 9, (1, 3)
# Of a full training, where what happens at rungs is not the question.
SHORT = 2


@pytest.fixture(scope="module", autouse=True)
def ledgers_that_need_not_survive_a_power_cut() -> Iterator[None]:
    with unsynchronised_sqlite():
        yield


def new_engine(
    path: Path, space: Space | None = None, name: str = "search", full: int = EPOCHS, **settings: object
) -> Engine:
    ledger = Ledger.create(ledger_url(path / f"{name}.db"), name, search_header(code_revision="with this"))
    return engine_on(ledger, space or shipped_space(), full, **settings)


def reopened(engine: Engine, path: Path, name: str = "search", **settings: object) -> Engine:
    ledger = Ledger.open(ledger_url(path / f"{name}.db"), name)
    return engine_on(ledger, engine.space, engine.epochs, **(engine.settings.to_json() | settings))


def engine_on(ledger: Ledger, space: Space, full: int, **settings: object) -> Engine:
    wanted = search_settings(**settings)
    rule = None
    if wanted.scheduler == "asha":
        rule = AccuracyHalving(
            minimum_epochs=wanted.minimum_epochs, epochs=full, reduction_factor=wanted.reduction_factor
        ).should_continue
    return start_engine(ledger, space, DIGITS, wanted, full, rule)


def accuracy_of(seed: int, epoch: int) -> float:
    return (seed % 997) / 997 * (0.5 + 0.5 * epoch / EPOCHS)


def run(
    engine: Engine, trials: int | None = None, accuracy: Callable[[int, int], float] = accuracy_of
) -> list[tuple[int, int]]:
    """Trains every assignment one after the other, with an accuracy that follows from its seed.

    Returns the number and the epochs recorded of each assignment. Given `trials`, it stops after so many.
    """
    assigned: list[tuple[int, int]] = []
    while trials is None or len(assigned) < trials:
        assignment = engine.next_assignment()
        if assignment is None:
            engine.conclude()
            break
        assigned.append((assignment.number, assignment.recorded_epochs))
        for epoch in range(assignment.recorded_epochs + 1, engine.epochs + 1):
            if not engine.report_epoch(assignment.number, epoch_result(epoch, accuracy(assignment.seed, epoch))):
                break
    return assigned


def run_side_by_side(engine: Engine, workers: int) -> list[tuple[int, int]]:
    """The same on several workers, an epoch of each in turn."""
    running: list[tuple[int, int, int]] = []
    assigned = []
    while True:
        while len(running) < workers and (assignment := engine.next_assignment()) is not None:
            assigned.append((assignment.number, assignment.recorded_epochs))
            running.append((assignment.number, assignment.seed, assignment.recorded_epochs + 1))
        if not running:
            return assigned
        number, seed, epoch = running.pop(0)
        if engine.report_epoch(number, epoch_result(epoch, accuracy_of(seed, epoch))):
            running.append((number, seed, epoch + 1))


def told(engine: Engine) -> list[tuple[object, ...]]:
    return [
        (r.architecture, r.seed, r.outcome, r.epochs, r.replicate, r.duplicate_of, r.reason) for r in engine.records
    ]


def epochs_spent(engine: Engine) -> int:
    return sum(len(record.epochs) for record in engine.records)


def test_anchors_come_first_and_are_trained_to_the_end(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=4)
    first, second = present(engine.next_assignment()), present(engine.next_assignment())
    assert [first.architecture, second.architecture] == list(engine.space.anchors())
    run(engine)
    for _ in range(6):
        assert engine.report_epoch(first.number, epoch_result(len(engine.records[0].epochs) + 1, 0.0))
    assert [record.anchor for record in engine.records[:3]] == [True, True, False]


def test_a_search_trains_as_many_distinct_architectures_as_asked(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=12, full=SHORT)
    run(engine)
    trained = [record for record in engine.records if record.trained]
    assert len(trained) == len({record.architecture.id for record in trained}) == 12
    assert {record.outcome for record in trained} <= {"finished", "stopped"}


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


@pytest.mark.parametrize("sampler", ["random", "ehvi"])
def test_a_small_space_is_exhausted_without_training_anything_twice(tmp_path: Path, sampler: str) -> None:
    engine = new_engine(tmp_path, tiny_space(), trials=100, full=1, scheduler="none", sampler=sampler)
    run(engine)
    trained = [record.architecture.id for record in engine.records if record.trained]
    assert len(trained) == len(set(trained)) == engine.space.size() == 16
    duplicates = [record for record in engine.records if record.outcome == "duplicate"]
    assert bool(duplicates) == (sampler == "random")
    for record in duplicates:
        original = engine.records[present(record.duplicate_of)]
        assert original.architecture == record.architecture and original.number < record.number and not record.epochs


@pytest.mark.parametrize("sampler", ["random", "ehvi"])
def test_the_flops_limit_holds_before_anything_is_trained(tmp_path: Path, sampler: str) -> None:
    space = shipped_space()
    low, high = flops_range(space, image_size=16, in_channels=1, classes=10)
    limit = low + 0.15 * (high - low)
    engine = new_engine(tmp_path, space, trials=10, max_flops=limit, sampler=sampler, full=1)
    run(engine)
    rejected = [record for record in engine.records if record.outcome == "rejected"]
    assert all(record.flops > limit and not record.epochs for record in rejected)
    assert bool(rejected) == (sampler == "random")
    trained = [record for record in engine.records if record.trained]
    assert len(trained) == 10 and all(record.flops <= limit for record in trained)


def test_a_limit_that_few_architectures_keep_is_no_obstacle(tmp_path: Path) -> None:
    space = shipped_space("resnet_blocks")
    low, _ = flops_range(space, image_size=16, in_channels=1, classes=10)
    engine = new_engine(tmp_path, space, trials=1, max_flops=1.02 * low, scheduler="none")
    run(engine)
    assert all(record.flops <= 1.02 * low for record in engine.records if record.trained)


def test_the_reference_is_what_the_user_wants_or_guessing_and_the_highest_cost(tmp_path: Path) -> None:
    space = tiny_space()
    low, high = flops_range(space, image_size=16, in_channels=1, classes=10)
    assert new_engine(tmp_path, space, "a").reference == (0.1, high)
    wanted = new_engine(tmp_path, space, "b", min_accuracy=0.7, max_flops=float(2 * low))
    assert wanted.reference == (0.7, 2.0 * low)
    assert new_engine(tmp_path, space, "c", min_accuracy=0.0).reference == (0.0, high)


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2", "ehvi"])
def test_the_same_seed_proposes_the_same(tmp_path: Path, sampler: str) -> None:
    engines = [
        new_engine(tmp_path, name=name, sampler=sampler, trials=10, seed=seed, full=1)
        for name, seed in (("a", 4), ("b", 4), ("c", 5))
    ]
    for engine in engines:
        run(engine)
    a, b, c = ([(r.architecture.id, r.seed, r.outcome) for r in engine.records] for engine in engines)
    assert a == b != c


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
    settings: dict[str, Any] = {"trials": 13, "scheduler": scheduler}
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


@pytest.mark.parametrize("sampler", ["random", "ehvi"])
def test_several_workers_train_different_architectures(tmp_path: Path, sampler: str) -> None:
    engine = new_engine(tmp_path, trials=12, sampler=sampler)
    run_side_by_side(engine, 4)
    assert engine.next_assignment() is None and engine.idle
    trained = [record.architecture.id for record in engine.records if record.trained]
    assert len(trained) == len(set(trained)) == 12


@pytest.mark.parametrize("limit", [9, 20, 61])
def test_no_more_epochs_are_trained_than_asked(tmp_path: Path, limit: int) -> None:
    engine = new_engine(tmp_path, trials=30, epochs=limit)
    run(engine)
    assert limit - EPOCHS < epochs_spent(engine) <= limit


def test_the_epochs_of_those_that_are_running_are_taken(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=30, epochs=30)
    assert [engine.next_assignment() is not None for _ in range(5)] == [True, True, True, False, False]
    assert not engine.idle


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


def test_what_a_diverged_trial_showed_changes_nothing(tmp_path: Path) -> None:
    """Its accuracies before the loss went to infinity are no numbers to reckon with."""
    proposals = []
    for name, accuracy in (("high", 0.99), ("low", 0.01)):
        engine = new_engine(tmp_path, name=name, trials=10, sampler="ehvi")
        run(engine, trials=5)
        assignment = present(engine.next_assignment())
        for epoch in (1, 2):
            engine.ledger.record_epoch(assignment.number, epoch_result(epoch, accuracy))
        engine.end(assignment.number, "diverged", "the loss is not finite in epoch 3")
        assert present(engine.next_assignment()).architecture != assignment.architecture
        run(engine)
        proposals.append([(r.architecture.id, r.outcome) for r in engine.records])
    assert proposals[0] == proposals[1]
    assert Counter(outcome for _, outcome in proposals[0])["diverged"] == 1


def test_a_trial_that_ends_badly_is_not_trained_again(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=3)
    assignment = present(engine.next_assignment())
    engine.end(assignment.number, "diverged", "the loss is not finite in epoch 1")
    run(engine)
    record = engine.records[assignment.number]
    assert (record.outcome, record.epochs, record.reason) == ("diverged", (), "the loss is not finite in epoch 1")
    assert sum(r.architecture == assignment.architecture for r in engine.records if r.trained) == 1
    assert reopened(engine, tmp_path).records == engine.records


def test_the_study_never_takes_an_early_value_for_a_final_one(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=12)
    run(engine)
    assert len({record.outcome for record in engine.records}) > 1
    study = optuna.load_study(study_name="search", storage=ledger_url(tmp_path / "search.db"))
    for trial, record in zip(study.trials, engine.records, strict=True):
        expected = {"finished": optuna.trial.TrialState.COMPLETE, "stopped": optuna.trial.TrialState.PRUNED}
        assert trial.state == expected.get(record.outcome, optuna.trial.TrialState.FAIL)
        assert trial.values == (list(record.point) if record.outcome == "finished" else None)


def test_results_that_come_twice_are_written_once(tmp_path: Path) -> None:
    engine = new_engine(tmp_path)
    number = present(engine.next_assignment()).number
    assert engine.report_epoch(number, epoch_result(1, 0.5))
    assert engine.report_epoch(number, epoch_result(1, 0.5))
    assert len(engine.records[number].epochs) == 1


def test_a_name_is_taken_once_and_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    new_engine(tmp_path)
    with pytest.raises(UserError, match="exists already: resume it with --resume search"):
        new_engine(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        Ledger.open(ledger_url(tmp_path / "search.db"), "other")
    (tmp_path / "damaged.db").write_bytes((tmp_path / "search.db").read_bytes()[:5000])
    with pytest.raises(UserError, match="the ledger of search 'search' cannot be read"):
        Ledger.open(ledger_url(tmp_path / "damaged.db"), "search")


def test_the_header_is_kept_as_it_was(tmp_path: Path) -> None:
    engine = new_engine(tmp_path)
    again = Ledger.open(ledger_url(tmp_path / "search.db"), "search")
    assert again.header == engine.ledger.header == search_header(code_revision="with this")
    assert again.search_id == engine.ledger.search_id
