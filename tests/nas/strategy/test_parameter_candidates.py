"""A user's parameters as candidates, against all combinations by hand."""

import itertools
import random
from collections.abc import Mapping
from typing import Any

import pytest

from nas.strategy.candidates import Candidate
from nas.strategy.parameter_candidates import ParameterCandidates
from nas.strategy.proposals import distinct

VALUES: dict[str, list[Any]] = {"kind": ["a", "b"], "wide": [True, False, None], "depth": [1, 2, 3]}


def cost(parameters: Mapping[str, Any]) -> float:
    return parameters["depth"] * (2 if parameters["wide"] else 1)


def combinations(most_cost: float, **fixed: Any) -> set[tuple[Any, ...]]:
    rows = itertools.product(*({**VALUES, **{name: [value] for name, value in fixed.items()}}).values())
    return {row for row in rows if cost(dict(zip(VALUES, row, strict=True))) <= most_cost}


def found(source: ParameterCandidates) -> dict[str, Candidate]:
    return distinct(source.sample, 1000, random.Random(0), ())


@pytest.mark.parametrize("fixed", [{}, {"kind": "b"}, {"wide": None, "depth": 2}, {"depth": 3, "wide": True}])
def test_all_that_may_be_tried_is_found_and_nothing_else(fixed: dict[str, Any]) -> None:
    source = ParameterCandidates(VALUES, cost, 4.0).holding(fixed)
    parameters = [source.parameters(candidate.choices) for candidate in found(source).values()]
    assert len(parameters) == len(combinations(4.0, **fixed))
    assert {tuple(one[name] for name in VALUES) for one in parameters} == combinations(4.0, **fixed)


def test_changes_stay_within_the_space_and_what_is_fixed() -> None:
    rng = random.Random(1)
    source = ParameterCandidates(VALUES, cost, 4.0).holding({"kind": "b"})
    parent = ParameterCandidates(VALUES, cost, 4.0).candidate({"kind": "a", "wide": False, "depth": 2})
    changed = [one for _ in range(200) if (one := source.mutate(parent, rng)) is not None]
    assert {one.choices["kind"] for one in changed} == {"b"}
    assert {tuple(source.parameters(one.choices)[name] for name in VALUES) for one in changed} == combinations(
        4.0, kind="b"
    )


def test_parents_of_another_space_are_drawn_anew_where_they_do_not_fit() -> None:
    source = ParameterCandidates(VALUES, cost, 100.0)
    parent = source.candidate({"kind": "gone", "wide": True, "depth": 77})
    assert source.parameters(parent.choices) == {"wide": True}
    changed = source.mutate(parent, random.Random(2))
    assert changed is not None and source.parameters(changed.choices).keys() == VALUES.keys()


def test_what_a_whole_holds_is_one_candidate() -> None:
    """Of two shapes of wholes, beside each other and within each other's values."""
    wholes: list[dict[str, Any]] = [{"kind": "a"}, {"kind": "b", "depth": 2}, {"kind": "b", "depth": 3}]
    source = ParameterCandidates(VALUES, lambda parameters: 1.0, 4.0).holding({}, wholes)
    parameters = [source.parameters(candidate.choices) for candidate in found(source).values()]
    for whole in wholes:
        assert [one for one in parameters if whole.items() <= one.items()] == [whole]
    every = [dict(zip(VALUES, row, strict=True)) for row in combinations(1e9)]
    others = [one for one in every if not any(whole.items() <= one.items() for whole in wholes)]
    assert len(parameters) == len(wholes) + len(others)
    parent, rng = source.candidate({"kind": "a"}), random.Random(3)
    changed = [one for _ in range(300) if (one := source.mutate(parent, rng)) is not None]
    assert {one.key for one in changed} <= found(source).keys()


def test_what_holds_something_closed_is_no_candidate() -> None:
    source = ParameterCandidates(VALUES, lambda parameters: 1.0, 4.0).holding(
        {}, closed=[{"kind": "a", "depth": 1}, {"wide": None}]
    )
    parameters = [source.parameters(candidate.choices) for candidate in found(source).values()]
    every = [dict(zip(VALUES, row, strict=True)) for row in combinations(1e9)]
    expected = [one for one in every if one["wide"] is not None and (one["kind"], one["depth"]) != ("a", 1)]
    assert sorted(map(repr, parameters)) == sorted(map(repr, expected))


def test_a_value_of_its_own_may_be_fixed() -> None:
    source = ParameterCandidates(VALUES, cost, 100.0).holding({"depth": 50})
    assert {(one.choices["depth"], one.flops) for one in found(source).values()} == {(50, 50.0), (50, 100.0)}


def test_choices_are_json_and_lead_back_to_the_parameters() -> None:
    source = ParameterCandidates(VALUES, cost, 4.0)
    for row in itertools.product(*VALUES.values()):
        parameters = dict(zip(VALUES, row, strict=True))
        choices = source.choices(parameters)
        assert all(type(value) in (str, int) for value in choices.values())
        assert source.parameters(choices) == parameters and source.key(parameters) == source.candidate(parameters).key
    assert len({source.key(dict(zip(VALUES, row, strict=True))) for row in itertools.product(*VALUES.values())}) == 18


@pytest.mark.parametrize("bad", [0.0, -1.0, float("inf"), float("nan")])
def test_a_cost_is_a_positive_number(bad: float) -> None:
    with pytest.raises(ValueError, match="expected a number above 0"):
        ParameterCandidates(VALUES, lambda parameters: bad, 4.0).sample(random.Random(0))
