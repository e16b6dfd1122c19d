"""What trainings from inherited weights tell the decisions: which to train from scratch, and nothing else."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from nas.strategy.candidates import Candidate, SpaceCandidates
from nas.strategy.decisions import Decisions
from nas.strategy.posterior import Objective, TrialView, observations
from nas.strategy.proposals import best_proposal, distinct
from search_spaces.space_cost import flops_range
from tests.support.present import present
from tests.support.searches import DIGITS, shipped_space

SPACE = shipped_space()
LOWEST_COST, HIGHEST_COST = flops_range(SPACE, image_size=16, in_channels=1, classes=10)
SOURCE = SpaceCandidates(SPACE, DIGITS)
EPOCHS, RUNGS, LOOKED_AT = 9, (4,), 2
OBJECTIVE = Objective((0.1, HIGHEST_COST), EPOCHS, RUNGS, 1e-3)


def decisions(inherited_epochs: int = LOOKED_AT) -> Decisions:
    return Decisions(SOURCE, OBJECTIVE, reduction_factor=3, seed=0, inherited_epochs=inherited_epochs)


def log_error(candidate: Candidate) -> float:
    """Unlike what costs say alone: attention in the last stage is better."""
    attention = candidate.choices.get("stage4.operator") == "attention"
    return -0.8 - 0.3 * math.log(candidate.flops / LOWEST_COST) - (0.6 if attention else 0.0)


def finished(count: int, seed: int) -> list[TrialView]:
    rng = random.Random(seed)
    return [
        TrialView(number, one, (0.2,) * (EPOCHS - 1) + (1 - math.exp(log_error(one)),), "finished")
        for number, one in enumerate(distinct(SOURCE.sample, count, rng, ()).values())
    ]


def looked_at(trials: list[TrialView], count: int, seed: int, known: bool = False) -> list[TrialView]:
    """As many more that inherited: those of `trials` too where they are `known`; worse than a whole training by far."""
    rng = random.Random(seed)
    others = distinct(SOURCE.sample, count, rng, {trial.candidate.key for trial in trials}).values()
    of = [*(trial.candidate for trial in trials), *others] if known else list(others)
    return [
        TrialView(100 + number, one, (), "inherited", None, 1 - math.exp(0.5 * log_error(one)))
        for number, one in enumerate(of)
    ]


def test_they_are_no_observations() -> None:
    trials = finished(8, 0)
    assert observations([*trials, *looked_at(trials, 8, 1)], OBJECTIVE) == observations(trials, OBJECTIVE)


@pytest.mark.parametrize("seed", range(3))
def test_they_tell_what_trainings_from_scratch_will_come_to(seed: int) -> None:
    trials = finished(14, seed)
    inherited = looked_at(trials, 12, seed + 10, known=True)
    fresh = [view.candidate for view in inherited[len(trials) :]]
    third_best = np.array([sorted(log_error(trial.candidate) for trial in trials)[2]])

    def correlation(views: list[TrialView]) -> float:
        chances = present(decisions().state(views).posterior).probabilities_below(fresh, third_best)[:, 0]
        return float(spearmanr(chances, [-log_error(candidate) for candidate in fresh]).statistic)

    assert correlation([*trials, *inherited]) > max(0.8, correlation(trials))


def test_what_was_looked_at_can_be_proposed_and_what_is_known_cannot() -> None:
    trials = finished(12, 3)
    asked = decisions()
    best = max(looked_at(trials, 40, 4), key=lambda view: view.inherited_accuracy or 0)
    fresh = present(asked.state([*trials, best]).fresh)
    posterior = present(asked.state([*trials, best]).posterior)
    worth = posterior.expected_improvements([best.candidate, fresh.candidate])
    # Of equal improvements that of what was looked at counts more.
    if fresh.candidate.key != best.candidate.key:
        assert worth[1] * EPOCHS / (EPOCHS + LOOKED_AT) >= worth[0]
    # Trained from scratch, it is known.
    scratch = TrialView(len(trials), best.candidate, (), "running")
    assert present(asked.state([*trials, best, scratch]).fresh).candidate.key != best.candidate.key


@pytest.mark.parametrize("worth", [1.0, 0.5, 1e-6])
def test_a_proposal_is_the_best_by_what_it_is_worth(worth: float) -> None:
    trials = finished(12, 5)
    posterior = present(decisions().state(trials).posterior)
    known = {trial.candidate.key for trial in trials}
    alone = present(best_proposal(SOURCE, posterior, known, 0))
    some = list(distinct(SOURCE.sample, 5, random.Random(9), known).values())
    values = posterior.expected_improvements(some)
    found = present(best_proposal(SOURCE, posterior, known, 0, some, worth))
    assert found.improvement == pytest.approx(max(values.max(), worth * present(alone.improvement)))
    assert (found.candidate.key in {one.key for one in some}) == (values.max() > worth * present(alone.improvement))


def test_without_any_nothing_is_otherwise() -> None:
    trials = finished(12, 6)
    with_, without = decisions().state(trials), decisions(0).state(trials)
    one, other = present(with_.fresh), present(without.fresh)
    assert one.candidate == other.candidate
    assert present(one.improvement) == pytest.approx(present(other.improvement) * EPOCHS / (EPOCHS + LOOKED_AT))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("accuracy", [0.0, 0.5, 1.0])
def test_few_and_equal_ones_are_no_obstacle(count: int, accuracy: float) -> None:
    trials = finished(9, 7)
    equal = [replace(view, inherited_accuracy=accuracy) for view in looked_at(trials, count, 8)]
    improvement = present(decisions().state([*trials, *equal]).fresh).improvement
    assert improvement is not None and math.isfinite(improvement)


def test_their_order_does_not_matter_nor_what_was_asked_before() -> None:
    trials = finished(10, 9)
    inherited = looked_at(trials, 6, 10)
    asked = decisions()
    expected = present(asked.state([*trials, *inherited]).fresh)
    assert present(asked.state([*inherited[::-1], *trials[::-1]]).fresh) == expected
    before = present(decisions().state(trials).fresh)
    assert present(asked.state(trials).fresh) == before
    assert present(asked.state([*trials, *inherited]).fresh) == expected
