"""How likely candidates can be trained, against closed forms, separable and meaningless labels."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from nas.strategy.failures import LABEL_VARIANCE, LEAST_CHANCE, MOST_LABELS, Failures

GROUPS = np.array([0, 1, 1, 2])


def features(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 4))


def fails(features_NP: np.ndarray) -> np.ndarray:
    """What is large in one feature and not in another."""
    return np.asarray((features_NP[:, 0] > 0.5) & (features_NP[:, 3] < 0.7))


def test_the_chance_is_the_mean_of_the_labels_process() -> None:
    seen, asked = features(30), features(50, seed=1)
    failed = fails(seen)
    failures = Failures(seen[failed], seen[~failed], GROUPS)
    found = failures._process.hyperparameters
    labels = np.concatenate([np.ones(failed.sum()), np.zeros((~failed).sum())])
    known = np.concatenate([seen[failed], seen[~failed]])
    weights = np.sqrt(found.precisions)[GROUPS]

    def kernel(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        return found.amplitude * np.exp(-0.5 * cdist(one * weights, other * weights, "sqeuclidean"))

    noise = (found.noise + LABEL_VARIANCE / labels.var()) * np.eye(30)
    solved = np.linalg.solve(kernel(known, known) + noise, labels - labels.mean())
    mean = labels.mean() + kernel(asked, known) @ solved
    np.testing.assert_allclose(failures.chances_of_success(asked), np.clip(1 - mean, LEAST_CHANCE, 1), atol=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_a_region_that_fails_is_told_from_the_rest(seed: int) -> None:
    seen, asked = features(60, seed), features(500, seed + 100)
    failed = fails(seen)
    chances = Failures(seen[failed], seen[~failed], GROUPS).chances_of_success(asked)
    assert chances[fails(asked)].mean() < 0.3 and chances[~fails(asked)].mean() > 0.75
    order = np.random.default_rng(seed).permutation
    shuffled = Failures(order(seen[failed]), order(seen[~failed]), GROUPS).chances_of_success(asked)
    np.testing.assert_allclose(shuffled, chances, atol=0.01)


def test_failures_of_no_meaning_change_little() -> None:
    """Beside those that mean something, whose chances spread by 0.4."""
    spreads = []
    for seed in range(8):
        seen = features(60, seed)
        failed = np.random.default_rng(seed).random(60) < 0.25
        chances = Failures(seen[failed], seen[~failed], GROUPS).chances_of_success(features(500, seed + 100))
        assert chances.mean() == pytest.approx(1 - failed.mean(), abs=0.1)
        spreads.append(chances.std())
    assert np.mean(spreads) < 0.13


def test_one_of_each_and_the_same_in_both() -> None:
    one = features(1)
    chances = Failures(one, one, GROUPS).chances_of_success(features(20))
    np.testing.assert_allclose(chances, 0.5, atol=1e-6)


def test_of_very_many_some_are_looked_at() -> None:
    seen = features(3 * MOST_LABELS)
    failed = fails(seen)
    failures = Failures(seen[failed], seen[~failed], GROUPS)
    assert len(failures._process._features) <= 2 * MOST_LABELS
    asked = features(500, seed=9)
    chances = failures.chances_of_success(asked)
    assert chances[fails(asked)].mean() < 0.15 and chances[~fails(asked)].mean() > 0.85
