"""Earlier searches as tasks: they inform where this search's own results bear them out, and else change nothing."""

import math
import random
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from nas.records.pareto import Point
from nas.strategy.candidates import Candidate, SpaceCandidates
from nas.strategy.decisions import Decisions
from nas.strategy.earlier_results import MOST_RESULTS, EarlierResults, EarlierTask
from nas.strategy.features import FeatureEncoder
from nas.strategy.gaussian_process import Array
from nas.strategy.posterior import Objective, Posterior, TrialView
from nas.strategy.proposals import distinct
from tests.support.searches import DIGITS, shipped_space

SOURCE = SpaceCandidates(shipped_space(), DIGITS)
POOL = list(distinct(SOURCE.sample, 400, random.Random(0), ()).values())
ENCODER = FeatureEncoder(SOURCE.domains, POOL)
OBJECTIVE = Objective((0.1, 1.1 * max(one.flops for one in POOL)), 1, (), 1e-3)


def log_error(candidate: Candidate) -> float:
    """What an architecture is worth, by its choices alone: some are better here, and others do not matter."""
    good = sum(candidate.choices.get(f"stage{stage}.operator") == "attention" for stage in (3, 4))
    return -1.0 - 0.4 * good - 0.1 * (candidate.choices.get("stage1.operator") == "convolution")


def trials_of(candidates: Sequence[Candidate]) -> list[TrialView]:
    return [
        TrialView(number, candidate, (1 - math.exp(log_error(candidate)),), "finished")
        for number, candidate in enumerate(candidates)
    ]


def task_of(candidates: Sequence[Candidate], value: Callable[[Candidate], float] = log_error) -> EarlierTask:
    return EarlierTask(tuple(candidates), tuple(value(candidate) for candidate in candidates))


def foretold(tasks: Sequence[EarlierTask], count: int) -> Array:
    """[M] probabilities that what was not trained ends below the middle of what it may, `count` trials being known."""
    earlier = EarlierResults(tasks, ENCODER) if tasks else None
    posterior = Posterior(trials_of(POOL[:count]), ENCODER, OBJECTIVE, 0, earlier)
    return posterior.probabilities_below(POOL[200:], np.array([-1.5]))[:, 0]


def score(probabilities: Array) -> float:
    """Of the truth: Brier's, mean squared."""
    truth = np.array([log_error(one) < -1.5 for one in POOL[200:]], dtype=float)
    return float(((probabilities - truth) ** 2).mean())


@pytest.mark.parametrize("level", [0.0, 2.0])
@pytest.mark.parametrize("slope", [1.0, 0.5])
def test_a_task_informs_whatever_its_images_are_like_altogether(level: float, slope: float) -> None:
    task = task_of(POOL[100:180], lambda one: level + slope * log_error(one))
    assert score(foretold([task], 8)) < 0.5 * score(foretold([], 8))


def test_a_task_that_says_the_opposite_is_understood_or_left_out() -> None:
    opposite = task_of(POOL[100:180], lambda one: -log_error(one))
    assert score(foretold([opposite], 12)) < 1.1 * score(foretold([], 12))


def test_a_task_that_tells_of_nothing_changes_nothing() -> None:
    rng = random.Random(3)
    nothing = task_of(POOL[100:180], lambda one: rng.gauss(-1.2, 0.3))
    assert foretold([nothing], 20).tolist() == foretold([], 20).tolist()


