"""A limit on latency where latencies are only known to lie between two ends."""

import random
from dataclasses import replace

import pytest

from nas.records.latency_choice import choose_within
from nas.records.selection import pick
from nas.records.trial import TrialRecord
from search_spaces.errors import UserError
from tests.support.bundles import inference_cost
from tests.support.present import present
from tests.support.searches import trial_record


def member(number: int, accuracy: float, low: float, middle: float, high: float) -> TrialRecord:
    cost = inference_cost(latency_ms=middle, latency_low_ms=low, latency_high_ms=high)
    return trial_record(number, (accuracy,), flops=1000 * (number + 1), params=10, inference=cost)


def on_device(record: TrialRecord, device: str) -> TrialRecord:
    return replace(record, inference=replace(present(record.inference), device=device))


def chosen(records: list[TrialRecord], most_ms: float) -> tuple[int, str]:
    found = pick(records, f"max-latency={most_ms}")
    for seed in range(5):
        assert pick(random.Random(seed).sample(records, len(records)), f"max-latency={most_ms}") == found
    return found.record.number, found.remark or ""


STEADY = [member(0, 0.7, 1.0, 1.01, 1.02), member(1, 0.8, 2.0, 2.01, 2.02), member(2, 0.9, 4.0, 4.1, 4.2)]


def test_steady_measurements_need_no_remark() -> None:
    assert chosen(STEADY, 3.0) == (1, "") and chosen(STEADY, 4.2) == (2, "") and chosen(STEADY, 1.02) == (0, "")
    with pytest.raises(UserError, match=r"the nearest is trial 0 with 1\.01 ms"):
        pick(STEADY, "max-latency=0.5")


def test_one_that_is_only_perhaps_within_the_limit_is_passed_over_and_said() -> None:
    records = [*STEADY[:2], member(2, 0.9, 2.4, 2.8, 5.5)]
    number, remark = chosen(records, 3.0)
    assert number == 1 and "more accurate, and perhaps within it: trial 2 (90.00%, 2.4 to 5.5 ms)" in remark
    assert "told apart" not in remark
    assert chosen(records, 5.5) == (2, "")


def test_near_equal_ones_cannot_be_told_apart_and_the_rule_is_said() -> None:
    records = [member(number, 0.7 + 0.05 * number, 24.0 + number, 30.0, 55.0 - number) for number in range(4)]
    number, remark = chosen(records, 60.0)
    assert number == 3 and "cannot be told apart from 2, 1, 0" in remark
    assert "it was chosen as the most accurate that is surely within the limit" in remark


def test_where_none_is_surely_within_the_middle_decides_and_it_is_said() -> None:
    records = [member(0, 0.7, 2.0, 2.5, 6.0), member(1, 0.8, 2.5, 2.9, 7.0), member(2, 0.9, 2.8, 4.0, 9.0)]
    number, remark = chosen(records, 3.0)
    assert number == 1 and remark.startswith("none is surely within 3 ms: trial 1, measured at 2.5 to 7 ms")
    assert "trial 2 (90.00%, 2.8 to 9 ms)" in remark and "by its middle" in remark
    with pytest.raises(UserError, match="no architecture of the front is within that"):
        pick(records, "max-latency=2.2")


def test_what_was_measured_on_another_device_is_not_compared_and_that_is_said() -> None:
    records = [on_device(STEADY[0], "A100"), on_device(STEADY[1], "A100"), on_device(STEADY[2], "H100")]
    assert chosen(records, 5.0) == (1, "not compared, being measured on another device than A100: 2")


def test_ties_go_to_the_cheaper_one() -> None:
    assert chosen([member(0, 0.8, 1.0, 1.0, 1.0), member(1, 0.8, 1.0, 1.0, 1.0)], 1.0)[0] == 0


def test_nothing_measured_is_nothing_chosen() -> None:
    assert choose_within([], 1.0) is None
    assert choose_within([trial_record(0, (0.5,))], 1.0) is None


def test_it_is_the_most_accurate_that_a_naive_search_finds() -> None:
    rng = random.Random(0)
    for _ in range(500):
        members = []
        for number in range(rng.randrange(1, 7)):
            low, middle, high = sorted(rng.choice((1.0, 2.0, 3.0, 4.0, 5.0)) for _ in range(3))
            members.append(member(number, 0.9 - 0.1 * number, low, middle, high))
        most = rng.choice((1.0, 2.5, 3.0, 4.5))
        found = choose_within(members, most)
        costs = {record.number: record.inference for record in members}
        for allowed in ("latency_high_ms", "latency_ms"):
            right = [number for number, cost in costs.items() if getattr(cost, allowed) <= most]
            if right:
                assert found is not None and found.record.number == min(right)
                assert ("surely" in (found.remark or "")) or allowed == "latency_high_ms"
                break
        else:
            assert found is None
