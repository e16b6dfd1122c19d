"""A Gaussian process of final accuracy: what a search believes of architectures it has not trained. Pure, on arrays.

Targets are log errors, log(1 − accuracy): errors of good architectures differ by factors, and a gain of accuracy is
worth the same wherever it is made. The kernel is one squared exponential over groups of features
(`nas.strategy.features`), with one inverse squared length scale a group; all hyperparameters are those of the highest
posterior density (Rasmussen and Williams 2006, chapter 5).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_solve, cholesky, solve_triangular
from scipy.linalg.lapack import dpotrf, dpotri, dpotrs
from scipy.optimize import minimize
from scipy.spatial.distance import pdist, squareform

Array = NDArray[np.float64]

# Hyperparameters are fitted on so many observations at most; the posterior always uses all of them.
FITTED_OBSERVATIONS = 150
ITERATIONS = 40

# Log-normal priors. The sum of all groups' precisions is 3 at their medians, however many groups there are: a space
# with more choices is not thereby one where nothing tells of anything else.
TOTAL_PRECISION = 3.0
PRECISION_SPREAD = 1.5
AMPLITUDE_SPREAD = 1.0
NOISE_MEDIAN, NOISE_SPREAD = 1e-3, 1.5
NOISE_BOUNDS = (1e-6, 1.0)
BOUND = 6.0
JITTER = 1e-8


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Of standardised targets: `precisions` (one a group of features), amplitude and noise, both variances."""

    precisions: Array
    amplitude: float
    noise: float


class GaussianProcess:
    """The posterior of log error given observations.

    features: [N, P]. groups: [P], the group of each feature, from 0 on. targets: [N], finite log errors. variances:
    [N], what is known of each target's own uncertainty (0 for a full training, whose noise is fitted).
    """

    def __init__(self, features: Array, groups: NDArray[np.int64], targets: Array, variances: Array) -> None:
        assert len(targets) > 0 and np.isfinite(targets).all() and np.isfinite(variances).all()
        self._features = features
        self._mean = float(targets.mean())
        spread = float(targets.std())
        self._scale = spread if spread > 1e-9 else 1.0
        self._targets = (targets - self._mean) / self._scale
        self._variances = variances / self._scale**2
        chosen = evenly(len(targets), FITTED_OBSERVATIONS)
        self.hyperparameters = fit(features[chosen], groups, self._targets[chosen], self._variances[chosen])
        self._weights = np.sqrt(self.hyperparameters.precisions)[groups]
        covariance = self._kernel(features, features)
        covariance[np.diag_indices_from(covariance)] += self._variances + self.hyperparameters.noise + JITTER
        self._cholesky = cholesky(covariance, lower=True)
        self._solved = cho_solve((self._cholesky, True), self._targets)

    def _kernel(self, one: Array, other: Array) -> Array:
        return self.hyperparameters.amplitude * np.exp(
            -0.5 * _squared_distances(one * self._weights, other * self._weights)
        )

    def observed_means(self) -> Array:
        """[N] means of the log error of what was observed: what `predict` says of it, without another solve."""
        uncertain = self._variances + self.hyperparameters.noise + JITTER
        return (self._targets - uncertain * self._solved) * self._scale + self._mean

    def leave_one_out_log_density(self, count: int) -> float:
        """What the others foretell of each of the first `count` targets: the sum of its log density.

        Rasmussen and Williams 2006, section 5.4.2; the hyperparameters are those of all targets.
        """
        inverse, _ = dpotri(self._cholesky, lower=True)
        variances = 1 / np.diag(inverse)[:count]
        residuals = self._solved[:count] * variances
        spread = 2 * np.pi * variances * self._scale**2
        return float(-0.5 * (np.log(spread) + residuals**2 / variances).sum())

    @property
    def noise_variance(self) -> float:
        """What one full training scatters about the mean that `predict` is uncertain of."""
        return self.hyperparameters.noise * self._scale**2

    def predict(self, features: Array) -> tuple[Array, Array]:
        """Mean and variance of the log error, without training noise, of each of [M, P] features."""
        cross = self._kernel(self._features, features)
        explained = solve_triangular(self._cholesky, cross, lower=True)
        variance = self.hyperparameters.amplitude - np.einsum("nm,nm->m", explained, explained)
        return cross.T @ self._solved * self._scale + self._mean, np.maximum(variance, 1e-10) * self._scale**2

    def awaited(self, pending: Array, count: int, random: np.random.Generator) -> "Awaited":
        """Imagines the results of `pending` [Q, P], `count` times."""
        noise = self.hyperparameters.noise + JITTER
        cross = self._kernel(self._features, pending)
        explained = solve_triangular(self._cholesky, cross, lower=True)
        covariance = self._kernel(pending, pending) - explained.T @ explained
        covariance[np.diag_indices_from(covariance)] += noise
        root = cholesky(covariance, lower=True)
        deviations = random.standard_normal((count, len(pending))) @ root.T
        draws = cross.T @ self._solved + deviations
        return Awaited(draws * self._scale + self._mean, pending, explained, root, deviations)

    def fantasies(self, awaited: "Awaited", features: Array) -> tuple[Array, Array]:
        """What to believe of `features` [M, P] were the results of what is awaited known, for each of its draws.

        Returns the means [count, M] and the variances [M], which do not depend on the draws.
        """
        known = self._kernel(self._features, features)
        explained_features = solve_triangular(self._cholesky, known, lower=True)
        mean = known.T @ self._solved
        shared = self._kernel(awaited.features, features) - awaited.explained.T @ explained_features
        reduced = solve_triangular(awaited.root, shared, lower=True)
        variance = self.hyperparameters.amplitude - np.einsum("nm,nm->m", explained_features, explained_features)
        variance = np.maximum(variance - np.einsum("qm,qm->m", reduced, reduced), 1e-10)
        means = mean + awaited.deviations @ cho_solve((awaited.root, True), shared)
        return means * self._scale + self._mean, variance * self._scale**2

    def each_from_the_others(self, awaited: "Awaited") -> tuple[Array, Array]:
        """What to believe of each of what is awaited were the results of all others of it known, for each draw.

        Returns the means [count, Q] and the variances [Q], in closed form from one factor (Rasmussen and Williams
        2006, section 5.4.2).
        """
        inverse = cho_solve((awaited.root, True), np.eye(len(awaited.root)))
        precisions = np.diag(inverse)
        means = awaited.draws - awaited.deviations @ inverse / precisions * self._scale
        variances = np.maximum(1 / precisions - self.hyperparameters.noise - JITTER, 1e-10)
        return means, variances * self._scale**2


