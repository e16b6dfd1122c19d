"""What is made of rounds of a measurement: by the quickest, in whatever order they came."""

import random
from collections.abc import Sequence

import pytest

from tests.support.bundles import inference_cost
from trainers.inference_cost import InferenceCost
from trainers.latency_rounds import AGREEING_ROUNDS, MOST_ROUNDS, combined, is_enough, is_median_known


def rounds(latencies: Sequence[float], **changes: object) -> list[InferenceCost]:
    return [inference_cost(latency_ms=latency, runs=10, rounds=1, **changes) for latency in latencies]


@pytest.mark.parametrize(
    ("latencies", "enough"),
    [
        ([], False),
        ([2.0, 2.0], False),
        ([2.0, 2.0, 2.1], True),
        ([2.0, 2.0, 2.11], False),
        ([2.0, 9.0, 2.05, 40.0, 2.0], True),
        # Two bursts that agree, and a third one of another speed.
        ([4.0, 4.0, 4.0, 2.0], False),
        ([4.0, 4.0, 4.0, 2.0, 2.0, 2.0], True),
        ([1.2**place for place in range(MOST_ROUNDS - 1)], False),
        ([1.2**place for place in range(MOST_ROUNDS)], True),
    ],
)
def test_it_is_repeated_until_the_quickest_agree_or_there_are_too_many(latencies: list[float], enough: bool) -> None:
    for seed in range(5):
        shuffled = random.Random(seed).sample(rounds(latencies), len(latencies))
        assert is_enough(shuffled, is_late=False) == enough


def test_no_time_is_a_limit_only_once_there_are_as_many_as_have_to_agree() -> None:
    assert not is_enough(rounds([1.0, 9.0]), is_late=True)
    assert is_enough(rounds([1.0, 9.0, 20.0]), is_late=True)


def test_disturbed_rounds_do_not_count_where_the_others_agree() -> None:
    latencies = [55.0, 2.0, 24.0, 2.04, 2.02, 31.0]
    found = combined(rounds(latencies, peak_memory_mb=3.0))
    assert (found.latency_ms, found.latency_low_ms, found.latency_high_ms) == (2.02, 2.0, 2.04)
    assert (found.rounds, found.runs, found.peak_memory_mb) == (6, 60, 3.0)
    assert found.is_steady and found.readable_latency == "2.02"
    assert "median of the quickest rounds of 10 runs" in found.conditions
    for seed in range(5):
        assert combined(random.Random(seed).sample(rounds(latencies, peak_memory_mb=3.0), 6)) == found


@pytest.mark.parametrize(
    ("latencies", "expected"),
    [([24.0, 155.0, 30.0], "24–155"), ([24.0, 80.0, 55.0, 30.0, 31.0, 60.0, 41.0], "24–41")],
)
def test_what_never_agreed_has_a_range_up_to_its_middle_round(latencies: list[float], expected: str) -> None:
    found = combined(rounds(latencies))
    assert not found.is_steady and found.readable_latency == expected


def test_a_single_round_is_what_it_is() -> None:
    (one,) = rounds([3.0])
    assert combined([one]) == one
    assert "median of 10 runs" in one.conditions


def test_rounds_of_different_machines_are_not_mixed() -> None:
    quick, slow = rounds([1.0, 1.0], device="A quick one"), rounds([5.0, 5.0, 5.0], device="A slow one")
    assert not is_enough(quick + slow[:2], is_late=False) and is_enough(quick + slow, is_late=False)
    found = combined(quick + slow)
    assert (found.device, found.latency_ms, found.rounds) == ("A slow one", 5.0, AGREEING_ROUNDS)


def test_near_equal_networks_on_a_busy_machine_come_out_near_equal() -> None:
    rng = random.Random(0)
    for _ in range(50):
        measured = []
        for latency in (2.0, 2.0, 2.02, 2.04):
            found: list[InferenceCost] = []
            while not is_enough(found, is_late=False):
                # Half of all rounds are slowed by half as much again to eleven times.
                slowed = rng.uniform(1.5, 11.0) if rng.random() < 0.5 else 1.0
                found += rounds([latency * slowed * rng.uniform(1.0, 1.02)])
            measured.append(combined(found))
        assert all(cost.is_steady for cost in measured)
        assert max(cost.latency_ms for cost in measured) < 1.1 * min(cost.latency_ms for cost in measured)


def test_a_median_is_known_once_its_notch_is_narrow() -> None:
    assert is_median_known([3.5] * 30) and is_median_known([3.5] * 29 + [90.0])
    scattered = [3.0 + place % 10 / 5 for place in range(30)]
    assert not is_median_known(scattered) and is_median_known(scattered * 70)
