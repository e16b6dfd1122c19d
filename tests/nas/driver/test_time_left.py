"""The time left as the terminal tells it, of searches by the real engine and of none at all."""

import statistics
from pathlib import Path
from typing import Any

import pytest

from nas.driver.time_left import TimeLeftWatch, search_plan, time_left_text
from nas.records.time_left import TimeLeft
from tests.support.scripted_search import scripted_search
from tests.support.searches import DIGITS, search_settings, shipped_space, tiny_space, trial_record

SMALL: dict[str, Any] = {"trials": 40, "minimum_epochs": 2, "sampler": "random"}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        ((5.0, 20.0, 40.0), "less than a minute left"),
        ((0.0, 0.0, 0.0), "less than a minute left"),
        ((20.0, 50.0, 90.0), "20 to 90 s left"),
        ((115.0, 200.0, 300.0), "2 to 5 min left"),
        ((200.0, 220.0, 250.0), "about 4 min left"),
        ((5.0, 90.0, 300.0), "1 to 5 min left"),
        ((0.0, 500.0, 500.0), "at most 8 min left"),
        ((7000.0, 9000.0, 12000.0), "2 to 3.5 h left"),
        ((7000.0, 7600.0, 8000.0), "about 2 h left"),
        ((200_000.0, 250_000.0, 400_000.0), "2.5 to 4.5 days left"),
    ],
)
def test_an_estimate_is_told_as_exactly_as_it_is_known(seconds: tuple[float, float, float], text: str) -> None:
    assert time_left_text(TimeLeft(*seconds)) == text


def test_a_plan_holds_what_the_settings_ask_for() -> None:
    settings = search_settings(trials=100, minimum_epochs=1, epochs=70, time_budget="2m", confirm_front=3, stagnation=9)
    plan = search_plan(settings, 9, tiny_space(), DIGITS, 3)
    # There are but 16 architectures.
    assert (plan.trials, plan.full_epochs, plan.rungs, plan.slots) == (16, 9, (1, 3), 3)
    assert (plan.most_epochs, plan.time_budget_seconds, plan.confirm_front) == (70, 120.0, 3)
    assert plan.may_stagnate and plan.by_front
    cheap = max(1, statistics.median(plan.typical_flops))
    limited = search_plan(search_settings(scheduler="none", max_flops=cheap), 9, tiny_space(), DIGITS, 3)
    assert limited.rungs == () and not limited.by_front and max(limited.typical_flops) <= cheap


@pytest.mark.parametrize("scheduler", ["pareto", "asha", "none"])
def test_from_a_third_on_the_estimate_is_near_the_truth(scheduler: str, tmp_path: Path) -> None:
    settings: dict[str, Any] = SMALL | {"scheduler": scheduler}
    states = scripted_search(tmp_path / "ledger.db", slots=2, epochs=9, **settings)
    end = states[-1][0]
    watch = TimeLeftWatch(search_plan(search_settings(**settings), 9, shipped_space(), DIGITS, 2))
    errors = []
    for seconds, records in states[:-1:3]:
        left = watch.look(records, seconds)
        if seconds >= end / 3:
            assert left is not None
            errors.append(abs(left.seconds - (end - seconds)) / (end - seconds))
    assert statistics.median(errors) < 0.35


def test_while_nothing_happens_the_time_left_runs_down(tmp_path: Path) -> None:
    settings: dict[str, Any] = SMALL | {"trials": 16}
    states = scripted_search(tmp_path / "ledger.db", slots=2, epochs=9, **settings)
    watch = TimeLeftWatch(search_plan(search_settings(**settings), 9, shipped_space(), DIGITS, 2))
    middle = states[: len(states) // 2]
    for seconds, records in middle:
        left = watch.look(records, seconds)
    assert left is not None
    seconds, records = middle[-1]
    told = [watch.look(records, seconds + wait) for wait in (1.0, 2.0, 3.0)]
    assert [one.seconds for one in told if one] == pytest.approx([left.seconds - wait for wait in (1.0, 2.0, 3.0)])
    # One that has run out was wrong, and is not told.
    assert watch.look(records, seconds + 10_000.0) is None


def test_what_an_earlier_run_trained_is_not_this_runs_pace() -> None:
    """Two hours of epochs are in the ledger when the search is resumed; they say how long an epoch is, not when."""
    old = [trial_record(number, (0.5,) * 9, decided_epoch=9) for number in range(6)]
    watch = TimeLeftWatch(search_plan(search_settings(scheduler="none"), 9, shipped_space(), DIGITS, 1))
    assert watch.look(old, 0.0) is None and watch.look(old, 100.0) is None
    for epochs in range(1, 6):
        running = trial_record(6, (0.5,) * epochs, outcome="running")
        left = watch.look([*old, running], 100.0 + 2.5 * epochs)
    # Of 2 s each, and half a second between: 4 of this trial and 9 of the last.
    assert left is not None and left.seconds == pytest.approx(12.5 * 2.5, rel=0.2)