def test_it_is_the_dense_formula_with_a_correlation_between_tasks() -> None:
    """Own results first; the kernel to each task is that within one times exp(−precision / 2)."""
    tasks = [task_of(POOL[100:112]), task_of(POOL[112:118], lambda one: 1 + 0.7 * log_error(one))]
    earlier = EarlierResults(tasks, ENCODER)
    own = trials_of(POOL[:9])
    features = ENCODER.encode([trial.candidate for trial in own])
    log_errors = np.array([math.log(1 - trial.accuracies[0]) for trial in own])
    process = earlier.process(features, log_errors, np.zeros(9))
    found = process.hyperparameters
    within, between = found.precisions[:-2], np.exp(-0.5 * found.precisions[-2:])
    rows = ENCODER.encode([*POOL[:9], *POOL[100:118]])
    asked = ENCODER.encode(POOL[200:205])
    of_task = np.array([0] * 9 + [1] * 12 + [2] * 6)
    likeness = np.array([1.0, *between])

    def kernel(one: Array, tasks_of_one: Array, other: Array, tasks_of_other: Array) -> Array:
        matrix = np.empty((len(one), len(other)))
        for i, x in enumerate(one):
            for j, y in enumerate(other):
                distance = float(within[ENCODER.groups] @ (x - y) ** 2)
                same = tasks_of_one[i] == tasks_of_other[j]
                shared = 1.0 if same else likeness[tasks_of_one[i]] * likeness[tasks_of_other[j]]
                matrix[i, j] = found.amplitude * math.exp(-0.5 * distance) * shared
        return matrix

    zeros = np.zeros(5, dtype=int)
    covariance = kernel(rows, of_task, rows, of_task) + np.eye(27) * (found.noise + 1e-8)
    cross = kernel(rows, of_task, asked, zeros)
    solved = np.linalg.inv(covariance)
    mean, variance = process.predict(earlier.of_this_search(asked))
    spread = process.noise_variance / found.noise
    expected = found.amplitude - np.einsum("nm,nk,km->m", cross, solved, cross)
    assert variance == pytest.approx(np.maximum(expected, 1e-10) * spread, rel=1e-4, abs=1e-8)
    assert process.observed_means()[:9] == pytest.approx(log_errors, abs=0.2) and np.isfinite(mean).all()


def test_the_order_of_results_and_of_trials_does_not_matter() -> None:
    task = task_of(POOL[100:180])
    order = random.Random(1).sample(range(80), 80)
    shuffled = EarlierTask(tuple(task.candidates[one] for one in order), tuple(task.log_errors[one] for one in order))
    assert foretold([task], 8).tolist() == foretold([shuffled], 8).tolist()


def test_of_many_results_the_best_the_worst_and_some_between_are_used() -> None:
    candidates = tuple(Candidate(str(number), {}, 1.0, 1.0) for number in range(3 * MOST_RESULTS))
    errors = tuple(random.Random(0).sample([float(number) for number in range(3 * MOST_RESULTS)], 3 * MOST_RESULTS))
    kept = EarlierTask(candidates, errors).thinned()
    assert len(kept.candidates) == len({one.key for one in kept.candidates}) == MOST_RESULTS
    assert list(kept.log_errors) == sorted(kept.log_errors)
    assert (kept.log_errors[0], kept.log_errors[-1]) == (0.0, 3 * MOST_RESULTS - 1)
    assert all(errors[int(one.key)] == error for one, error in zip(kept.candidates, kept.log_errors, strict=True))


@pytest.mark.parametrize("results", [1, 2])
@pytest.mark.parametrize("same", [True, False])
def test_few_or_equal_results_are_no_obstacle(results: int, same: bool) -> None:
    task = EarlierTask(
        tuple(POOL[100 : 100 + results]), (-1.0,) * results if same else tuple(map(float, range(results)))
    )
    assert np.isfinite(foretold([task, EarlierTask((), ())], 5)).all()


def first_proposals(earlier: Sequence[EarlierTask], count: int) -> list[Candidate]:
    reference: Point = OBJECTIVE.reference
    decisions = Decisions(SOURCE, Objective(reference, 1, (), 1e-3), reduction_factor=3, seed=0, earlier=earlier)
    trials: list[TrialView] = []
    while len(trials) < count:
        fresh = decisions.state(trials).fresh
        assert fresh is not None
        trials += [TrialView(len(trials), fresh.candidate, (1 - math.exp(log_error(fresh.candidate)),), "finished")]
    return [trial.candidate for trial in trials]


def test_what_an_earlier_search_found_best_is_tried_early() -> None:
    informed, alone = (first_proposals(tasks, 10) for tasks in ([task_of(POOL[100:180])], []))
    assert informed == first_proposals([task_of(POOL[100:180])], 10)
    best = min(map(log_error, POOL))
    assert sum(log_error(one) == best for one in informed) >= 3 > sum(log_error(one) == best for one in alone)
