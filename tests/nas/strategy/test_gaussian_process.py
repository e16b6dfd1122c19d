"""The Gaussian process against dense formulas, scikit-learn and finite differences."""

import math

import numpy as np
import pytest
import scipy.stats
from scipy.linalg import LinAlgError
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel

from nas.strategy.gaussian_process import JITTER, Array, GaussianProcess, Hyperparameters, fit, negative_log_density

GROUPS = np.array([0, 0, 1, 2, 2, 2])
QUERIES = 7


def observed(seed: int, count: int, *, tied: bool = False) -> tuple[Array, Array, Array]:
    """Features, targets and variances; `tied` repeats features, targets and both together."""
    random = np.random.default_rng(seed)
    features = random.random((count, len(GROUPS)))
    targets = -2 + np.sin(3 * features[:, 2]) + 0.1 * random.standard_normal(count)
    if tied:
        features[count // 2 :] = features[: count - count // 2]
        targets[:: max(1, count // 3)] = targets[0]
    return features, targets, random.choice([0.0, 0.01, 0.5], count)


def queries(seed: int) -> Array:
    return np.random.default_rng(1000 + seed).random((QUERIES, len(GROUPS)))


def kernel(one: Array, other: Array, hyperparameters: Hyperparameters) -> Array:
    """Entry by entry."""
    matrix = np.empty((len(one), len(other)))
    for row, x in enumerate(one):
        for column, y in enumerate(other):
            exponent = sum(hyperparameters.precisions[g] * (x[p] - y[p]) ** 2 for p, g in enumerate(GROUPS))
            matrix[row, column] = hyperparameters.amplitude * math.exp(-0.5 * exponent)
    return matrix


def squared_distances(features: Array) -> Array:
    """[G, N (N - 1) / 2], group by group, of every pair once."""
    first, second = np.triu_indices(len(features), 1)
    squares = (features[first] - features[second]) ** 2
    return np.stack([squares[:, np.flatnonzero(group == GROUPS)].sum(axis=-1) for group in range(3)])


def dense_posterior(
    features: Array, targets: Array, variances: Array, hyperparameters: Hyperparameters, wanted: Array
) -> tuple[Array, Array]:
    """Mean and covariance of a zero-mean process, by the inverse; all of it in standardised units."""
    covariance = kernel(features, features, hyperparameters) + np.diag(variances + hyperparameters.noise + JITTER)
    inverse = np.linalg.inv(covariance)
    cross = kernel(features, wanted, hyperparameters)
    return cross.T @ inverse @ targets, kernel(wanted, wanted, hyperparameters) - cross.T @ inverse @ cross


def standardised(targets: Array) -> tuple[Array, float, float]:
    scale = targets.std() if np.ptp(targets) else 1.0
    return (targets - targets.mean()) / scale, float(targets.mean()), float(scale)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_gradient_is_that_of_the_density(seed: int, tied: bool) -> None:
    features, targets, variances = observed(seed, 12, tied=tied)
    distances = squared_distances(features)
    random = np.random.default_rng(seed)
    medians, spreads = random.normal(size=5), 0.5 + random.random(5)
    point = random.normal(size=5)
    arguments = (distances, standardised(targets)[0], variances, medians, spreads)
    _, gradient = negative_log_density(point, *arguments)
    for index in range(5):
        step = np.eye(5)[index] * 1e-5
        higher, lower = (negative_log_density(point + sign * step, *arguments)[0] for sign in (1, -1))
        assert gradient[index] == pytest.approx((higher - lower) / 2e-5, rel=1e-5, abs=1e-6)


def test_a_covariance_that_is_none_is_refused() -> None:
    """A negative variance, which no result has, and which Cholesky's decomposition meets on its way."""
    features, targets, variances = observed(0, 12)
    arguments = (squared_distances(features), targets, variances - 1e3, np.zeros(5), np.ones(5))
    with pytest.raises(LinAlgError, match="the covariance of 12 targets is not positive definite"):
        negative_log_density(np.zeros(5), *arguments)


def test_the_density_is_that_of_a_normal_with_log_normal_priors() -> None:
    features, targets, variances = observed(0, 9)
    targets = standardised(targets)[0]
    distances = squared_distances(features)
    medians, spreads = np.array([0.1, -0.2, 0.3, 0.0, -3.0]), np.array([1.5, 1.0, 0.5, 2.0, 1.0])

    def direct(point: Array) -> float:
        hyperparameters = Hyperparameters(np.exp(point[:3]), math.exp(point[3]), math.exp(point[4]))
        covariance = kernel(features, features, hyperparameters)
        covariance += np.diag(variances + hyperparameters.noise + JITTER)
        likelihood = scipy.stats.multivariate_normal(np.zeros(len(targets)), covariance).logpdf(targets)
        return float(-likelihood - scipy.stats.norm(medians, spreads).logpdf(point).sum())

    one, other = np.array([0.0, 1.0, -1.0, 0.5, -2.0]), np.array([0.7, -0.3, 0.2, -0.4, -4.0])
    found = [negative_log_density(point, distances, targets, variances, medians, spreads)[0] for point in (one, other)]
    assert found[0] - found[1] == pytest.approx(direct(one) - direct(other), rel=1e-9)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("count", [1, 2, 5, 25])
def test_the_posterior_is_the_dense_formula(count: int, tied: bool) -> None:
    features, targets, variances = observed(count, count, tied=tied)
    fitted = GaussianProcess(features, GROUPS, targets, variances)
    values, mean, scale = standardised(targets)
    means, covariance = dense_posterior(features, values, variances / scale**2, fitted.hyperparameters, queries(count))
    found, found_variances = fitted.predict(queries(count))
    assert found == pytest.approx(means * scale + mean, rel=1e-6, abs=1e-8)
    assert found_variances == pytest.approx(np.diag(covariance) * scale**2, rel=1e-5, abs=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_the_posterior_is_scikit_learns(seed: int) -> None:
    features, targets, variances = observed(seed, 30)
    fitted = GaussianProcess(features, GROUPS, targets, variances)
    hyperparameters = fitted.hyperparameters
    values, mean, scale = standardised(targets)
    lengths = 1 / np.sqrt(hyperparameters.precisions[GROUPS])
    process = GaussianProcessRegressor(
        ConstantKernel(hyperparameters.amplitude) * RBF(lengths),
        alpha=variances / scale**2 + hyperparameters.noise + JITTER,
        optimizer=None,
    ).fit(features, values)
    means, deviations = process.predict(queries(seed), return_std=True)
    found, found_variances = fitted.predict(queries(seed))
    assert found == pytest.approx(means * scale + mean, rel=1e-6)
    assert found_variances == pytest.approx((deviations * scale) ** 2, rel=1e-5)


@pytest.mark.parametrize(("count", "pending"), [(1, 1), (6, 3), (20, 5)])
def test_fantasies_are_a_refit_with_the_results_drawn(count: int, pending: int) -> None:
    features, targets, variances = observed(count, count)
    fitted = GaussianProcess(features, GROUPS, targets, variances)
    values, mean, scale = standardised(targets)
    awaited = np.random.default_rng(5).random((pending, len(GROUPS)))
    imagined = fitted.awaited(awaited, 4, np.random.default_rng(0))
    means, found_variances = fitted.fantasies(imagined, queries(count))
    assert imagined.draws.shape == (4, pending) and means.shape == (4, QUERIES)
    for drawn, found in zip(imagined.draws, means, strict=True):
        expected, covariance = dense_posterior(
            np.concatenate([features, awaited]),
            np.concatenate([values, (drawn - mean) / scale]),
            np.concatenate([variances / scale**2, np.zeros(pending)]),
            fitted.hyperparameters,
            queries(count),
        )
        assert found == pytest.approx(expected * scale + mean, rel=1e-5, abs=1e-7)
        assert found_variances == pytest.approx(np.diag(covariance) * scale**2, rel=1e-4, abs=1e-8)


def test_fantasies_are_drawn_from_the_posterior_of_a_training() -> None:
    features, targets, variances = observed(3, 10)
    fitted = GaussianProcess(features, GROUPS, targets, variances)
    awaited = queries(1)[:3]
    draws = fitted.awaited(awaited, 40_000, np.random.default_rng(0)).draws
    values, mean, scale = standardised(targets)
    means, covariance = dense_posterior(features, values, variances / scale**2, fitted.hyperparameters, awaited)
    covariance += np.eye(3) * (fitted.hyperparameters.noise + JITTER)
    deviation = scale * math.sqrt(np.diag(covariance).max())
    assert draws.mean(axis=0) == pytest.approx(means * scale + mean, abs=0.03 * deviation)
    assert np.cov(draws.T) == pytest.approx(covariance * scale**2, abs=0.05 * deviation**2)


def test_pending_rows_that_are_observed_or_repeated_do_no_harm() -> None:
    features, targets, _ = observed(0, 8)
    fitted = GaussianProcess(features, GROUPS, targets, np.zeros(8))
    awaited = np.concatenate([features[:2], features[:2], queries(0)[:1], queries(0)[:1]])
    imagined = fitted.awaited(awaited, 8, np.random.default_rng(0))
    means, variances = fitted.fantasies(imagined, np.concatenate([features, queries(0)]))
    assert np.isfinite(imagined.draws).all() and np.isfinite(means).all() and (variances > 0).all()


@pytest.mark.parametrize("seed", range(3))
def test_each_of_those_pending_is_what_the_others_results_say(seed: int) -> None:
    """The closed form against as many dense posteriors, each of one of them given what all others were drawn to be."""
    features, targets, variances = observed(seed, 9)
    fitted = GaussianProcess(features, GROUPS, targets, variances)
    values, mean, scale = standardised(targets)
    awaited = np.concatenate([queries(seed), features[:1]])
    imagined = fitted.awaited(awaited, 3, np.random.default_rng(0))
    means, found_variances = fitted.each_from_the_others(imagined)
    assert means.shape == (3, QUERIES + 1)
    for one in range(len(awaited)):
        others = [index for index in range(len(awaited)) if index != one]
        for drawn, found in zip(imagined.draws, means, strict=True):
            expected, covariance = dense_posterior(
                np.concatenate([features, awaited[others]]),
                np.concatenate([values, (drawn[others] - mean) / scale]),
                np.concatenate([variances / scale**2, np.zeros(len(others))]),
                fitted.hyperparameters,
                awaited[[one]],
            )
            assert found[one] == pytest.approx(expected[0] * scale + mean, rel=1e-5, abs=1e-6)
            assert found_variances[one] == pytest.approx(covariance[0, 0] * scale**2, rel=1e-3, abs=1e-7)


def test_one_result_is_believed_nearby_and_nowhere_else() -> None:
    features = np.full((1, len(GROUPS)), 0.5)
    fitted = GaussianProcess(features, GROUPS, np.array([-1.5]), np.zeros(1))
    means, variances = fitted.predict(np.concatenate([features, features + 50.0]))
    assert means == pytest.approx([-1.5, -1.5])
    assert variances[0] < 0.05 * variances[1]


@pytest.mark.parametrize("value", [-3.0, 0.0])
def test_equal_targets_are_predicted_everywhere(value: float) -> None:
    features, _, variances = observed(0, 6)
    fitted = GaussianProcess(features, GROUPS, np.full(6, value), variances)
    means, found = fitted.predict(queries(0))
    assert means == pytest.approx(np.full(QUERIES, value)) and np.isfinite(found).all() and (found > 0).all()


def test_repeated_rows_with_different_results_are_averaged() -> None:
    features = np.repeat(queries(0)[:2], 10, axis=0)
    targets = np.concatenate([np.tile([-1.2, -0.8], 5), np.tile([-3.2, -2.8], 5)])
    means, _ = GaussianProcess(features, GROUPS, targets, np.zeros(20)).predict(queries(0)[:2])
    assert means == pytest.approx([-1.0, -3.0], abs=0.1)


def test_what_is_surely_known_counts_for_more() -> None:
    features = np.repeat(queries(0)[:3], 2, axis=0)
    targets = np.array([-1.0, -2.0, -3.0, -3.5, 0.0, 0.2])
    means, _ = GaussianProcess(features, GROUPS, targets, np.array([0.0, 5.0] * 3)).predict(queries(0)[:1])
    assert abs(means[0] + 1.0) < abs(means[0] + 2.0)


def test_the_posterior_of_1000_results_uses_all_of_them() -> None:
    features, targets, variances = observed(1, 1000, tied=True)
    fitted = GaussianProcess(features, GROUPS, targets, variances)
    values, mean, scale = standardised(targets)
    weights = np.sqrt(fitted.hyperparameters.precisions)[GROUPS]

    def fast_kernel(one: Array, other: Array) -> Array:
        squares = ((one[:, None] * weights - other[None] * weights) ** 2).sum(-1)
        return fitted.hyperparameters.amplitude * np.exp(-0.5 * squares)

    covariance = fast_kernel(features, features)
    covariance += np.diag(variances / scale**2 + fitted.hyperparameters.noise + JITTER)
    expected = fast_kernel(queries(0), features) @ np.linalg.solve(covariance, values)
    means, found = fitted.predict(queries(0))
    assert means == pytest.approx(expected * scale + mean, rel=1e-5)
    assert (found > 0).all()


def test_fitting_finds_what_the_results_depend_on() -> None:
    random = np.random.default_rng(0)
    features = random.random((60, len(GROUPS)))
    targets = standardised(np.sin(5 * features[:, 2]))[0]
    precisions = fit(features, GROUPS, targets, np.zeros(60)).precisions
    assert precisions[1] > 10 * precisions[0] and precisions[1] > 10 * precisions[2]


def test_the_order_of_the_results_does_not_matter() -> None:
    features, targets, variances = observed(2, 20)
    order = np.random.default_rng(0).permutation(20)
    one = GaussianProcess(features, GROUPS, targets, variances).predict(queries(0))
    other = GaussianProcess(features[order], GROUPS, targets[order], variances[order]).predict(queries(0))
    assert one[0] == pytest.approx(other[0], rel=1e-4) and one[1] == pytest.approx(other[1], rel=1e-3)


@pytest.mark.parametrize("count", [1, 2, 40])
def test_the_means_of_what_was_observed_are_those_predicted(count: int) -> None:
    state = np.random.default_rng(count)
    features = state.random((count, 5))
    variances = state.random(count) * (state.random(count) < 0.5)
    fitted = GaussianProcess(features, np.array([0, 0, 1, 2, 2]), state.standard_normal(count), variances)
    assert fitted.observed_means() == pytest.approx(fitted.predict(features)[0], abs=1e-6)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize(("count", "asked"), [(1, 1), (2, 2), (12, 5)])
def test_the_leave_one_out_density_is_that_of_each_target_given_the_others(count: int, asked: int, tied: bool) -> None:
    features, targets, variances = observed(count, count, tied=tied)
    fitted = GaussianProcess(features, GROUPS, targets, variances)
    values, mean, scale = standardised(targets)
    noise = fitted.hyperparameters.noise + JITTER
    expected = 0.0
    for left_out in range(asked):
        rest = np.arange(count) != left_out
        means, covariance = dense_posterior(
            features[rest], values[rest], variances[rest] / scale**2, fitted.hyperparameters, features[[left_out]]
        )
        deviation = math.sqrt(covariance[0, 0] + variances[left_out] / scale**2 + noise) * scale
        expected += scipy.stats.norm(means[0] * scale + mean, deviation).logpdf(targets[left_out])
    assert fitted.leave_one_out_log_density(asked) == pytest.approx(expected, rel=1e-5)
