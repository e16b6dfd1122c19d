"""How one value ranks networks as another does, and how sure that is: over the networks, drawn anew.

Shapes: N networks.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

from tests.benchmarks.added_signals import Array
from tests.benchmarks.zero_cost import partial_spearman
from trainers import rank_correlation

DRAWN_ANEW = 2000

# Of the networks with these indices.
Statistic = Callable[[NDArray[np.int64]], float]


def spread(statistic: Statistic, count: int) -> Array:
    """What a statistic of networks' indices is where as many are drawn anew, with replacement."""
    rng = np.random.default_rng(0)
    found = [statistic(rng.integers(count, size=count)) for _ in range(DRAWN_ANEW)]
    return np.array([value for value in found if np.isfinite(value)])


def rank_agreement(values_N: Array, final_N: Array, log_params_N: Array) -> str:
    """Spearman's and Kendall's correlation, each ± its standard error, and Spearman's given the parameters."""

    def error(of: Callable[[Array, Array], float]) -> float:
        return float(spread(lambda drawn: of(values_N[drawn], final_N[drawn]), len(final_N)).std(ddof=1))

    cells = [f"{of(values_N, final_N):6.2f} ± {error(of):.2f}" for of in (spearman, kendall)]
    is_size = np.array_equal(values_N, log_params_N)
    given = np.nan if is_size else partial_spearman(values_N, final_N, [log_params_N])
    return "  ".join([*cells, f"{given:12.2f}"])


def spearman(ones_N: Array, others_N: Array) -> float:
    """NaN where all of one kind are equal, as is Kendall's."""
    found = rank_correlation.spearman(ones_N.tolist(), others_N.tolist())
    return math.nan if found is None else found


def kendall(ones_N: Array, others_N: Array) -> float:
    return float(kendalltau(ones_N, others_N).statistic)


def print_row(name: str, values_N: Array, cpu_seconds: float, final_N: Array, log_params_N: Array) -> None:
    agreement = rank_agreement(values_N, final_N, log_params_N)
    print(f"{name:28} {agreement}  {values_N.mean():8.1%}  {cpu_seconds:5.1f}", flush=True)


def print_differences(values_N: Array, others_N: Array, final_N: Array) -> None:
    """By how much the accuracy and its rank correlation with the final one are above the others', of equal children."""

    def agreement(drawn: NDArray[np.int64]) -> float:
        return spearman(values_N[drawn], final_N[drawn]) - spearman(others_N[drawn], final_N[drawn])

    print_difference("accuracy", lambda drawn: float((values_N - others_N)[drawn].mean()), len(final_N))
    print_difference("Spearman", agreement, len(final_N))


def print_difference(name: str, statistic: Statistic, count: int) -> None:
    low, high = np.quantile(spread(statistic, count), [0.025, 0.975])
    print(f"  {name} from scratch's: {statistic(np.arange(count)):+.3f}, 95 % interval {low:+.3f} to {high:+.3f}")
