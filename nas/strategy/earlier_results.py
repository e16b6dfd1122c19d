"""What earlier searches found, as other tasks that inform this one's Gaussian process. Pure, on plain data.

A task is one more column of features, which is 1 for its own results and 0 for all others: the kernel between this
search and a task is that within one times a correlation, exp(−precision / 2), learned as every other length scale is
(the intrinsic coregionalisation of Bonilla, Chai and Williams 2007, of one factor). `nas.strategy.posterior` uses what
comes of it as long as this search's own results bear it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.strategy.candidates import Candidate
from nas.strategy.error_scale import PLAIN, ErrorScale
from nas.strategy.features import FeatureEncoder
from nas.strategy.gaussian_process import GaussianProcess

Array = NDArray[np.float64]

# So many results of a task are used at most: the Gaussian process is cubic in all of them.
MOST_RESULTS = 200
# The log errors of this search are `offset + slope · those of a task`: prior mean and deviations, and the residual's.
SLOPE, SLOPE_SPREAD, OFFSET_SPREAD, RESIDUAL = 1.0, 0.5, 3.0, 0.3


@dataclass(frozen=True, slots=True)
class EarlierTask:
    """The results of one earlier search, trained to the end: final log errors of distinct candidates of this space."""

    candidates: tuple[Candidate, ...]
    log_errors: tuple[float, ...]

    def thinned(self) -> "EarlierTask":
        """At most MOST_RESULTS of them, evenly over their order by log error, the best and the worst among them."""
        order = sorted(range(len(self.log_errors)), key=lambda one: (self.log_errors[one], self.candidates[one].key))
        if len(order) > MOST_RESULTS:
            places = np.linspace(0, len(order) - 1, MOST_RESULTS).round().astype(int)
            order = [order[place] for place in places]
        return EarlierTask(tuple(self.candidates[one] for one in order), tuple(self.log_errors[one] for one in order))


class EarlierResults:
    """Tasks as further observations of this search's Gaussian process."""

    def __init__(self, tasks: Sequence[EarlierTask], encoder: FeatureEncoder) -> None:
        used = [task.thinned() for task in tasks if task.candidates]
        self.candidates = [candidate for task in used for candidate in task.candidates]
        self._log_errors = [np.array(task.log_errors) for task in used]
        self._features = [encoder.encode(task.candidates) for task in used]
        self._processes = [
            GaussianProcess(features, encoder.groups, log_errors, np.zeros(len(log_errors)))
            for features, log_errors in zip(self._features, self._log_errors, strict=True)
        ]
        first = int(encoder.groups.max()) + 1
        self.groups = np.concatenate([encoder.groups, np.arange(first, first + len(used))])

    def of_this_search(self, features: Array) -> Array:
        """[N, P + T] features of candidates as this search's."""
        return np.pad(features, ((0, 0), (0, len(self._features))))

    def process(
        self, features: Array, log_errors: Array, variances: Array, scale: ErrorScale = PLAIN
    ) -> GaussianProcess:
        """The posterior, on `scale`, given what this search has observed, which stands first, and all tasks.

        features: [N, P]. log_errors: [N]. variances: [N], on `scale`.
        Other images are easier or harder altogether, and tell networks apart by more or by less: a task's log errors
        are brought to the scale of this search, as its own Gaussian process foretells what was observed here.
        """
        rows, targets = [self.of_this_search(features)], [log_errors]
        for task, (known, process) in enumerate(zip(self._features, self._processes, strict=True)):
            marked = self.of_this_search(known)
            marked[:, len(known[0]) + task] = 1.0
            offset, slope = _line(process.predict(features)[0], log_errors)
            rows.append(marked)
            targets.append(offset + slope * self._log_errors[task])
        count = sum(map(len, self._log_errors))
        return GaussianProcess(
            np.concatenate(rows),
            self.groups,
            scale.compressed(np.concatenate(targets)),
            np.concatenate([variances, np.zeros(count)]),
        )


def _line(foretold: Array, observed: Array) -> tuple[float, float]:
    """Offset and slope of the most probable line from what a task foretells to what was observed.

    A Bayesian linear regression (Bishop 2006, section 3.3) about the mean of what was foretold.
    """
    centre = float(foretold.mean())
    rows = np.column_stack([np.ones(len(foretold)), foretold - centre])
    precision = np.diag([OFFSET_SPREAD**-2, SLOPE_SPREAD**-2]) + rows.T @ rows / RESIDUAL**2
    pull = np.array([centre / OFFSET_SPREAD**2, SLOPE / SLOPE_SPREAD**2]) + rows.T @ observed / RESIDUAL**2
    level, slope = np.linalg.solve(precision, pull)
    return float(level - slope * centre), float(slope)
