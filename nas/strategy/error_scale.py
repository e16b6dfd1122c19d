"""The scale on which log errors are modelled: as they are, or compressed above a knee. Pure, on arrays.

Networks that fail are far from all others: they would set the scale and the length scales of a Gaussian process, and
all good ones would be alike. What is worse than the median matters little to the front, so beyond it a log error y
becomes knee + reach · log(1 + (y − knee) / reach), the reach being the distance from the best to the median. That is a
fixed warp of the targets where Snelson, Rasmussen and Ghahramani 2004 fit one.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Log errors that differ by less are alike: where the best and the median do, the reach is this.
LEAST_REACH = 1e-3


@dataclass(frozen=True, slots=True)
class ErrorScale:
    """Log errors up to `knee` as they are, those above compressed; as it stands, nothing is. Errors are at most 1."""

    knee: float = math.inf
    reach: float = 1.0

    def compressed(self, log_errors: Array) -> Array:
        """Log errors on this scale, of the same shape."""
        beyond = np.maximum(log_errors - self.knee, 0.0)
        return np.minimum(log_errors, self.knee) + self.reach * np.log1p(beyond / self.reach)

    def expanded(self, compressed: Array) -> Array:
        """The log errors of numbers on this scale, of the same shape; of what is beyond the error of 1 that of 1."""
        within = np.minimum(compressed, self.compressed(np.zeros(())))
        beyond = np.maximum(within - self.knee, 0.0)
        return np.minimum(within, self.knee) + self.reach * np.expm1(beyond / self.reach)

    def compressed_variances(self, log_errors: Array, variances: Array) -> Array:
        """Variances of log errors on this scale, to first order."""
        return variances / (1.0 + np.maximum(log_errors - self.knee, 0.0) / self.reach) ** 2


PLAIN = ErrorScale()


def compressing(log_errors: Array) -> ErrorScale:
    """The scale that compresses those of [N] log errors that are above their median."""
    knee = float(np.median(log_errors))
    return ErrorScale(knee, max(knee - float(log_errors.min()), LEAST_REACH))
