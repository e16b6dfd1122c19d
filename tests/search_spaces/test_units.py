"""Counts and durations for people, on both sides of every unit."""

import pytest

from search_spaces.units import count_of, counted, near_count, readable_count, readable_duration, readable_flops


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0"), (12, "12"), (999, "999"), (1000, "1 k"), (345_678, "346 k"), (1.9e9, "1.9 G"), (2.5e12, "2.5 T")],
)
def test_a_count_has_three_digits_and_the_unit_that_fits(number: float, text: str) -> None:
    assert readable_count(number) == text
    assert readable_flops(number) == (text if " " in text else f"{text} ") + "FLOPs"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"), (0.04, "0.0 s"), (4.21, "4.2 s"), (9.4, "9.4 s"), (9.6, "10 s"), (59.4, "59 s"),
        (59.6, "1 min 0 s"), (200, "3 min 20 s"), (3599.6, "1 h 0 min"), (7500, "2 h 5 min"),
    ],
)  # fmt: skip
def test_a_duration_is_short(seconds: float, text: str) -> None:
    assert readable_duration(seconds) == text


@pytest.mark.parametrize(("number", "text"), [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs"), (1200, "1,200 epochs")])
def test_one_is_not_many(number: int, text: str) -> None:
    assert counted(number, "epoch") == text


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("2m", "2M"), ("1.5g", "1.5G"), ("3t", "3T"), ("20 M", "20M"), ("2MB", "2M"), ("2 gflops", "2G"),
        (".5m", ".5M"), ("5million", "5M"), ("5mM", None), ("few", None), ("", None), ("m", None), ("-2m", None),
        ("2x", None), ("inf", None), ("1e400", None), ("2,000", None), ("\u0662m", None),
    ],
)  # fmt: skip
def test_the_nearest_count_is_a_count(text: str, near: str | None) -> None:
    assert near_count(text) == near
    assert near is None or count_of(near) > 0
