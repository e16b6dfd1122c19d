"""What to train next: the candidate whose training is expected to add most to the front. Pure functions.

Candidates are generated, not enumerated: changes of the architectures that look best, and random ones.
"""

import math
import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from nas.records.cost_limits import CostLimits
from nas.strategy.candidates import Candidate, CandidateSource, SpaceCandidates
from nas.strategy.features import FeatureEncoder
from nas.strategy.posterior import Posterior
from search_spaces.architecture import Architecture
from search_spaces.space import Space
from trainers.data.config import DataSummary

MUTANTS, RANDOM_CANDIDATES = 200, 200
# Without so many architectures proposed, the next one only covers the range of FLOPs.
INITIAL_PROPOSALS = 8
POOL, NEAREST = 500, 10
CLIMBING_PATIENCE = 100
# After so many draws in vain for each candidate found, or at least so many, there is nothing more to find.
PATIENCE, LEAST_PATIENCE = 20, 500


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate to train. `improvement` is what it is expected to add, None where it is there to cover the space."""

    candidate: Candidate
    improvement: float | None


def encoder_of(source: CandidateSource, seed: int) -> FeatureEncoder:
    """The encoder of a space. Raises ValueError where nothing of it may be trained."""
    return FeatureEncoder(source.domains, list(distinct(source.sample, POOL, random.Random(seed), ()).values()))


def distinct(
    draw: Callable[[random.Random], Candidate | None], count: int, rng: random.Random, known: Collection[str]
) -> dict[str, Candidate]:
    """Up to `count` distinct candidates that are not `known`, by key."""
    found: dict[str, Candidate] = {}
    in_vain = 0
    while len(found) < count and in_vain < max(LEAST_PATIENCE, PATIENCE * len(found)):
        candidate = draw(rng)
        in_vain += 1
        if candidate is not None and candidate.key not in known and candidate.key not in found:
            found[candidate.key] = candidate
            in_vain = 0
    return found


def initial_design(source: CandidateSource, index: int, known: Collection[str], seed: int) -> Proposal | None:
    """The `index`-th of a design that covers the range of log FLOPs: its ends first, then ever finer between them.

    Where all cost the same, it is any of them.
    """
    rng = random.Random(seed)
    pool = list(distinct(source.sample, POOL, rng, known).values())
    if not pool:
        return None
    pool.sort(key=lambda candidate: (candidate.flops, candidate.key))
    if pool[0].flops == pool[-1].flops:
        # There is no range; the first by name would be nearly alike.
        return Proposal(rng.choice(pool), None)
    if index < 2:
        start, sign = (pool[0], 1.0) if index == 0 else (pool[-1], -1.0)
        return Proposal(_descend(source, start, sign, known, rng), None)
    low, high = math.log(pool[0].flops), math.log(pool[-1].flops)
    target = low + (high - low) * radical_inverse(index - 1)
    nearest = sorted(pool, key=lambda candidate: (abs(math.log(candidate.flops) - target), candidate.key))[:NEAREST]
    return Proposal(rng.choice(nearest), None)


def _descend(
    source: CandidateSource, start: Candidate, sign: float, known: Collection[str], rng: random.Random
) -> Candidate:
    """Where changes of `start` lead that lower its FLOPs (`sign` 1) or raise them (−1), until many in a row do not."""
    best, failures = start, 0
    while failures < CLIMBING_PATIENCE:
        changed = source.mutate(best, rng)
        if changed is not None and changed.key not in known and sign * changed.flops < sign * best.flops:
            best, failures = changed, 0
        else:
            failures += 1
    return best


def radical_inverse(index: int) -> float:
    """The van der Corput sequence in base 2: 1/2, 1/4, 3/4, 1/8 … for 1, 2, 3, 4 …"""
    value, digit = 0.0, 0.5
    while index:
        value += digit * (index & 1)
        index >>= 1
        digit /= 2
    return value


def best_proposal(
    source: CandidateSource,
    posterior: Posterior,
    known: Collection[str],
    seed: int,
    looked_at: Sequence[Candidate] = (),
    fresh_worth: float = 1.0,
) -> Proposal | None:
    """The candidate of the highest expected improvement, which counts by the chance that it can be trained at all.

    None where nothing new was found. `looked_at` are candidates that inherited weights have told of already; of all
    others `fresh_worth` of the improvement counts.
    """
    rng = random.Random(seed)
    parents = posterior.promising

    def mutant(rng: random.Random) -> Candidate | None:
        return source.mutate(rng.choice(parents), rng)

    found = _attempts(mutant, MUTANTS, rng, known) | _attempts(source.sample, RANDOM_CANDIDATES, rng, known)
    if not found:
        found = distinct(source.sample, RANDOM_CANDIDATES, rng, known)
    found |= {candidate.key: candidate for candidate in looked_at}
    if not found:
        return None
    candidates = [found[key] for key in sorted(found)]
    before = {candidate.key for candidate in looked_at}
    worth = [1.0 if candidate.key in before else fresh_worth for candidate in candidates]
    improvements = posterior.expected_improvements(candidates) * posterior.chances_of_success(candidates) * worth
    best = int(improvements.argmax())
    return Proposal(candidates[best], float(improvements[best]))


def _attempts(
    draw: Callable[[random.Random], Candidate | None], count: int, rng: random.Random, known: Collection[str]
) -> dict[str, Candidate]:
    drawn = [draw(rng) for _ in range(count)]
    return {candidate.key: candidate for candidate in drawn if candidate is not None and candidate.key not in known}


def slow_architectures(space: Space, data: DataSummary, limits: CostLimits, seed: int) -> tuple[Architecture, ...]:
    """What may be the slowest that a search meets: the anchors, and the one of the highest cost that is easily found.

    All are within `limits`, which have to leave something of the space.
    """
    source = SpaceCandidates(space, data, limits)
    highest_cost = initial_design(source, 1, (), seed)
    assert highest_cost is not None
    found = dict.fromkeys([*space.anchors(), source.architecture(highest_cost.candidate)])
    costs = {one: data.cost(one) for one in found}
    return tuple(one for one in found if limits.allow(costs[one].flops, costs[one].params))
