import random
from dataclasses import replace

import pytest

from nas.records.picks import PICKS
from nas.records.selection import pick
from nas.records.trial import TrialRecord
from search_spaces.errors import UserError
from tests.support.bundles import inference_cost
from tests.support.searches import trial_record

RECORDS = [
    trial_record(0, (0.5,), flops=1_000, params=10),
    trial_record(1, (0.88,), flops=10_000, params=30, inference=inference_cost(latency_ms=2.0)),
    trial_record(2, (0.90,), flops=1_000_000, params=20, inference=inference_cost(latency_ms=3.0)),
    trial_record(3, (0.4,), flops=500_000, params=1),
    trial_record(4, (0.99,), flops=10, params=1, outcome="stopped"),
    trial_record(5, (0.99,), flops=10, params=1, outcome="failed"),
    trial_record(6, (), flops=10, params=1, outcome="stopped"),
]


@pytest.mark.parametrize(
    ("choice", "number"),
    [
        ("knee", 1), ("accuracy", 2), ("max-flops=1e6", 2),
        ("max-flops=1M", 2), ("max-flops=10k", 1), ("max-flops=999999", 1), ("max-flops=1000", 0),
        ("max-params=30", 2), ("max-params=19", 0), ("max-latency=3", 2), ("max-latency=2.9", 1),
        ("trial=3", 3), ("trial=4", 4),
        ("within=1%", 2), ("within=1.9%", 2), ("within=2%", 1), ("within=2", 1), ("within=0", 2), ("within=100%", 0),
    ],
)  # fmt: skip
def test_picks(choice: str, number: int) -> None:
    assert pick(RECORDS, choice).record.number == number
    assert pick(RECORDS[::-1], choice).record.number == number


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("kne", "Did you mean 'knee'"),
        ("max-latnecy=3", "Did you mean 'max-latency=MS'"),
        ("max-flop=3", "Did you mean 'max-flops=X'"),
        ("trail=3", "Did you mean 'trial=N'"),
        ("max-flops=10", r"the nearest is trial 0 with 1000 \(1 kFLOPs\)"),
        ("max-params=9", "the nearest is trial 0 with 10 parameters"),
        ("max-latency=1", "the nearest is trial 1 with 2 ms"),
        ("max-memory=1", r"the nearest is trial \d with \S+ MB"),
        ("max-memory=-1", "expected MB of peak memory, as in max-memory=200"),
        ("max-flops=few", "expected a number of FLOPs"),
        ("max-flops", "expected a number of FLOPs"),
        ("max-params=nan", "expected a number of parameters"),
        ("max-latency=-1", "expected milliseconds"),
        *[
            (f"{kind}={text}", rf"--pick {kind}=\S+: expected .*, as in {kind}=\d+M?\.$")
            for kind in ("max-flops", "max-params", "max-memory", "max-latency")
            for text in ("inf", "-inf", "1e400", "nan", "0", "-5", "-5M", "5x", "M")
        ],
        ("max-flops=20m", r"as in max-flops=2M\. Did you mean 'max-flops=20M'\?$"),
        ("max-flops=1.5gflops", r"Did you mean 'max-flops=1\.5G'\?$"),
        ("max-params=2 MB", r"Did you mean 'max-params=2M'\?$"),
        ("max-memory=200MB", r"Did you mean 'max-memory=200'\?$"),
        ("max-latency=1.5 ms", r"Did you mean 'max-latency=1\.5'\?$"),
        ("within=-1%", "expected points of accuracy from 0 to 100, as in within=1%"),
        ("within=few", "expected points of accuracy"),
        ("within", "expected points of accuracy"),
        ("withn=1%", "Did you mean 'within=P%'"),
        ("trial=9", "expected a number from 0 to 6"),
        ("trial=5", "that trial is failed, expected one that was finished or stopped"),
        ("trial=6", "that trial is stopped before its first epoch, expected one that was finished or stopped"),
        ("trial=", "there is no such trial"),
        ("trial", "unknown --pick"),
        ("knee=3", "unknown --pick"),
        ("", "unknown --pick"),
    ],
)
def test_mistakes(choice: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        pick(RECORDS, choice)
    assert "\n" not in str(caught.value)


def test_a_front_that_nobody_measured_has_no_latency_to_limit() -> None:
    with pytest.raises(UserError, match="has been measured"):
        pick([RECORDS[0], RECORDS[3]], "max-latency=100")


def test_no_front_is_said() -> None:
    for choice in ("knee", "accuracy", "within=1%", "max-flops=1", "max-params=1", "max-latency=1"):
        with pytest.raises(UserError, match="no front to pick from"):
            pick(RECORDS[4:], choice)


def random_records(rng: random.Random) -> list[TrialRecord]:
    """Few different values, so that ties of every kind are common."""
    records = [
        trial_record(
            number,
            (rng.choice((0.5, 0.6, 0.7, 0.8)),),
            flops=rng.choice((100, 200, 300, 400)),
            params=rng.choice((1, 2, 3)),
            outcome=rng.choice(("finished", "finished", "finished", "stopped", "failed")),
        )
        for number in range(rng.randrange(1, 12))
    ]
    return [
        replace(record, inference=inference_cost(latency_ms=rng.choice((1.0, 2.0))))
        if rng.random() < 0.6 else record
        for record in records
    ]  # fmt: skip


def brute_force(records: list[TrialRecord], kind: str, limit: float) -> TrialRecord | None:
    """Compares every two trials, first for the front and then among those within the limit."""
    candidates = [record for record in records if record.outcome == "finished"]
    front = [
        one for one in candidates
        if not any(
            other.point[0] >= one.point[0] and other.flops <= one.flops and other.point != one.point
            for other in candidates
        )
    ]  # fmt: skip
    best = None
    for record in front:
        latency = record.inference.latency_ms if record.inference else float("inf")
        cost = {"max-flops": record.flops, "max-params": record.params, "max-latency": latency, "accuracy": 0}[kind]
        if cost > limit:
            continue
        if best is None or (record.point[0], -record.flops, -record.params, -record.number) > (
            best.point[0], -best.flops, -best.params, -best.number
        ):  # fmt: skip
            best = record
    return best


def test_picks_are_those_of_a_brute_force_over_random_fronts_with_ties() -> None:
    rng = random.Random(0)
    compared = 0
    for _ in range(1500):
        records = random_records(rng)
        for kind, limits in (
            ("accuracy", (1.0,)),
            ("max-flops", (50, 200, 250)),
            ("max-params", (0.5, 1, 2)),
            ("max-latency", (1, 1.5, 2)),
        ):
            limit = rng.choice(limits)
            expected = brute_force(records, kind, limit)
            choice = kind if kind == "accuracy" else f"{kind}={limit}"
            shuffled = rng.sample(records, len(records))
            if expected is None:
                with pytest.raises(UserError):
                    pick(shuffled, choice)
            else:
                assert pick(shuffled, choice).record == expected
                compared += 1
    assert compared > 2000


def test_the_knee_does_not_depend_on_the_order_of_the_trials() -> None:
    rng = random.Random(1)
    for _ in range(300):
        records = [record for record in random_records(rng) if record.outcome == "finished"]
        if records:
            knees = {pick(rng.sample(records, len(records)), "knee").record.number for _ in range(5)}
            assert len(knees) == 1


def test_help_names_every_choice() -> None:
    assert {choice.partition("=")[0] for choice in PICKS} == {
        "knee", "accuracy", "within", "max-flops", "max-params", "max-memory", "max-latency", "trial",
    }  # fmt: skip
