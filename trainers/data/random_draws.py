"""Random numbers that are a function of (seed, epoch, index) alone.

A training needs no random state: whatever it draws for a sample in an epoch can be drawn again, in any order, on any
process. The generator hashes a counter with the finaliser of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).

A sample is an image as it stands in an epoch, and known by the image's index; where one stands there several times, the
number of all images is added for each further time. What its draws are for is said here, once.

Shapes: B samples, R draws for each.
"""

import numpy as np
from numpy.typing import NDArray

# By which an epoch is ordered, what moves and crops an image, what seeds its policy, what is erased, what is mixed.
ORDER = slice(0, 1)
PLACE = slice(1, 6)
POLICY = slice(6, 7)
ERASING = slice(7, 30)
MIXING = slice(30, 34)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def uniform_draws(seed: int, epoch: int, index_B: NDArray[np.int64], draws: int) -> NDArray[np.float64]:
    """`draws` independent uniform numbers in [0, 1) for each sample, (B, R)."""
    key = _mix(_mix(np.array([seed], dtype=np.uint64)) ^ np.uint64(epoch))
    key_B1 = _mix(key ^ index_B.astype(np.uint64))[:, None]
    counter_R = np.arange(1, draws + 1, dtype=np.uint64) * _GOLDEN
    return (_mix(key_B1 + counter_R) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def sample_draws(seed: int, epoch: int, sample_B: NDArray[np.int64], purpose: slice) -> NDArray[np.float64]:
    """The draws of these samples for one of the purposes above, (B, R)."""
    return uniform_draws(seed, epoch, sample_B, purpose.stop)[:, purpose]


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    value = value + _GOLDEN
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))
