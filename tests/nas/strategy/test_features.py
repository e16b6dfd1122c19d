"""Architectures as numbers: distances against what was changed, whatever the units."""

import math
import random
from typing import Any

import numpy as np
import pytest

from nas.strategy.candidates import Candidate, SpaceCandidates
from nas.strategy.features import FeatureEncoder
from search_spaces.space import Value
from tests.support.searches import DIGITS, shipped_space

DOMAINS: dict[str, tuple[Value, ...]] = {
    "stem": ("plain", "rich"),
    "depth": (14, 26, 38, 50),
    "one.operator": ("a", "b", "c"),
    "two.operator": ("a", "b", "c"),
    "two.heads": (8, 4, 2),
}


def candidate(flops: float = 100.0, params: float = 10.0, **changes: Value | None) -> Candidate:
    names = {"one": "one.operator", "two": "two.operator", "heads": "two.heads"}
    choices: dict[str, Value] = {
        "stem": "plain",
        "depth": 26,
        "one.operator": "a",
        "two.operator": "b",
        "two.heads": 4,
    }
    for name, value in changes.items():
        if value is None:
            del choices[names.get(name, name)]
        else:
            choices[names.get(name, name)] = value
    return Candidate(repr(sorted(choices.items())), choices, flops, params)


SAMPLE = [candidate(10.0, 1.0), candidate(1000.0, 100.0)]


def distances(one: Candidate, other: Candidate, encoder: FeatureEncoder) -> np.ndarray:
    """The squared distance in each group."""
    rows = encoder.encode([one, other])
    squares = (rows[0] - rows[1]) ** 2
    return np.array([squares[encoder.groups == group].sum() for group in range(encoder.groups.max() + 1)])


def test_every_feature_has_a_group_and_every_group_a_feature() -> None:
    encoder = FeatureEncoder(DOMAINS, SAMPLE)
    assert encoder.encode(SAMPLE).shape == (2, len(encoder.groups))
    assert sorted(set(encoder.groups)) == list(range(encoder.groups.max() + 1))
    # five choices, two of them ordered, three shared operators, FLOPs and parameters
    assert encoder.groups.max() + 1 == 5 + 2 + 3 + 2


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"stem": "rich"}, 0),
        ({"depth": 50}, 1),
        ({"one": "c"}, 2),
        ({"two": "a"}, 3),
        ({"heads": 8}, 4),
        ({"heads": None}, 4),
    ],
)
def test_a_choice_changed_is_a_distance_of_1(changes: dict[str, Any], same: int) -> None:
    found = distances(candidate(), candidate(**changes), FeatureEncoder(DOMAINS, SAMPLE))
    assert found[:5] == pytest.approx(np.eye(5)[same])


def test_numbers_are_as_far_apart_as_their_ranks() -> None:
    encoder = FeatureEncoder(DOMAINS, SAMPLE)
    assert distances(candidate(depth=14), candidate(depth=50), encoder)[5] == pytest.approx(1)
    assert distances(candidate(depth=26), candidate(depth=38), encoder)[5] == pytest.approx(1 / 9)
    assert distances(candidate(heads=8), candidate(heads=2), encoder)[6] == pytest.approx(1)
    for heads in (8, 2):
        assert distances(candidate(heads=None), candidate(heads=heads), encoder)[6] == pytest.approx(0.25)


def test_alike_choices_count_how_many_take_a_value() -> None:
    encoder = FeatureEncoder(DOMAINS, SAMPLE)
    assert distances(candidate(one="a", two="b"), candidate(one="b", two="a"), encoder)[7:10] == pytest.approx([0] * 3)
    assert distances(candidate(one="a", two="b"), candidate(one="a", two="a"), encoder)[7:10] == pytest.approx(
        [0.25, 0.25, 0]
    )


def test_costs_are_on_a_log_scale_of_the_sample() -> None:
    encoder = FeatureEncoder(DOMAINS, SAMPLE)
    rows = encoder.encode([candidate(10.0, 100.0), candidate(100.0, 10.0), candidate(1000.0, 1.0)])
    assert rows[:, -2] == pytest.approx([0, 0.5, 1]) and rows[:, -1] == pytest.approx([1, 0.5, 0])


@pytest.mark.parametrize("unit", [2.0**30, 1e-9])
def test_units_do_not_matter(unit: float) -> None:
    def scaled(one: Candidate) -> Candidate:
        return Candidate(one.key, one.choices, one.flops * unit, one.params / unit)

    some = [candidate(flops, params) for flops, params in ((10.0, 3.0), (70.0, 90.0), (5000.0, 8.0))]
    here = FeatureEncoder(DOMAINS, some).encode(some)
    there = FeatureEncoder(DOMAINS, [scaled(one) for one in some]).encode([scaled(one) for one in some])
    assert there == pytest.approx(here)


def test_a_sample_of_one_cost_is_no_division_by_zero() -> None:
    rows = FeatureEncoder(DOMAINS, [candidate()]).encode([candidate()])
    assert np.isfinite(rows).all()


@pytest.mark.parametrize("arguments", [({}, SAMPLE), (DOMAINS, [])])
def test_nothing_to_encode_is_refused(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="needs choices and a sample"):
        FeatureEncoder(*arguments)


@pytest.mark.parametrize("name", ["resnet_stages", "resnet_blocks"])
def test_architectures_of_a_shipped_space_differ_where_their_choices_do(name: str) -> None:
    source = SpaceCandidates(shipped_space(name), DIGITS)
    rng = random.Random(0)
    some = [one for one in (source.sample(rng) for _ in range(12)) if one is not None]
    encoder = FeatureEncoder(source.domains, some)
    rows = encoder.encode(some)
    assert np.isfinite(rows).all() and rows.min() >= 0 and rows.max() <= 1
    for one in some[:4]:
        for other in some[:4]:
            differing = [choice for choice in source.domains if one.choices.get(choice) != other.choices.get(choice)]
            assert distances(one, other, encoder)[: len(source.domains)].sum() == pytest.approx(len(differing))
            log_ratio = math.log(one.flops / other.flops)
            span = math.log(max(c.flops for c in some) / min(c.flops for c in some))
            assert distances(one, other, encoder)[-2] == pytest.approx((log_ratio / span) ** 2)
