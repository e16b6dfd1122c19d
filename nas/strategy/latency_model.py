"""What architectures cost that were not measured yet, from those that were. Pure, on plain data.

A ridge regression of log latency on the features of an architecture (`nas.strategy.features`: its choices, log FLOPs
and log parameters). Latency is a sum over stages; its logarithm is close enough to a sum over their choices to rank by,
and then a mistake by a factor is the same mistake in a fast network as in a slow one. Nothing depends on the
unit of time or on the order of the measurements.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nas.strategy.candidates import Candidate
from nas.strategy.features import FeatureEncoder

Array = NDArray[np.float64]

# Beside the squared differences in features, which are of the order of 1: one measurement moves a coefficient half way.
PENALTY = 1.0
# The regression, which takes the cube of their number, is of so many measurements at most.
MOST_MEASURED = 1000


@dataclass(frozen=True, slots=True)
class Ridge:
    """A linear function of [P] features: `level` at `centre` [P], with the slope `coefficients` [P]."""

    centre: Array
    level: float
    coefficients: Array

    def predict(self, features: Array) -> Array:
        """[M] values at [M, P] features."""
        return (features - self.centre) @ self.coefficients + self.level


def ridge(features: Array, targets: Array, penalty: float) -> Ridge:
    """The function of least squared error on [N, P] features and [N] targets, plus `penalty` times its squared slope.

    The level is free (Hastie, Tibshirani and Friedman 2009, section 3.4.1). Solved in the N dimensions of the
    measurements, of which there are fewer than features at first.
    """
    centre, level = features.mean(axis=0), float(targets.mean())
    centred = features - centre
    weights = np.linalg.solve(centred @ centred.T + penalty * np.eye(len(targets)), targets - level)
    return Ridge(centre, level, centred.T @ weights)


class LatencyModel:
    """Latencies: those that were measured as they are, of all others what the regression says."""

    def __init__(self, measured: Sequence[tuple[Candidate, float]], encoder: FeatureEncoder) -> None:
        """`measured`: candidates and their latencies, at least one. Of several of one candidate the first counts."""
        assert measured
        self._encoder = encoder
        first = {candidate.key: (candidate, latency) for candidate, latency in reversed(measured)}
        known = [first[key] for key in sorted(first)]
        self._known: Mapping[str, float] = {candidate.key: latency for candidate, latency in known}
        # In the order of the keys, which are digests, so that the first are any.
        regressed = known[:MOST_MEASURED]
        features = encoder.encode([candidate for candidate, _ in regressed])
        self._ridge = ridge(features, np.log([latency for _, latency in regressed]), PENALTY)

    def __call__(self, candidates: Sequence[Candidate]) -> Array:
        """[M] latencies, in the unit of the measurements."""
        known = [self._known.get(candidate.key) for candidate in candidates]
        if None not in known:
            return np.array(known, dtype=np.float64)
        predicted = np.exp(self._ridge.predict(self._encoder.encode(candidates)))
        return np.array([one if one is not None else float(other) for one, other in zip(known, predicted, strict=True)])
