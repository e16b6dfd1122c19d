"""What to train next: on real spaces, large, small, limited and exhausted."""

import itertools
import math
import random

import pytest

from nas.records.cost_limits import CostLimits
from nas.records.seeds import derived_seed
from nas.strategy.candidates import Candidate, CandidateSource, SpaceCandidates
from nas.strategy.parameter_candidates import ParameterCandidates
from nas.strategy.posterior import Objective, Posterior, TrialView
from nas.strategy.proposals import POOL, Proposal, best_proposal, distinct, encoder_of, initial_design, radical_inverse
from search_spaces.space import Space
from search_spaces.space_cost import flops_range
from tests.support.present import present
from tests.support.searches import DIGITS, shipped_space, tiny_space


def source_of(space: Space, share: float | None = None) -> SpaceCandidates:
    """The candidates of a space, up to a share of its range of FLOPs."""
    low, high = flops_range(space, image_size=16, in_channels=1, classes=10)
    return SpaceCandidates(space, DIGITS, CostLimits(None if share is None else low + share * (high - low)))


def trained(source: SpaceCandidates, count: int, seed: int = 0) -> list[TrialView]:
    """Finished trials, more accurate the more FLOPs they have."""
    found = distinct(source.sample, count, random.Random(seed), ()).values()
    return [
        TrialView(number, candidate, (1 - math.exp(-0.15 * math.log(candidate.flops)),), "finished")
        for number, candidate in enumerate(found)
    ]


def proposed(source: SpaceCandidates, trials: list[TrialView], seed: int = 0) -> Proposal | None:
    reference = (0.5, 2 * max(trial.candidate.flops for trial in trials))
    posterior = Posterior(trials, encoder_of(source, 0), Objective(reference, 1, (), 1e-3), seed)
    return best_proposal(source, posterior, {trial.candidate.key for trial in trials}, seed)


def covered(source: CandidateSource, count: int, seed: int) -> list[Candidate]:
    known: dict[str, Candidate] = {}
    for index in range(count):
        proposal = initial_design(source, index, known, derived_seed("proposal", seed, index))
        assert proposal is not None and proposal.improvement is None and proposal.candidate.key not in known
        known[proposal.candidate.key] = proposal.candidate
    return list(known.values())


def test_the_radical_inverse_is_the_bits_reversed() -> None:
    for index in range(200):
        digits = f"{index:b}"[::-1]
        assert radical_inverse(index) == sum(int(digit) * 2.0 ** -(place + 1) for place, digit in enumerate(digits))
    assert [radical_inverse(index) for index in (1, 2, 3, 4)] == [1 / 2, 1 / 4, 3 / 4, 1 / 8]


@pytest.mark.parametrize("seed", range(3))
def test_the_first_two_are_near_the_ends_of_the_space(seed: int) -> None:
    """Beyond everything drawn, and within a tenth of the whole range (of log FLOPs) of its exact ends."""
    source = source_of(shipped_space())
    pool = distinct(source.sample, POOL, random.Random(seed), ())
    cheapest, costliest = (present(initial_design(source, index, (), seed)).candidate for index in (0, 1))
    assert cheapest.flops <= min(candidate.flops for candidate in pool.values())
    assert costliest.flops >= max(candidate.flops for candidate in pool.values())
    low, high = map(math.log, flops_range(shipped_space(), image_size=16, in_channels=1, classes=10))
    assert math.log(cheapest.flops) < low + 0.1 * (high - low)
    assert math.log(costliest.flops) > high - 0.1 * (high - low)


def test_the_first_two_of_a_small_space_are_its_ends() -> None:
    source = source_of(tiny_space())
    low, high = flops_range(tiny_space(), image_size=16, in_channels=1, classes=10)
    assert [candidate.flops for candidate in covered(source, 2, 0)] == [low, high]


@pytest.mark.parametrize("name", ["resnet_stages", "resnet_blocks"])
def test_the_initial_design_covers_the_range_of_flops(name: str) -> None:
    source = source_of(shipped_space(name))
    logarithms = sorted(math.log(candidate.flops) for candidate in covered(source, 8, 1))
    gaps = [b - a for a, b in itertools.pairwise(logarithms)]
    assert max(gaps) < 0.35 * (logarithms[-1] - logarithms[0])
    pool = [math.log(candidate.flops) for candidate in distinct(source.sample, 500, random.Random(5), ()).values()]
    assert logarithms[-1] - logarithms[0] > 0.85 * (max(pool) - min(pool))


