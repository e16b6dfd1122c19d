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
(Emmerich et al. 2006) at a known cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nas.records.cost_regions import cost_regions
from nas.records.pareto import Point

Array = NDArray[np.float64]


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


def expected_hypervolume_improvement(mean: Array, variance: Array, costs: Array, regions: Regions) -> Array:
    """[M] expected hypervolume improvements of M architectures, in accuracy times costs.

    mean, variance: [M], of the log error. costs: [M, C], exact.
    """
    volumes = _volumes_beyond(costs, regions)
    # Several regions may have the same accuracy, and then the same price.
    accuracies, place = np.unique(regions.accuracies, return_inverse=True)
    strikes = np.maximum(1.0 - accuracies, 1e-300)
    std = np.sqrt(variance)[:, None]
    depth = (np.log(strikes) - mean[:, None]) / std
    forward = np.exp(mean + 0.5 * variance)[:, None]
    prices = strikes * ndtr(depth) - forward * ndtr(depth - std)
    return np.einsum("ms,ms->m", volumes, np.maximum(prices, 0.0).take(place, axis=1))


def _volumes_beyond(costs: Array, regions: Regions) -> Array:
    """[M, S] volumes of the regions' parts in which no cost is below that of an architecture."""
    volumes = np.ones((len(costs), len(regions.accuracies)))
    for lower, upper, cost in zip(regions.lower.T, regions.upper.T, costs.T, strict=True):
        volumes *= np.maximum(upper - np.maximum(lower, cost[:, None]), 0.0)
    return volumes
