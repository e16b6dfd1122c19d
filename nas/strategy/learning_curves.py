"""Where a learning curve will end: final log errors from those at rungs. Pure functions.

From each rung to the next the fall of the log error is a Bayesian linear regression on the log error so far and on log
FLOPs with its conjugate prior (Bishop 2006, exercise 3.12), learned from the trials that went that way; the steps
are chained to the last epoch. How much log errors scatter in a unit of log time is learned over all steps at once, and
each step begins with that: of a late step few trials tell, and of an early one many.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Prior deviations: of the mean fall over a step, and of what a unit of log error, and of log FLOPs, changes in it.
FALL_SPREAD = 1.0
SLOPE_SPREADS = (0.3, 0.2)
# The residual deviation for a unit of log time is assumed as if so many trials had shown it; that of a step, which is
# what all steps show, as if so many had.
RESIDUAL, RESIDUAL_TRIALS = 0.3, 3.0
STEP_TRIALS = 3.0
# The scatter and the regressions depend on each other; a few rounds settle both.
ROUNDS = 3
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


def learn_step(points: Array, falls: Array, scatter: float) -> tuple[Step, float]:
    """The regression of [N] falls over a step on [N, 2] log errors and log FLOPs before it, and the squares it leaves.

    `scatter` is the residual variance that is assumed.
    """
    # The mean of what it may be, by its inverse gamma distribution.
    degrees = STEP_TRIALS + len(falls) - 2
    if not len(falls):
        # About no centre there is no slope to speak of: what is unknown is the fall alone, whatever the unit of FLOPs.
        prior = np.diag([FALL_SPREAD**2, 0.0, 0.0])
        return Step(np.zeros(2), np.zeros(3), prior, STEP_TRIALS * scatter / degrees), 0.0
    centre = points.mean(axis=0)
    rows = np.column_stack([np.ones(len(points)), points - centre])
    precision = scatter * np.diag([FALL_SPREAD**-2, *(spread**-2 for spread in SLOPE_SPREADS)])
    unscaled = np.linalg.inv(precision + rows.T @ rows)
    coefficients = unscaled @ rows.T @ falls
    residuals = falls - rows @ coefficients
    squares = float(residuals @ residuals + coefficients @ precision @ coefficients)
    variance = (STEP_TRIALS * scatter + squares) / degrees
    return Step(centre, coefficients, variance * unscaled, variance), squares


def learn_steps(curves: Sequence[Curve], epochs: Sequence[int]) -> list[Step]:
    """The step from each level but the last to the next, learned from the curves that have both.

    `epochs` are those of the levels. Of more curves than `MOST_CURVES` every other one is taken, or every third and so
    on, in the order in which they come.
    """
    known = [_known(curves, level) for level in range(len(epochs) - 1)]
    times = [math.log(after / before) for before, after in itertools.pairwise(epochs)]
    trials = sum(len(falls) for _, falls in known)
    scatter, steps = RESIDUAL**2, list[Step]()
    for _ in range(ROUNDS):
        learned = [learn_step(*of, scatter * time) for of, time in zip(known, times, strict=True)]
        steps = [step for step, _ in learned]
        squares = sum(left / time for (_, left), time in zip(learned, times, strict=True))
        scatter = (RESIDUAL_TRIALS * RESIDUAL**2 + squares) / (RESIDUAL_TRIALS + trials)
    return steps


def _known(curves: Sequence[Curve], level: int) -> tuple[Array, Array]:
    """[N, 2] log errors at a level and log FLOPs of the curves that came to the next, and [N] how far they fell."""
    known = [curve for curve in curves if len(curve.log_errors) > level + 1]
    known = known[:: max(1, math.ceil(len(known) / MOST_CURVES))]
    found = np.array([(*curve.log_errors[level : level + 2], curve.log_flops) for curve in known]).reshape(-1, 3)
    return found[:, [0, 2]], found[:, 1] - found[:, 0]


def final_log_error(curve: Curve, steps: Sequence[Step]) -> tuple[float, float]:
    """Mean and variance of a curve's log error at the last level; the variance is 0 where it has arrived there."""
    mean, variance = curve.log_errors[-1], 0.0
    for step in steps[len(curve.log_errors) - 1 :]:
        mean, variance = step.forward(mean, variance, curve.log_flops)
    return mean, variance
