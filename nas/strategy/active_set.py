"""Which of very many results a Gaussian process holds: those that may be near the front, and some of all others.

A process of all of them takes the cube of their number, and even a factor that is kept up to date takes its square for
each candidate. So of more than `MOST_EXACT` the process holds a subset of data (Rasmussen and Williams 2006, section
8.3): what matters to the expected improvement is known near the front, and elsewhere that nothing is to be had there.
Pure, on arrays.
"""

import numpy as np
from numpy.typing import NDArray

from nas.records.pareto import front

Array = NDArray[np.float64]

# Up to so many observations a process holds all of them.
MOST_EXACT = 1000
# Of more it holds so many, so many of them for being near the front.
ACTIVE, NEAR_FRONT = 600, 200
# An observation is as near as it may be: what is extrapolated is taken so many of its deviations better.
DEVIATIONS = 2.0


def active_set(log_errors: Array, variances: Array, costs: Array, floor: float) -> NDArray[np.int64]:
    """The indices, rising, of the observations to hold: all of up to `MOST_EXACT`, `ACTIVE` of more.

    log_errors: [N], rising. variances: [N], 0 for full trainings. costs: [N, C]. `floor` is the log error up to which a
    result counts at all. The front of the full trainings is always held; what is far from it is taken evenly over the
    log errors.
    """
    count = len(log_errors)
    if count <= MOST_EXACT:
        return np.arange(count)
    full = np.flatnonzero(variances == 0)
    least = _least_within(costs, costs[full], log_errors[full], floor)
    distance = log_errors - DEVIATIONS * np.sqrt(variances) - least
    distance[full[distance[full] <= 0]] = -np.inf
    by_distance = np.lexsort((log_errors, distance))
    near, far = by_distance[:NEAR_FRONT], np.sort(by_distance[NEAR_FRONT:])
    spread = far[np.linspace(0, len(far) - 1, ACTIVE - NEAR_FRONT).round().astype(np.int64)]
    return np.sort(np.concatenate([near, spread]))


def _least_within(budgets: Array, costs: Array, log_errors: Array, floor: float) -> Array:
    """[N] the least of `floor` and of the log errors of all that are within each of [N, C] budgets, at [F, C] costs."""
    if not len(costs):
        return np.full(len(budgets), floor)
    members = front([(-error, *cost) for error, cost in zip(log_errors.tolist(), costs.tolist(), strict=True)])
    within = (costs[members] <= budgets[:, None]).all(axis=-1)
    return np.asarray(np.where(within, log_errors[members], floor).min(axis=1, initial=floor))
