"""What trials that could not be trained tell of other candidates: how likely these can be. Pure, on arrays.

What fails, as for want of memory or by divergence, fails for something: its size, an operator, some choices together.
So the expected improvement of a candidate counts by the chance that there will be a result (Gelbart, Snoek and Adams
2014). The chance is the mean of a Gaussian process of labels, 1 for a failure (least-squares classification, Rasmussen
and Williams 2006, section 6.5). Where failures follow nothing the chances of candidates differ little, and change
nothing.
"""

import numpy as np
from numpy.typing import NDArray

from nas.strategy.gaussian_process import GaussianProcess, evenly

Array = NDArray[np.float64]

# A label is not sure: what failed once might have been trained at another time.
LABEL_VARIANCE = 0.1
# No candidate is given up altogether.
LEAST_CHANCE = 0.01
# Of very many trials so many of either kind are looked at, evenly.
MOST_LABELS = 400


class Failures:
    """features: [F, P] of what failed and [N, P] of what was trained, both at least one. groups: [P], as of a
    `GaussianProcess`."""

    def __init__(self, failed: Array, trained: Array, groups: NDArray[np.int64]) -> None:
        failed, trained = (features[evenly(len(features), MOST_LABELS)] for features in (failed, trained))
        labels = np.concatenate([np.ones(len(failed)), np.zeros(len(trained))])
        variances = np.full(len(labels), LABEL_VARIANCE)
        self._process = GaussianProcess(np.concatenate([failed, trained]), groups, labels, variances)

    def chances_of_success(self, features: Array) -> Array:
        """[M] of [M, P] features, each from `LEAST_CHANCE` to 1."""
        return np.clip(1 - self._process.predict(features)[0], LEAST_CHANCE, 1.0)
