"""The search without Ray's workers, on real ledgers: what is trained, and how much."""

from pathlib import Path

import pytest

from search_spaces.space_cost import flops_range
from tests.support.engines import EPOCHS, SHORT, epochs_spent, new_engine, run, run_side_by_side
from tests.support.present import present
from tests.support.searches import epoch_result, shipped_space, tiny_space


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


@pytest.mark.parametrize("name", ["resnet_stages", pytest.param("resnet_blocks", marks=pytest.mark.slow)])
def test_a_limit_that_few_architectures_keep_is_no_obstacle(tmp_path: Path, name: str) -> None:
    space = shipped_space(name)
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


def test_room_is_wanted_for_what_runs_and_what_is_left_to_begin(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, full=SHORT, trials=5, sampler="random", scheduler="none")
    assert engine.most_at_a_time == 5
    run(engine, trials=2)
    assert engine.most_at_a_time == 3
    assert engine.next_assignment() is not None and engine.most_at_a_time == 3
    few = new_engine(tmp_path, name="few", full=SHORT, trials=5, epochs=3 * SHORT, sampler="random")
    assert few.most_at_a_time == 3
    virtual = new_engine(tmp_path, name="virtual", full=SHORT, trials=5, sampler="random", deterministic=True)
    assert virtual.most_at_a_time == virtual.ledger.header.slots < 5
