"""How sure a front is, where architectures were trained more than once. Pure.

A final accuracy scatters about its architecture's own mean with one deviation for all, pooled over those that were
trained repeatedly. A member is really on the front when no architecture of at most its costs has a higher mean.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

# Points of the quadrature, over so many deviations to both sides.
POINTS, STDS = 2001, 8.0


@dataclass(frozen=True, slots=True)
class Result:
    """The final accuracies of one architecture, at least one, and its costs."""

    accuracies: tuple[float, ...]
    costs: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.accuracies)


def pooled_std(results: Sequence[Result]) -> float | None:
    """The deviation of one training, from all architectures trained more than once. None where there is none."""
    squares = sum(sum((a - result.mean) ** 2 for a in result.accuracies) for result in results)
    freedom = sum(len(result.accuracies) - 1 for result in results)
    return math.sqrt(squares / freedom) if freedom else None


def front_probabilities(results: Sequence[Result]) -> list[float] | None:
    """For each architecture the probability that no other of at most its costs is really more accurate.

    The true mean of each is normal about its mean with the pooled deviation over √n, independently. None where nothing
    was trained twice. Of equal costs both are rivals of each other.
    """
    std = pooled_std(results)
    if std is None:
        return None
    means = np.array([result.mean for result in results])
    errors = np.maximum(std / np.sqrt([len(result.accuracies) for result in results]), 1e-12)
    costs = np.array([result.costs for result in results])
    grid = np.linspace(-STDS, STDS, POINTS)
    weights = np.exp(-0.5 * grid**2)
    weights /= weights.sum()
    probabilities = []
    for index in range(len(results)):
        rivals = (costs <= costs[index]).all(axis=1) & (np.arange(len(results)) != index)
        accuracy = means[index] + errors[index] * grid
        beaten = ndtr((accuracy[:, None] - means[rivals]) / errors[rivals])
        probabilities.append(float(weights @ beaten.prod(axis=1)))
    return probabilities
