"""What training an architecture may add to the front: expected hypervolume improvement with its costs known exactly.

Latency, where that is a cost, is taken as if it were, measured or predicted.

Pure functions on arrays. A point (a, c) adds to the hypervolume what it offers to each budget y that allows it, c ≤ y
in every cost: the accuracy a above the best that the front offers there, if that is any. The costs being known, all
that is random is a, so that the expectation goes under the integral over budgets,

    E[improvement] = ∫ over y from c to the reference of E[max(a − best(y), 0)] dy,

and best(y) is constant on each of the front's regions (`nas.records.cost_regions`): a sum over these, of the volume of
the region's part beyond c times one expectation for each accuracy of the front. Accuracy is 1 − exp(z) with z normal,
so that the expectation is the price of a European put on a log-normal error, its strike the error of the front there
(Black and Scholes 1973). With one cost the regions are the front's steps, and this is the improvement of two objectives
(Emmerich et al. 2006) at a known cost. Where log errors are compressed beyond a knee (`nas.strategy.error_scale`), a
strike beyond it adds an integral that has no closed form: it is taken over the probability of what is between knee and
strike, by Gauss-Legendre quadrature.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from nas.records.cost_regions import cost_regions
from nas.records.pareto import Point
from nas.strategy.error_scale import PLAIN, ErrorScale

Array = NDArray[np.float64]

# The points of the quadrature beyond a knee.
NODES = 16


@dataclass(frozen=True, slots=True)
class Regions:
    """Disjoint regions of costs from `lower` up to `upper`, [S, C], and the best accuracies there, [S]."""

    lower: Array
    upper: Array
    accuracies: Array


def regions_of(points: Sequence[Point], reference: Point) -> Regions:
    """The regions of the front of `points` within `reference` (least accuracy, most of each cost), by rising costs."""
    regions = cost_regions(points, reference)
    shape = len(regions), len(reference) - 1
    return Regions(
        np.array([region.lower for region in regions]).reshape(shape),
        np.array([region.upper for region in regions]).reshape(shape),
        np.array([region.accuracy for region in regions]),
    )


def expected_hypervolume_improvement(
    mean: Array, variance: Array, costs: Array, regions: Regions, scale: ErrorScale = PLAIN
) -> Array:
    """[M] expected hypervolume improvements of M architectures, in accuracy times costs.

    mean, variance: [M], of the log error on `scale`. costs: [M, C], exact.
    """
    volumes = _volumes_beyond(costs, regions)
    # Several regions may have the same accuracy, and then the same price.
    accuracies, place = np.unique(regions.accuracies, return_inverse=True)
    prices = _prices(mean[:, None], np.sqrt(variance)[:, None], np.maximum(1.0 - accuracies, 1e-300), scale)
    return np.einsum("ms,ms->m", volumes, prices.take(place, axis=1))


def _prices(mean: Array, std: Array, strikes: Array, scale: ErrorScale) -> Array:
    """[M, S] expected amounts by which errors are below `strikes` [S]. mean, std: [M, 1], of their logarithms."""
    plain = np.minimum(strikes, math.exp(scale.knee))
    depth = (np.log(plain) - mean) / std
    below = ndtr(depth)
    prices = np.maximum(plain * below - np.exp(mean + 0.5 * std**2) * ndtr(depth - std), 0.0)
    beyond = strikes > plain
    if beyond.any():
        prices[:, beyond] += _beyond_the_knee(mean, std, below[:, beyond], strikes[beyond], scale)
    return prices


def _beyond_the_knee(mean: Array, std: Array, below: Array, strikes: Array, scale: ErrorScale) -> Array:
    """[M, S] what is missing from the prices of `strikes` [S] beyond the knee, below which errors are with `below`."""
    knee = math.exp(scale.knee)
    most = scale.compressed(np.log(strikes))
    between = ndtr((most - mean) / std) - below
    points, weights = np.polynomial.legendre.leggauss(NODES)
    probabilities = below[..., None] + between[..., None] * (points + 1) / 2
    logarithms = np.clip(mean[..., None] + std[..., None] * ndtri(probabilities), scale.knee, most[:, None])
    saved = strikes[:, None] - np.exp(scale.expanded(logarithms))
    return (strikes - knee) * below + between * (saved @ (weights / 2))


def _volumes_beyond(costs: Array, regions: Regions) -> Array:
    """[M, S] volumes of the regions' parts in which no cost is below that of an architecture."""
    volumes = np.ones((len(costs), len(regions.accuracies)))
    for lower, upper, cost in zip(regions.lower.T, regions.upper.T, costs.T, strict=True):
        volumes *= np.maximum(upper - np.maximum(lower, cost[:, None]), 0.0)
    return volumes