@dataclass(frozen=True, slots=True)
class Awaited:
    """Trainings whose results are imagined.

    draws: [count, Q] of their log errors. features: [Q, P]. explained: [N, Q] and root: [Q, Q], factors of what is
    known of them, and deviations: [count, Q] of the draws from their means, in standardised units.
    """

    draws: Array
    features: Array
    explained: Array
    root: Array
    deviations: Array


def fit(features: Array, groups: NDArray[np.int64], targets: Array, variances: Array) -> Hyperparameters:
    """The hyperparameters of highest posterior density for standardised targets."""
    count = int(groups.max()) + 1
    distances = np.stack([pdist(features[:, groups == group], "sqeuclidean") for group in range(count)])
    start = np.concatenate([np.full(count, np.log(TOTAL_PRECISION / count)), [0.0, np.log(NOISE_MEDIAN)]])
    spreads = np.concatenate([np.full(count, PRECISION_SPREAD), [AMPLITUDE_SPREAD, NOISE_SPREAD]])
    bounds = [(value - BOUND, value + BOUND) for value in start[:-1]]
    bounds.append((float(np.log(NOISE_BOUNDS[0])), float(np.log(NOISE_BOUNDS[1]))))
    found = minimize(
        negative_log_density,
        start,
        args=(distances, targets, variances, start, spreads),
        jac=True,
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": ITERATIONS},
    )
    return Hyperparameters(np.exp(found.x[:count]), float(np.exp(found.x[count])), float(np.exp(found.x[count + 1])))


def negative_log_density(
    logarithms: Array, distances: Array, targets: Array, variances: Array, medians: Array, spreads: Array
) -> tuple[float, Array]:
    """−log posterior density of the hyperparameters, up to a constant, and its gradient.

    logarithms: [G + 2], of the precisions, the amplitude and the noise. distances: [G, N (N - 1) / 2], squared, of the
    pairs of observations in the order of scipy's pdist.
    """
    precisions, amplitude, noise = np.exp(logarithms[:-2]), np.exp(logarithms[-2]), np.exp(logarithms[-1])
    signal = amplitude * np.exp(-0.5 * (precisions @ distances))
    covariance = squareform(signal)
    covariance[np.diag_indices_from(covariance)] = amplitude + noise + variances + JITTER
    # LAPACK itself: some 40 times a fit, the checks and copies of scipy.linalg cost more than the arithmetic.
    factor, failed = dpotrf(covariance, lower=True, clean=True, overwrite_a=True)
    if failed:
        raise LinAlgError(f"the covariance of {len(targets)} targets is not positive definite")
    solved = dpotrs(factor, targets, lower=True)[0]
    inverse = dpotri(factor, lower=True)[0]
    # Every pair stands twice in the matrices; squareform reads what is above the diagonal.
    weighted = squareform(inverse.T - np.outer(solved, solved), checks=False) * signal
    diagonal = 0.5 * float(inverse.trace() - solved @ solved)
    gradient = np.concatenate(
        [-0.5 * precisions * (distances @ weighted), [weighted.sum() + amplitude * diagonal, noise * diagonal]]
    )
    away = (logarithms - medians) / spreads
    value = 0.5 * targets @ solved + np.log(np.diag(factor)).sum() + 0.5 * away @ away
    return float(value), gradient + away / spreads


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """At most `most` indices, evenly over range(count), the last one among them."""
    if count <= most:
        return np.arange(count)
    return np.linspace(0, count - 1, most).round().astype(np.int64)


def _squared_distances(one: Array, other: Array) -> Array:
    """[N, M] squared Euclidean distances between rows of [N, P] and [M, P].

    SciPy's cdist gives the same proposals and takes no product of matrices: at 1,000 trials a proposal took 1.5 times
    as long with it (`tests/benchmarks/proposal_cost.py`).
    """
    lengths = np.einsum("np,np->n", one, one)[:, None] + np.einsum("mp,mp->m", other, other)
    return np.maximum(lengths - 2 * one @ other.T, 0.0)
