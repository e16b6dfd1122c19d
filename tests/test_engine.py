"""The search without Ray, on real ledgers."""

from pathlib import Path

import optuna
import pytest

from nas.engine import Engine
from nas.ledger import Ledger, ledger_url
from nas.records import TrialRecord
from nas.rungs import goes_on
from search_spaces.errors import UserError
from search_spaces.space import Space
from tests.search_fixtures import DIGITS, epoch_result, search_settings, shipped_space, tiny_space

EPOCHS = 9


def new_engine(path: Path, space: Space | None = None, name: str = "search", **settings: object) -> Engine:
    ledger = Ledger.create(ledger_url(path / f"{name}.db"), name, {"started": "with this"})
    return Engine(ledger, space or shipped_space(), DIGITS, search_settings(**settings), EPOCHS)


def reopened(engine: Engine, path: Path, name: str = "search") -> Engine:
    ledger = Ledger.open(ledger_url(path / f"{name}.db"), name)
    return Engine(ledger, engine.space, DIGITS, engine.settings, EPOCHS)


def accuracy_of(seed: int, epoch: int) -> float:
    return (seed % 997) / 997 * (0.5 + 0.5 * epoch / EPOCHS)


def run(engine: Engine, trials: int | None = None) -> None:
    """Trains every assignment one after the other, with an accuracy that follows from its seed."""
    while trials is None or trials > 0:
        assignment = engine.next_assignment()
        if assignment is None:
            return
        for epoch in range(assignment.recorded_epochs + 1, EPOCHS + 1):
            if not engine.report_epoch(assignment.number, epoch_result(epoch, accuracy_of(assignment.seed, epoch))):
                break
        trials = None if trials is None else trials - 1


def test_anchors_come_first_and_are_trained_to_the_end(tmp_path: Path) -> None:
    engine = new_engine(tmp_path)
    first, second = engine.next_assignment(), engine.next_assignment()
    assert [first.architecture, second.architecture] == list(engine.space.anchors())
    run(engine)
    for _ in range(6):
        assert engine.report_epoch(first.number, epoch_result(len(engine.records[0].epochs) + 1, 0.0))
    assert [record.anchor for record in engine.records[:3]] == [True, True, False]


def test_a_search_trains_as_many_distinct_architectures_as_asked(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=12)
    run(engine)
    trained = [record for record in engine.records if record.trained]
    assert len(trained) == len({record.architecture.id for record in trained}) == 12
    assert {record.outcome for record in trained} <= {"finished", "stopped"}


def test_halving_stops_trials_at_rungs_only(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=30)
    run(engine)
    lengths = {
        outcome: {len(r.epochs) for r in engine.records if r.outcome == outcome} for outcome in ("stopped", "finished")
    }
    assert lengths["stopped"] == {1, 3} and lengths["finished"] == {9}
    for record in engine.records:
        if record.anchor or not record.trained:
            continue
        stopped_at = [rung for rung in (1, 3) if len(record.epochs) >= rung and not passes(record, rung, engine)]
        assert stopped_at == ([len(record.epochs)] if record.outcome == "stopped" else [])
        assert record.reason == (f"rung of epoch {stopped_at[0]}" if stopped_at else None)


def passes(record: TrialRecord, rung: int, engine: Engine) -> bool:
    """Whether a trial goes on past a rung, judged by those that reached it before: here trials run one by one."""
    reached = [other for other in engine.records if len(other.epochs) >= rung and other.number <= record.number]
    *peers, point = [(other.epochs[rung - 1].val_accuracy, float(other.flops)) for other in reached]
    return goes_on(point, peers, 3)


def test_without_a_scheduler_every_trial_is_trained_to_the_end(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=6, scheduler="none")
    run(engine)
    assert [len(record.epochs) for record in engine.records if record.trained] == [EPOCHS] * 6


def test_a_small_space_is_exhausted_without_training_anything_twice(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, tiny_space(), trials=100, scheduler="none")
    run(engine)
    trained = [record.architecture.id for record in engine.records if record.trained]
    assert len(trained) == len(set(trained)) == engine.space.size() == 16
    duplicates = [record for record in engine.records if record.outcome == "duplicate"]
    assert duplicates
    for record in duplicates:
        original = engine.records[record.duplicate_of]
        assert original.architecture == record.architecture and original.number < record.number and not record.epochs


