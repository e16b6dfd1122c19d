import pytest

from nas.selection import pick
from search_spaces.errors import UserError
from tests.search_fixtures import trial_record

RECORDS = [
    trial_record(0, (0.5,), flops=1_000),
    trial_record(1, (0.88,), flops=10_000),
    trial_record(2, (0.90,), flops=1_000_000),
    trial_record(3, (0.4,), flops=500_000),
    trial_record(4, (0.99,), flops=10, outcome="stopped"),
]


@pytest.mark.parametrize(
    ("choice", "number"),
    [
        ("knee", 1), ("accuracy", 2), ("max-flops=1e6", 2), ("max-flops=999999", 1), ("max-flops=1000", 0),
        ("trial=3", 3),
    ],
)  # fmt: skip
def test_picks(choice: str, number: int) -> None:
    assert pick(RECORDS, choice).number == number
    assert pick(RECORDS[::-1], choice).number == number


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ("kne", "Did you mean 'knee'"),
        ("max-flops=10", "the cheapest architecture of the front has 1000"),
        ("max-flops=few", "expected a number of FLOPs"),
        ("trial=9", "expected a number from 0 to 4"),
        ("trial=4", "that trial is stopped"),
        ("trial=", "there is no such trial"),
        ("knee=3", "unknown --pick"),
    ],
)
def test_mistakes(choice: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        pick(RECORDS, choice)


def test_no_front_is_said() -> None:
    with pytest.raises(UserError, match="no front to pick from"):
        pick(RECORDS[4:], "knee")
