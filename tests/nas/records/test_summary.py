import json

import pytest

from nas.records.front import front_hypervolume
from nas.records.inheritance import Inheritance
from nas.records.summary import summarise
from tests.support.present import present
from tests.support.searches import trial_record

REFERENCE = (0.1, 10_000_000.0)


def test_gains_over_the_anchors() -> None:
    records = [
        trial_record(0, (0.5, 0.80), flops=4_000_000, anchor=True),
        trial_record(1, (0.5, 0.90), flops=8_000_000, anchor=True),
        trial_record(2, (0.5, 0.85), flops=3_000_000),
        trial_record(3, (0.5, 0.92), flops=6_000_000),
        trial_record(4, (0.7,), flops=1_000_000, outcome="stopped"),
        trial_record(5, (), outcome="duplicate", duplicate_of=2),
    ]
    summary = summarise(records, REFERENCE)
    assert [record.number for record in summary.front] == [2, 3]
    convolution, attention = summary.anchor_gains
    assert (convolution.cost_saved, convolution.accuracy_gained) == pytest.approx((0.25, 0.05))
    assert (attention.cost_saved, attention.accuracy_gained) == pytest.approx((0.25, 0.02))
    assert present(summary.best).number == 3 and present(summary.cheapest_near_best).number == 3
    assert summary.anchors_hypervolume == front_hypervolume(records[:2], REFERENCE) < summary.hypervolume
    assert (summary.architectures_trained, summary.epochs_trained) == (5, 9)
    assert summary.accelerator_hours == pytest.approx(9 * 2 / 3600)


def test_what_was_only_looked_at_is_told_from_what_was_trained() -> None:
    inheritance = Inheritance(0, 1)
    looked_at = [
        trial_record(number, accuracies, outcome="inherited", inheritance=inheritance)
        for number, accuracies in enumerate([(0.9,), (0.9,), (0.9,), ()], start=2)
    ]
    scratch = trial_record(6, (0.5, 0.6), outcome="stopped", architecture=looked_at[0].architecture)
    summary = summarise([trial_record(0, (0.5, 0.8), anchor=True), *looked_at, scratch], REFERENCE)
    # Of four one has been trained since, and one was never.
    assert (summary.architectures_trained, summary.only_inherited, summary.counts["inherited"]) == (4, 2, 4)
    assert [record.number for record in summary.front] == [0]
    assert [record.inherited_accuracy for record in looked_at] == [0.9, 0.9, 0.9, None]
    assert scratch.inherited_accuracy is None


def test_an_anchor_that_was_trained_several_times_counts_once_and_by_their_mean() -> None:
    """Its first training alone was better than anything on the front."""
    first = trial_record(0, (0.80,), flops=4_000_000, anchor=True)
    again = [trial_record(n, (0.60,), flops=4_000_000, architecture=first.architecture, replicate=n) for n in (1, 2)]
    summary = summarise([first, *again], REFERENCE, validation_images=100)
    (gain,) = summary.anchor_gains
    assert gain.val_accuracy == pytest.approx(0.2 / 3 + 0.6) and [record.number for record in summary.front] == [0]
    assert (gain.cost_saved, gain.accuracy_gained) == (0, 0)
    assert summary.anchors_hypervolume == summary.hypervolume


def test_cheapest_within_a_point_of_the_best() -> None:
    records = [trial_record(0, (0.985,), flops=1), trial_record(1, (0.99,), flops=2), trial_record(2, (0.9,), flops=0)]
    assert present(summarise(records, REFERENCE).cheapest_near_best).number == 0


def test_a_search_without_results_has_a_summary() -> None:
    summary = summarise([trial_record(0, (), outcome="running")], REFERENCE)
    assert summary.front == () and summary.best is None and summary.cheapest_near_best is None
    assert summary.hypervolume == 0
    assert json.loads(json.dumps(summary.to_json()))["counts"]["running"] == 1
