"""What a signal of networks adds to the search's own surrogate, as one more feature of it.

Shapes: N networks, P features, K of the networks known, R the rest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata, spearmanr

from nas.strategy.gaussian_process import GaussianProcess
from tests.benchmarks.forecasts import normal_crps

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of the networks that were not known: the mean log density of their log errors, the mean continuous ranked
    probability score (Gneiting and Raftery 2007, equation 21; less is better), and Spearman's rank correlation."""

    log_density: float
    crps: float
    spearman: float


def scaled_ranks(signal_N: Array) -> Array:
    """From 0 to 1, so that neither the scale of a signal nor outliers matter; equal values have the same."""
    return (rankdata(signal_N) - 1) / max(1, len(signal_N) - 1)


def with_signal(features_NP: Array, groups_P: NDArray[np.int64], signal_N: Array) -> tuple[Array, NDArray[np.int64]]:
    """The features and their groups with a signal as another one, of a length scale of its own."""
    return np.column_stack([features_NP, scaled_ranks(signal_N)]), np.append(groups_P, groups_P.max() + 1)


def forecast(
    features_NP: Array, groups_P: NDArray[np.int64], log_errors_N: Array, known_K: NDArray[np.int64]
) -> Forecast:
    """What the surrogate of the known networks says of one full training of each other one."""
    rest_R = np.setdiff1d(np.arange(len(log_errors_N)), known_K)
    process = GaussianProcess(features_NP[known_K], groups_P, log_errors_N[known_K], np.zeros(len(known_K)))
    mean_R, variance_R = process.predict(features_NP[rest_R])
    deviation_R = np.sqrt(variance_R + process.noise_variance)
    return score(mean_R, deviation_R, log_errors_N[rest_R])


def score(mean_R: Array, deviation_R: Array, truth_R: Array) -> Forecast:
    """Of normal forecasts."""
    z_R = (truth_R - mean_R) / deviation_R
    crps_R = normal_crps(truth_R, mean_R, deviation_R)
    log_density_R = -0.5 * z_R**2 - np.log(deviation_R * np.sqrt(2 * np.pi))
    return Forecast(float(log_density_R.mean()), float(crps_R.mean()), float(spearmanr(mean_R, truth_R).statistic))


def splits(networks: int, known: int, count: int, seed: int = 0) -> Iterator[NDArray[np.int64]]:
    """The networks that are known, drawn `count` times."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield rng.permutation(networks)[:known]
