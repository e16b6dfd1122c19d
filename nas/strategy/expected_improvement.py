"""What training an architecture may add to the front: expected hypervolume improvement with FLOPs known exactly.

Latency, where that is the cost, is taken as if it were: `flops` are then milliseconds, measured or predicted.

Pure functions on arrays. Accuracy is 1 − exp(z) with z normal, so above each step of the front the expected
improvement is the price of a European put on a log-normal error (Black and Scholes 1973), and the
improvement of two objectives (Emmerich et al. 2006) is the sum of these prices over the front's steps, times the steps'
widths in FLOPs.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from nas.records.pareto import Point, front

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Steps:
    """The best accuracy that a front offers for given FLOPs, as a step function up to the reference.

    starts: [S], rising, the FLOPs from which a step holds, the first 0; `end` is where the last one ends. accuracies:
    [S], rising, the first that of the reference.
    """

    starts: Array
    accuracies: Array
    end: float


def steps_of(points: list[Point], reference: Point) -> Steps:
    """The steps of the front of `points` within `reference` (least accuracy, most FLOPs)."""
    floor, end = reference
    members = [points[index] for index in front(points)]
    inside = sorted({point for point in members if point[0] > floor and point[1] < end}, key=lambda point: point[1])
    return Steps(
        np.array([0.0, *(flops for _, flops in inside)]), np.array([floor, *(accuracy for accuracy, _ in inside)]), end
    )


def expected_hypervolume_improvement(mean: Array, variance: Array, flops: Array, steps: Steps) -> Array:
    """[M] expected hypervolume improvements of M architectures, in accuracy times FLOPs.

    mean, variance: [M], of the log error. flops: [M], exact.
    """
    ends = np.append(steps.starts[1:], steps.end)
    widths = np.maximum(ends - np.maximum(steps.starts, flops[:, None]), 0.0)
    strikes = np.maximum(1.0 - steps.accuracies, 1e-300)
    std = np.sqrt(variance)[:, None]
    depth = (np.log(strikes) - mean[:, None]) / std
    forward = np.exp(mean + 0.5 * variance)[:, None]
    prices = strikes * ndtr(depth) - forward * ndtr(depth - std)
    return np.einsum("ms,ms->m", widths, np.maximum(prices, 0.0))