def test_the_flops_limit_holds_before_anything_is_trained(tmp_path: Path) -> None:
    space = shipped_space()
    low, high = space.flops_range(image_size=16, in_channels=1, classes=10)
    limit = low + 0.15 * (high - low)
    engine = new_engine(tmp_path, space, trials=12, max_flops=limit)
    run(engine)
    rejected = [record for record in engine.records if record.outcome == "rejected"]
    assert rejected and all(record.flops > limit and not record.epochs for record in rejected)
    trained = [record for record in engine.records if record.trained]
    assert len(trained) == 12 and all(record.flops <= limit for record in trained)


@pytest.mark.parametrize("sampler", ["random", "tpe", "nsga2"])
def test_the_same_seed_proposes_the_same(tmp_path: Path, sampler: str) -> None:
    engines = [
        new_engine(tmp_path, name=name, sampler=sampler, trials=16, seed=seed)
        for name, seed in (("a", 4), ("b", 4), ("c", 5))
    ]
    for engine in engines:
        run(engine)
    a, b, c = ([(r.architecture.id, r.seed, r.outcome) for r in engine.records] for engine in engines)
    assert a == b != c


@pytest.mark.parametrize("cut", [1, 4, 9])
def test_an_engine_on_a_reopened_ledger_goes_on_as_if_nothing_happened(tmp_path: Path, cut: int) -> None:
    whole = new_engine(tmp_path, name="whole", trials=12, sampler="tpe")
    run(whole)
    broken = new_engine(tmp_path, name="broken", trials=12, sampler="tpe")
    run(broken, trials=cut)
    assignment = broken.next_assignment()
    if assignment is not None:
        broken.report_epoch(assignment.number, epoch_result(1, accuracy_of(assignment.seed, 1)))
    run(reopened(broken, tmp_path, "broken"))
    final = reopened(broken, tmp_path, "broken")

    def told(engine: Engine) -> list:
        return [(r.architecture, r.seed, r.outcome, r.epochs, r.duplicate_of, r.reason) for r in engine.records]

    assert told(final) == told(whole)


def test_more_trials_extend_a_finished_search(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=3)
    run(engine)
    before = engine.records
    ledger = Ledger.open(ledger_url(tmp_path / "search.db"), "search")
    longer = Engine(ledger, engine.space, DIGITS, search_settings(trials=5), EPOCHS)
    run(longer)
    assert longer.records[: len(before)] == before
    assert sum(record.trained for record in longer.records) == 5


def test_a_trial_that_ends_badly_is_not_trained_again(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=3)
    assignment = engine.next_assignment()
    engine.end(assignment.number, "diverged", "the loss is not finite in epoch 1")
    run(engine)
    record = engine.records[assignment.number]
    assert (record.outcome, record.epochs, record.reason) == ("diverged", (), "the loss is not finite in epoch 1")
    assert sum(r.architecture == assignment.architecture for r in engine.records if r.trained) == 1
    assert reopened(engine, tmp_path).records == engine.records


def test_the_study_never_takes_an_early_value_for_a_final_one(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=20)
    run(engine)
    assert len({record.outcome for record in engine.records}) > 1
    study = optuna.load_study(study_name="search", storage=ledger_url(tmp_path / "search.db"))
    for trial, record in zip(study.trials, engine.records, strict=True):
        expected = {"finished": optuna.trial.TrialState.COMPLETE, "stopped": optuna.trial.TrialState.PRUNED}
        assert trial.state == expected.get(record.outcome, optuna.trial.TrialState.FAIL)
        assert trial.values == (list(record.point) if record.outcome == "finished" else None)


def test_results_that_come_twice_are_written_once(tmp_path: Path) -> None:
    engine = new_engine(tmp_path)
    number = engine.next_assignment().number
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
    assert again.header == engine.ledger.header == {"ledger_format": 1, "started": "with this"}
    assert again.search_id == engine.ledger.search_id
