"""Accuracy-only ASHA: the decisions of Ray's class driven by itself, and a plain percentile."""

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ray.tune.schedulers import AsyncHyperBandScheduler, TrialScheduler

from nas.strategy.halving import rung_epochs
from nas.workers.asha import AccuracyHalving

EPOCHS, FACTOR = 9, 3
Event = tuple[int, int, float]


def interleaved(seed: int, trials: int = 24) -> list[Event]:
    """(number, epoch, accuracy) of trials that train side by side, with ties."""
    rng = random.Random(seed)
    done = dict.fromkeys(range(trials), 0)
    events = []
    while done:
        number = rng.choice(list(done)[:6])
        done[number] += 1
        events.append((number, done[number], rng.randint(0, 20) / 20))
        if done[number] == EPOCHS:
            del done[number]
    return events


def decided(events: list[Event], rule: AccuracyHalving) -> list[tuple[int, int, bool]]:
    """What the rule says of each event of a trial that it has not stopped before."""
    stopped: set[int] = set()
    decisions = []
    for number, epoch, accuracy in events:
        if number not in stopped:
            continues = rule.should_continue(number, epoch, accuracy)
            decisions.append((number, epoch, continues))
            if not continues:
                stopped.add(number)
    return decisions


def halving(minimum: int = 1) -> AccuracyHalving:
    return AccuracyHalving(minimum_epochs=minimum, epochs=EPOCHS, reduction_factor=FACTOR)


@pytest.mark.parametrize("minimum", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_decisions_are_rays(seed: int, minimum: int) -> None:
    # Ray's class is given what it reads of a trial, and no controller.
    ray: Any = AsyncHyperBandScheduler(
        time_attr="t", metric="m", mode="max", max_t=EPOCHS, grace_period=minimum, reduction_factor=FACTOR
    )
    trials: dict[int, SimpleNamespace] = {}
    for number, epoch, continues in (
        (number, epoch, continues) for number, epoch, continues in decided(interleaved(seed), halving(minimum))
    ):
        if number not in trials:
            trials[number] = SimpleNamespace(trial_id=f"t{number}")
            ray.on_trial_add(None, trials[number])
        accuracy = next(a for n, e, a in interleaved(seed) if (n, e) == (number, epoch))
        assert (
            ray.on_trial_result(None, trials[number], {"t": epoch, "m": accuracy}) == TrialScheduler.STOP
        ) != continues


@pytest.mark.parametrize("minimum", [1, 2])
@pytest.mark.parametrize("seed", range(3))
def test_decisions_are_a_percentile_of_those_that_came_before(seed: int, minimum: int) -> None:
    accuracy_at = {(number, epoch): accuracy for number, epoch, accuracy in interleaved(seed)}
    rungs: dict[int, list[float]] = {epoch: [] for epoch in rung_epochs(minimum, EPOCHS, FACTOR)}
    stops = 0
    for number, epoch, continues in decided(interleaved(seed), halving(minimum)):
        accuracy = accuracy_at[number, epoch]
        expected = epoch < EPOCHS
        if epoch in rungs:
            if rungs[epoch] and accuracy < np.percentile(rungs[epoch], 100 * (1 - 1 / FACTOR)):
                expected = False
            rungs[epoch].append(accuracy)
        assert continues == expected, (number, epoch)
        stops += not continues and epoch < EPOCHS
    assert stops > 3


@pytest.mark.parametrize("cut", [1, 10, 50])
def test_rebuilt_from_the_history_it_decides_the_same(cut: int) -> None:
    events = interleaved(7)
    whole = decided(events, halving())
    accuracy_at = {(number, epoch): accuracy for number, epoch, accuracy in events}
    rebuilt = halving()
    # As a ledger gives it: trial by trial, not in the order in which it happened.
    for number, epoch, _ in sorted(whole[:cut]):
        rebuilt.should_continue(number, epoch, accuracy_at[number, epoch])
    assert [rebuilt.should_continue(n, e, accuracy_at[n, e]) for n, e, _ in whole[cut:]] == [
        goes for _, _, goes in whole[cut:]
    ]


def test_a_budget_below_the_first_rung_stops_nobody_early() -> None:
    rule = AccuracyHalving(minimum_epochs=5, epochs=2, reduction_factor=3)
    assert [rule.should_continue(number, 1, 0.1 * number) for number in range(5, 0, -1)] == [True] * 5
