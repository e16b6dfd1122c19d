"""The time that a search will still take, on histories whose truth is known."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from nas.records.epoch_pace import WorkDone, epoch_pace
from nas.records.rest_of_search import SearchPlan
from nas.records.rung_survival import share_later, survival
from nas.records.time_left import TimeLeft, time_left
from nas.records.trial import Outcome, TrialRecord
from tests.support.searches import trial_record
from trainers.epoch_result import EpochResult

PLAN = SearchPlan(trials=20, full_epochs=9, rungs=(2, 6), slots=2, by_front=False)
NO_RUNGS = replace(PLAN, rungs=())


def trained(number: int, epochs: int, outcome: Outcome, seconds: float = 2.0, **changes: object) -> TrialRecord:
    """A trial of its own architecture whose epochs take so long; the last decision on it was after the last of them."""
    results = tuple(EpochResult(epoch, 1.0, 1.0, 0.5, 0.1, seconds) for epoch in range(1, epochs + 1))
    decided = epochs if outcome != "running" else 0
    fields: dict[str, Any] = {"epochs": results, "decided_epoch": decided} | changes
    return trial_record(number, (), outcome=outcome, **fields)


def work(records: Sequence[TrialRecord], between: float = 0.0) -> WorkDone:
    """What these trials were, all of it in this run, with so many seconds between any two epochs."""
    epochs = sum(len(record.epochs) for record in records)
    seconds = sum(result.epoch_seconds for record in records for result in record.epochs)
    return WorkDone(seconds + between * epochs, seconds, epochs)


def estimate(records: Sequence[TrialRecord], plan: SearchPlan, between: float = 0.0, elapsed: float = 50.0) -> TimeLeft:
    left = time_left(records, plan, work(records, between), elapsed)
    assert left is not None
    assert 0 <= left.least_seconds <= left.seconds <= left.most_seconds
    return left


def test_where_every_trial_trains_to_the_end_the_rest_is_counted() -> None:
    records = [trained(number, 9, "finished") for number in range(10)]
    # Ten more trainings of 9 epochs, each of 2 s and 0.5 s between, on two slots.
    left = estimate(records, NO_RUNGS, between=0.5)
    assert left.seconds == pytest.approx(10 * 9 * 2.5 / 2, rel=0.05)
    assert left.most_seconds < 1.1 * left.least_seconds


@pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
def test_the_share_that_passes_each_rung_is_learnt(share: float) -> None:
    rng = random.Random(0)
    plan = replace(PLAN, trials=400)

    def trial(number: int) -> TrialRecord:
        for rung in plan.rungs:
            if rng.random() >= share:
                return trained(number, rung, "stopped")
        return trained(number, 9, "finished")

    whole = [trial(number) for number in range(400)]
    left = estimate(whole[:200], plan)
    truth = sum(len(record.epochs) for record in whole[200:]) * 2.0 / 2
    assert left.seconds == pytest.approx(truth, rel=0.2)
    assert left.least_seconds < left.most_seconds


def test_running_trials_are_promised_to_their_end_where_they_are_sure_of_it() -> None:
    anchors = [trained(0, 9, "finished", anchor=True), trained(1, 5, "running", anchor=True)]
    plan = replace(PLAN, trials=2)
    # Four epochs, the first of which is half done.
    assert estimate(anchors, plan).seconds == pytest.approx(3.5 * 2.0, rel=0.05)


def test_what_waits_at_a_rung_is_not_promised() -> None:
    held = [trained(number, 2, "held") for number in range(18)]
    records = [trained(18, 9, "finished"), *held, trained(19, 8, "running")]
    left = estimate(records, replace(PLAN, by_front=True, trials=20))
    assert left.seconds == pytest.approx(0.5 * 2.0, rel=0.1)


def test_dear_architectures_take_longer_by_their_flops() -> None:
    cheap = [trained(number, 9, "finished", seconds=1.0, flops=1_000_000) for number in range(4)]
    dear = [trained(number, 9, "finished", seconds=3.0, flops=5_000_000) for number in range(4, 8)]
    pace = epoch_pace([*cheap, *dear], WorkDone(1000.0, 1000.0, 10_000))
    assert pace is not None
    assert pace.seconds_of(3_000_000) == pytest.approx(2.0, rel=0.01)
    # One that has trained is known by its own epochs.
    assert pace.epoch_seconds(trained(9, 1, "running", seconds=7.0, flops=1)) == pytest.approx(7.0, rel=0.01)


def test_falling_costs_and_ties_do_not_make_time_negative() -> None:
    for flops, seconds in (((1, 1, 1), (1.0, 2.0, 3.0)), ((3, 2, 1), (1.0, 2.0, 3.0)), ((1, 2, 3), (0.0, 0.0, 9.0))):
        records = [
            trained(number, 2, "finished", seconds=one, flops=cost)
            for number, (cost, one) in enumerate(zip(flops, seconds, strict=True))
        ]
        pace = epoch_pace(records, WorkDone())
        assert pace is not None and min(pace.fixed_seconds, pace.seconds_per_flop, pace.seconds_between) >= 0


def test_the_order_of_records_does_not_matter() -> None:
    records = [trained(number, 9 if number % 3 else 2, "finished" if number % 3 else "stopped") for number in range(12)]
    shuffled = random.Random(0).sample(records, len(records))
    assert estimate(shuffled, PLAN) == estimate(records, PLAN)


@pytest.mark.parametrize(
    "records",
    [
        [],
        [trained(0, 0, "running")],
        [trained(number, 0, "failed") for number in range(20)],
        [trained(number, 0, "rejected") for number in range(5)],
        [trained(0, 1, "running"), trained(1, 1, "running")],
    ],
    ids=["nothing", "no epoch", "all failed", "all rejected", "too few epochs"],
)
def test_nothing_is_said_before_it_means_something(records: list[TrialRecord]) -> None:
    assert time_left(records, PLAN, work(records), 50.0) is None
    # A time budget is known from the start.
    limited = time_left(records, replace(PLAN, time_budget_seconds=90.0), work(records), 50.0)
    assert limited == TimeLeft(0.0, 40.0, 40.0)


def test_all_trials_failing_leaves_little_to_train() -> None:
    records = [trained(number, 1, "diverged") for number in range(15)]
    # Five more, of an epoch each: the odd one may do better.
    assert estimate(records, PLAN).least_seconds < 10


def test_no_estimate_is_beyond_the_budgets() -> None:
    records = [trained(number, 9, "finished") for number in range(4)]
    limited = estimate(records, replace(NO_RUNGS, trials=1000, time_budget_seconds=100.0), elapsed=70.0)
    assert limited.most_seconds == 30.0
    over = estimate(records, replace(NO_RUNGS, trials=1000, time_budget_seconds=100.0), elapsed=170.0)
    assert over.most_seconds == 0.0
    # 36 of 60 epochs are trained, and two more trainings begin.
    by_epochs = estimate(records, replace(NO_RUNGS, trials=1000, most_epochs=60))
    assert by_epochs.most_seconds <= (60 - 36) * 2.2


def test_epochs_that_nothing_fresh_can_use_promote_what_is_held() -> None:
    records = [trained(0, 9, "finished"), trained(1, 9, "finished"), trained(2, 6, "held"), trained(3, 2, "held")]
    plan = replace(PLAN, by_front=True, most_epochs=26 + 3)
    assert estimate(records, plan).seconds == pytest.approx(3 * 2.0, rel=0.1)


def test_repeated_trainings_and_confirmations_count() -> None:
    records = [trained(number, 9, "finished", flops=1000 * (number + 1)) for number in range(4)]
    done = replace(NO_RUNGS, trials=4)
    assert estimate(records, done).most_seconds == 0.0
    repeated = estimate(records, replace(done, replicates=3))
    assert repeated.seconds == pytest.approx(4 * 2 * 9 * 2.0 / 2, rel=0.05)
    # Of four that are equally accurate the cheapest is the front.
    confirmed = estimate(records, replace(done, confirm_front=3))
    assert confirmed.seconds == pytest.approx(9 * 2.0, rel=0.05)


def test_a_search_that_may_stagnate_may_end_at_any_time() -> None:
    records = [trained(number, 9, "finished") for number in range(10)]
    assert estimate(records, replace(PLAN, may_stagnate=True)).least_seconds == 0.0


def test_what_passed_a_rung_is_told_from_what_was_held_there() -> None:
    records = [
        trained(0, 9, "finished", anchor=True),
        trained(1, 9, "finished"),
        trained(2, 2, "stopped"),
        trained(3, 6, "held"),
        trained(4, 9, "finished", stretch_epoch=2),
        trained(5, 3, "running", decided_epoch=2),
        trained(6, 1, "failed"),
    ]
    known = survival(records, (2, 6), 0.5, 0, False)
    first, second = known.going_on
    # Before fading: 1, 3 and 5 passed the first rung at once and 2 and 4 did not; 1 and 4 passed the second, 3 did not.
    assert 0.5 < first.mean < 0.65 and 0.5 < second.mean < 0.65
    assert known.epochs_before_failure == 1
    assert known.failing.mean == pytest.approx(1 / 7, abs=0.05)
    # The first trials pass whatever they are, and tell nothing.
    assert survival(records, (2, 6), 0.5, 7, False).going_on[0].mean == 0.5


def test_fewer_and_fewer_join_a_front() -> None:
    """Every second trial of the first 16 passed: of those behind them fewer will, by the root of their number."""
    records = [trained(number, 9 if number % 2 else 2, "finished" if number % 2 else "held") for number in range(16)]
    same = survival(records, (2, 6), 0.5, 0, False).going_on[0].mean
    fewer = survival(records, (2, 6), 0.5, 0, True).going_on[0].mean
    assert same == pytest.approx(0.5, abs=0.05)
    roots = [math.sqrt((number + 1) / 17) for number in range(16)]
    assert 0.5 * min(roots) < fewer < 0.5 * max(roots)
    # Four times as far, half as many.
    assert share_later(67, 16) == pytest.approx(0.5, rel=0.01)
    long = replace(PLAN, trials=200, typical_flops=(1000,))
    ends = [estimate(records, replace(long, by_front=by_front)).seconds for by_front in (False, True)]
    assert ends[1] < 0.8 * ends[0]