@pytest.mark.parametrize("seed", range(5))
def test_where_all_cost_the_same_it_covers_the_space(seed: int) -> None:
    names = [f"{letter}{number:02d}" for letter in "abcdefghij" for number in range(30)]
    source = ParameterCandidates({"name": names}, lambda parameters: 3.0, 5.0)
    chosen = [candidate.choices["name"] for candidate in covered(source, 8, seed)]
    # By name all eight would be an "a", or a "j".
    assert len({str(name)[0] for name in chosen}) >= 4


def test_the_last_of_a_small_space_is_found_and_then_it_is_exhausted() -> None:
    source = source_of(tiny_space())
    *known, last = distinct(source.sample, 16, random.Random(0), ())
    assert present(initial_design(source, 15, known, 0)).candidate.key == last
    assert initial_design(source, 16, [*known, last], 0) is None


@pytest.mark.parametrize("left", [0, 1, 3])
def test_of_a_small_space_what_is_left_is_proposed(left: int) -> None:
    source = source_of(tiny_space())
    trials = trained(source, 16 - left)
    proposal = proposed(source, trials)
    if left == 0:
        assert proposal is None
    else:
        assert proposal is not None and proposal.candidate.key not in {trial.candidate.key for trial in trials}


def test_distinct_gives_up_on_a_space_that_has_no_more() -> None:
    assert len(distinct(source_of(tiny_space()).sample, 50, random.Random(0), ())) == 16
    assert distinct(lambda state: None, 5, random.Random(0), ()) == {}


@pytest.mark.parametrize("seed", range(2))
def test_the_best_of_the_candidates_is_proposed(seed: int) -> None:
    source = source_of(tiny_space())
    trials = trained(source, 6, seed)
    proposal = present(proposed(source, trials, seed))
    reference = (0.5, 2 * max(trial.candidate.flops for trial in trials))
    posterior = Posterior(trials, encoder_of(source, 0), Objective(reference, 1, (), 1e-3), seed)
    known = {trial.candidate.key for trial in trials}
    # Of 16 architectures 400 draws find every one.
    rest = [c for c in distinct(source.sample, 16, random.Random(9), ()).values() if c.key not in known]
    assert len(rest) == 10
    improvements = posterior.expected_improvements(rest)
    assert proposal.improvement == pytest.approx(improvements.max(), rel=1e-6)
    assert proposal.candidate.key == rest[int(improvements.argmax())].key


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_the_limit_on_flops_holds(share: float) -> None:
    space = shipped_space()
    source = source_of(space, share)
    low, high = flops_range(space, image_size=16, in_channels=1, classes=10)
    limit = low + share * (high - low)
    assert all(candidate.flops <= limit for candidate in covered(source, 6, 0))
    for seed in range(2):
        assert present(proposed(source, trained(source, 8, seed), seed)).candidate.flops <= limit


def test_a_space_that_cannot_be_enumerated() -> None:
    space = shipped_space("resnet_blocks")
    assert space.size() > 10**9
    source = source_of(space)
    trials = trained(source, 12)
    proposal = present(proposed(source, trials))
    architecture = source.architecture(proposal.candidate)
    assert architecture.id == proposal.candidate.key not in {trial.candidate.key for trial in trials}
    assert DIGITS.cost(architecture).flops == proposal.candidate.flops
    assert present(proposal.improvement) > 0


def test_the_same_seed_proposes_the_same() -> None:
    source = source_of(shipped_space())
    trials = trained(source, 10)
    assert proposed(source, trials, 3) == proposed(source, trials, 3)
    assert initial_design(source, 4, (), 3) == initial_design(source, 4, (), 3) != initial_design(source, 4, (), 4)


def test_a_space_of_which_nothing_may_be_trained_is_refused() -> None:
    with pytest.raises(ValueError, match="sample of candidates"):
        encoder_of(SpaceCandidates(tiny_space(), DIGITS, CostLimits(1.0)), 0)
