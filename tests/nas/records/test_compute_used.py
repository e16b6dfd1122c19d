import random

import pytest

from nas.records.compute_used import compute_used, hypervolume_steps
from nas.records.front import finished
from nas.records.trial import TrialRecord
from tests.support.present import present
from tests.support.searches import trial_record

REFERENCE = (0.1, 10_000.0)


def random_trials(seed: int, count: int = 60) -> list[TrialRecord]:
    """Trials with ties in accuracy, in FLOPs and in both, some beyond the reference; they end in any order."""
    rng = random.Random(seed)
    return [
        trial_record(
            number,
            [0.3] * rng.randrange(1, 4) + [rng.randrange(21) / 20],
            flops=1000 * rng.randrange(1, 13),
            outcome=rng.choice(("finished", "finished", "stopped", "diverged")),
            finished_at=1000.0 + rng.random(),
        )
        for number in range(count)
    ]


def area_by_cells(records: list[TrialRecord]) -> float:
    """The dominated share of the box, counted over the cells of its 1/20 × 1,000 grid."""
    floor, ceiling = REFERENCE
    cells = sum(
        any(record.point[0] >= (row + 1) / 20 - 1e-9 and record.flops <= 1000 * column for record in records)
        for row in range(2, 20)
        for column in range(int(ceiling / 1000))
    )
    return cells * (1 / 20) * 1000 / ((1 - floor) * ceiling)


@pytest.mark.parametrize("seed", range(5))
def test_hypervolume_after_each_trial_is_the_dominated_area(seed: int) -> None:
    records = random_trials(seed)
    steps = hypervolume_steps(records, REFERENCE)
    arrived = sorted(records, key=lambda record: present(record.finished_at))
    assert [step.trials for step in steps] == list(range(1, len(records) + 1))
    for index, step in enumerate(steps):
        ended = arrived[: index + 1]
        assert step.hypervolume == pytest.approx(area_by_cells(finished(ended)))
        assert step.hours == pytest.approx(sum(2.0 * len(record.epochs) for record in ended) / 3600)


def test_trials_that_run_or_never_trained_are_no_step() -> None:
    records = [
        trial_record(0, (0.5,), outcome="running", finished_at=None),
        trial_record(1, (), outcome="rejected"),
        trial_record(2, (0.5,), flops=5000, finished_at=None),
    ]
    (step,) = hypervolume_steps(records, REFERENCE)
    assert step.trials == 1 and step.hypervolume == pytest.approx(0.4 * 5000 / 9000)


def test_what_stopping_saved() -> None:
    records = [
        trial_record(0, [0.5] * 9),
        trial_record(1, [0.5] * 3, outcome="stopped"),
        trial_record(2, [0.5], outcome="stopped"),
        trial_record(3, [0.5] * 2, outcome="diverged"),
        trial_record(4, [0.5] * 4, outcome="running"),
        trial_record(5, (), outcome="rejected"),
    ]
    spent = compute_used(records, 9)
    assert (spent.stopped_trials, spent.epochs, spent.epochs_in_full) == (2, 19, 33)
    # Every epoch takes 2 s.
    assert spent.hours == pytest.approx(38 / 3600) and spent.hours_in_full == pytest.approx(66 / 3600)
    assert spent.epochs_saved == pytest.approx(14 / 33) and spent.hours_saved == pytest.approx(14 / 33)


def test_nothing_spent_saves_nothing() -> None:
    spent = compute_used([], 9)
    assert (spent.epochs, spent.epochs_saved, spent.hours_saved) == (0, 0.0, 0.0)
