"""A space as the proposals see it: what is drawn or changed can be built, fits the limit and costs what it says."""

import random
from collections.abc import Callable

import pytest

from nas.records.cost_limits import CostLimits
from nas.strategy.candidates import Candidate, SpaceCandidates, choice_domains, choice_name
from search_spaces.space import Space, Value
from search_spaces.space_cost import flops_range, params_range
from tests.support.present import present
from tests.support.searches import DIGITS, shipped_space, tiny_space

SPACES: dict[str, Callable[[], Space]] = {
    "tiny": tiny_space,
    "stages": shipped_space,
    "blocks": lambda: shipped_space("resnet_blocks"),
}


def drawn(source: SpaceCandidates, count: int, seed: int = 0) -> list[Candidate]:
    rng = random.Random(seed)
    return [one for one in (source.sample(rng) for _ in range(count)) if one is not None]


def check(candidate: Candidate, space: Space, source: SpaceCandidates) -> None:
    architecture = source.architecture(candidate)
    cost = DIGITS.cost(architecture)
    assert (architecture.id, cost.flops, cost.params) == (candidate.key, candidate.flops, candidate.params)
    assert {choice_name(name): value for name, value in space.choices_of(architecture).items()} == candidate.choices
    assert source.candidate(architecture) == candidate


@pytest.mark.parametrize("make", SPACES.values(), ids=SPACES)
def test_what_is_drawn_or_changed_can_be_built(make: Callable[[], Space]) -> None:
    space = make()
    source = SpaceCandidates(space, DIGITS)
    rng = random.Random(1)
    for candidate in drawn(source, 25):
        check(candidate, space, source)
        mutant = source.mutate(candidate, rng)
        assert mutant is not None
        check(mutant, space, source)


def test_a_change_changes_little() -> None:
    """One choice or a few, where a random architecture shares a third of its choices by chance."""
    source = SpaceCandidates(shipped_space(), DIGITS)
    rng = random.Random(0)
    differing = []
    for candidate in drawn(source, 100):
        mutant = present(source.mutate(candidate, rng))
        names = set(candidate.choices) & set(mutant.choices)
        differing.append(sum(candidate.choices[name] != mutant.choices[name] for name in names) / len(names))
    assert 0 < sum(differing) / len(differing) < 0.2


def test_every_choice_is_changed_alone_sooner_or_later() -> None:
    source = SpaceCandidates(tiny_space(), DIGITS)
    rng = random.Random(0)
    start = drawn(source, 1)[0]
    operators = [f"stage{stage}.operator" for stage in range(1, 5)]
    changed = set()
    for _ in range(200):
        mutant = present(source.mutate(start, rng))
        changed.add(tuple(name for name in operators if mutant.choices[name] != start.choices[name]))
    assert {(name,) for name in operators} < changed and max(map(len, changed)) > 1


def test_a_choice_that_no_longer_applies_goes_and_one_that_does_comes() -> None:
    source = SpaceCandidates(shipped_space(), DIGITS)
    rng = random.Random(0)
    seen = set()
    for candidate in drawn(source, 200):
        mutant = present(source.mutate(candidate, rng))
        for stage in range(1, 5):
            operator = mutant.choices[f"stage{stage}.operator"]
            assert (f"stage{stage}.heads" in mutant.choices) == (operator == "attention")
            seen.add((candidate.choices[f"stage{stage}.operator"], operator))
    assert len(seen) == 4


@pytest.mark.parametrize("share", [0.05, 0.3])
def test_nothing_exceeds_the_limit(share: float) -> None:
    space = shipped_space()
    low, high = flops_range(space, image_size=16, in_channels=1, classes=10)
    limit = low + share * (high - low)
    source = SpaceCandidates(space, DIGITS, CostLimits(limit))
    rng = random.Random(0)
    parents = drawn(source, 300)
    mutants = [source.mutate(parent, rng) for parent in parents]
    assert len(parents) > 250 and None in mutants
    assert all(one.flops <= limit for one in [*parents, *mutants] if one is not None)


@pytest.mark.parametrize("with_flops", [False, True])
def test_nothing_exceeds_the_limit_on_parameters(with_flops: bool) -> None:
    space = shipped_space()
    size = {"image_size": 16, "in_channels": 1, "classes": 10}
    low, high = params_range(space, **size)
    fewest, most = flops_range(space, **size)
    limits = CostLimits(fewest + 0.1 * (most - fewest) if with_flops else None, low + 0.05 * (high - low))
    source = SpaceCandidates(space, DIGITS, limits)
    rng = random.Random(0)
    parents = drawn(source, 300)
    found = [*parents, *(source.mutate(parent, rng) for parent in parents)]
    assert len(parents) > 250 and len({one.key for one in parents}) > 150
    assert all(limits.allow(one.flops, one.params) for one in found if one is not None)


def test_limits_that_nothing_is_within_leave_nothing() -> None:
    assert not drawn(SpaceCandidates(shipped_space(), DIGITS, CostLimits(params=1.0)), 20)
    assert not drawn(SpaceCandidates(shipped_space(), DIGITS, CostLimits(1e9, 1.0)), 20)


def test_an_architecture_over_the_limit_is_still_a_candidate() -> None:
    space = shipped_space()
    anchor = space.anchors()[0]
    assert SpaceCandidates(space, DIGITS, CostLimits(1.0)).candidate(anchor).key == anchor.id


@pytest.mark.parametrize("make", SPACES.values(), ids=SPACES)
def test_domains_hold_every_value_that_is_drawn(make: Callable[[], Space]) -> None:
    source = SpaceCandidates(make(), DIGITS)
    seen: dict[str, set[Value]] = {}
    for candidate in drawn(source, 400):
        for name, value in candidate.choices.items():
            seen.setdefault(name, set()).add(value)
    for name, values in seen.items():
        assert values == set(source.domains.get(name, values)), name
        assert (len(values) > 1) == (name in source.domains)
    assert set(source.domains) <= set(seen)


def test_a_space_without_a_choice_has_a_domain() -> None:
    fixed = {"operator": ["convolution"], "spatial_extent": [3], "heads": [2], "positional_encoding": ["none"]}
    space = shipped_space(stem=["convolution"], depth=[14], width=[0.125], stages=fixed)
    assert choice_domains(space) == {"stem": ("convolution",)}
    assert SpaceCandidates(space, DIGITS).sample(random.Random(0)) is not None


def test_names_without_the_values_they_are_narrowed_to() -> None:
    assert choice_name("stage1.heads[1,2]") == "stage1.heads" == choice_name("stage1.heads")
