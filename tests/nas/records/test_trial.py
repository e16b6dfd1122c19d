import json
import statistics
from typing import Any

import pytest

from nas.records.front import finished, front_hypervolume, front_of, hypervolume_history
from nas.records.pareto import hypervolume
from nas.records.trial import OUTCOMES, Outcome, TrialRecord, architectures_started, counts
from search_spaces.units import readable_flops
from tests.support.searches import trial_record

REFERENCE = (0.1, 4e6)


def test_only_full_budget_results_make_the_front() -> None:
    records = [
        trial_record(0, (0.6, 0.7), flops=2_000_000),
        trial_record(1, (0.9,), flops=1_000_000, outcome="stopped"),
        trial_record(2, (0.9,), flops=1_000_000, outcome="running"),
        trial_record(3, (), flops=1, outcome="rejected"),
        trial_record(4, (0.2, 0.3), flops=1_000_000),
        trial_record(5, (0.6, 0.65), flops=3_000_000),
        trial_record(6, (0.95,), flops=1_000, outcome="held"),
    ]
    assert [record.number for record in front_of(records)] == [4, 0]
    expected = {"running": 1, "held": 1, "finished": 3, "stopped": 1, "rejected": 1}
    assert counts(records) == dict.fromkeys(OUTCOMES, 0) | expected


def test_the_point_is_that_of_the_last_epoch() -> None:
    assert trial_record(0, (0.9, 0.4), flops=7).point == (0.4, 7.0)


def test_hypervolume_is_a_share_of_the_box() -> None:
    records = [trial_record(0, (0.5,), flops=1_000_000), trial_record(1, (0.8,), flops=2_000_000)]
    expected = hypervolume([(0.5, 1e6), (0.8, 2e6)], REFERENCE) / (0.9 * 4e6)
    assert front_hypervolume(records, REFERENCE) == pytest.approx(expected)
    assert front_hypervolume([], REFERENCE) == 0
    assert front_hypervolume([trial_record(0, (1.0,), flops=1)], REFERENCE) == pytest.approx(1, abs=1e-6)


def test_history_follows_the_order_of_arrival_and_never_falls() -> None:
    records = [
        trial_record(0, (0.5,), flops=1_000_000, finished_at=30.0),
        trial_record(1, (0.8,), flops=2_000_000, finished_at=10.0),
        trial_record(2, (0.1,), flops=3_000_000, finished_at=20.0),
    ]
    history = hypervolume_history(records, REFERENCE)
    assert [moment for moment, _ in history] == [10.0, 20.0, 30.0]
    assert history[0][1] == history[1][1] < history[2][1] == front_hypervolume(records, REFERENCE)


@pytest.mark.parametrize(
    ("flops", "text"),
    [
        (12, "12 FLOPs"),
        (5_225_472, "5.23 MFLOPs"),
        (1.9e9, "1.9 GFLOPs"),
        (8_178_368_512, "8.18 GFLOPs"),
        (2e12, "2 TFLOPs"),
    ],
)
def test_readable_flops(flops: float, text: str) -> None:
    assert readable_flops(flops) == text


def test_a_name_says_the_architecture_and_its_flops() -> None:
    assert trial_record(42, flops=1_900_000_000).name.startswith(
        "0042 · R17 w40 · c C A7×2n (C,A7×2n) A7×2n · 1.9 GFLOPs"
    )


def test_json_is_plain() -> None:
    data = json.loads(json.dumps(trial_record(3, (0.5, 0.6)).to_json()))
    assert data["epochs"] == 2 and data["val_accuracy"] == 0.6 and data["outcome"] == "finished"


def repeated(number: int, accuracy: float, replicate: int, **changes: object) -> TrialRecord:
    """A training of the architecture of trial 0, or of another one's."""
    architecture = trial_record(0).architecture
    fields: dict[str, Any] = {"architecture": architecture, "replicate": replicate}
    return trial_record(number, (0.5, accuracy), **(fields | changes))


def test_several_trainings_are_one_architecture_of_their_mean() -> None:
    records = [
        repeated(3, 0.7, 1),
        trial_record(1, (0.4, 0.75), flops=2_000_000),
        repeated(0, 0.9, 0),
        repeated(5, 0.2, 2, outcome="stopped"),
        repeated(7, 0.86, 2),
    ]
    one, other = sorted(finished(records), key=lambda record: record.number)
    assert one.number == 0 and sorted(one.repeats) == [0.7, 0.86, 0.9] and other.repeats == ()
    accuracy, flops = one.point
    assert accuracy == pytest.approx(statistics.fmean([0.7, 0.86, 0.9])) and flops == 1_000_000.0
    assert [record.number for record in front_of(records)] == [0]
    assert front_hypervolume(records, REFERENCE) == pytest.approx(hypervolume([one.point], REFERENCE) / (0.9 * 4e6))


def test_a_lucky_training_leaves_the_front_when_it_is_repeated() -> None:
    records = [repeated(0, 0.99, 0), trial_record(1, (0.9,), flops=900_000)]
    assert [record.number for record in front_of(records)] == [1, 0]
    assert [record.number for record in front_of([*records, repeated(2, 0.5, 1)])] == [1]


def test_trainings_that_a_worker_was_given_are_counted() -> None:
    records = [repeated(0, 0.9, 0), repeated(1, 0.9, 1, outcome="running"), repeated(2, 0.9, 2, outcome="duplicate")]
    other = trial_record(3, (), outcome="held")
    assert architectures_started([*records, other]) == {records[0].architecture.id: 2, other.architecture.id: 1}


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_what_was_never_trained_is_rejected_or_a_duplicate(outcome: Outcome) -> None:
    assert trial_record(0, outcome=outcome).trained == (outcome not in ("rejected", "duplicate"))
