"""Where a learning curve will end: final log errors from those at rungs. Pure functions.

From each rung to the next the fall of the log error is a Bayesian linear regression on the log error so far and on log
FLOPs (Bishop 2006, section 3.3), learned from the trials that went that way; the steps are chained to the last epoch.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Prior deviations: of the mean fall over a step, and of what a unit of log error, and of log FLOPs, changes in it.
FALL_SPREAD = 1.0
SLOPE_SPREADS = (0.3, 0.2)
# The residual deviation that is assumed as if so many trials had shown it.
RESIDUAL, RESIDUAL_TRIALS = 0.3, 3.0
# A step has three coefficients: of more curves than this, it is learned from some.
MOST_CURVES = 1000


@dataclass(frozen=True, slots=True)
class Curve:
    """The log errors of a trial at the levels (rungs, then the last epoch) that it has reached, from the first on."""

    log_errors: tuple[float, ...]
    log_flops: float


@dataclass(frozen=True, slots=True)
class Step:
    """The regression from one level to the next. `covariance` is that of (fall, slope of error, slope of FLOPs)."""

    centre: Array
    coefficients: Array
    covariance: Array
    residual_variance: float

    def forward(self, mean: float, variance: float, log_flops: float) -> tuple[float, float]:
        """Mean and variance at the next level of a trial with these at this one."""
        row = np.array([1.0, mean - self.centre[0], log_flops - self.centre[1]])
        fall = float(row @ self.coefficients)
        spread = float(row @ self.covariance @ row)
        slope = (1 + float(self.coefficients[1])) ** 2 + float(self.covariance[1, 1])
        return mean + fall, slope * variance + spread + self.residual_variance


def learn_step(before: Sequence[tuple[float, float]], after: Sequence[float]) -> Step:
    """The regression from `before`, (log error, log FLOPs) of trials at a level, to their log errors at the next."""
    if not before:
        # About no centre there is no slope to speak of: what is unknown is the fall alone, whatever the unit of FLOPs.
        return Step(np.zeros(2), np.zeros(3), np.diag([FALL_SPREAD**2, 0.0, 0.0]), RESIDUAL**2)
    points = np.array(before, dtype=np.float64)
    falls = np.array(after, dtype=np.float64) - points[:, 0]
    centre = points.mean(axis=0)
    rows = np.column_stack([np.ones(len(points)), points - centre])
    prior = np.diag([FALL_SPREAD**-2, *(spread**-2 for spread in SLOPE_SPREADS)])
    variance = RESIDUAL**2
    # The residual variance and the coefficients depend on each other; a few rounds settle both.
    for _ in range(5):
        covariance = np.linalg.inv(prior + rows.T @ rows / variance)
        coefficients = covariance @ rows.T @ falls / variance
        residuals = falls - rows @ coefficients
        variance = (RESIDUAL_TRIALS * RESIDUAL**2 + float(residuals @ residuals)) / (RESIDUAL_TRIALS + len(falls))
    return Step(centre, coefficients, covariance, variance)


def learn_steps(curves: Sequence[Curve], levels: int) -> list[Step]:
    """The step from each level but the last to the next, learned from the curves that have both.

    Of more than `MOST_CURVES` every other one is taken, or every third and so on, in the order in which they come.
    """
    steps = []
    for level in range(levels - 1):
        known = [curve for curve in curves if len(curve.log_errors) > level + 1]
        known = known[:: max(1, math.ceil(len(known) / MOST_CURVES))]
        before = [(curve.log_errors[level], curve.log_flops) for curve in known]
        steps.append(learn_step(before, [curve.log_errors[level + 1] for curve in known]))
    return steps


def final_log_error(curve: Curve, steps: Sequence[Step]) -> tuple[float, float]:
    """Mean and variance of a curve's log error at the last level; the variance is 0 where it has arrived there."""
    mean, variance = curve.log_errors[-1], 0.0
    for step in steps[len(curve.log_errors) - 1 :]:
        mean, variance = step.forward(mean, variance, curve.log_flops)
    return mean, variance
