"""scikit-learn's digits, plain and in clutter, held in memory."""

import io

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from trainers.data.cluttered_images import ClutteredImages
from trainers.data.digits_source import digits_table
from trainers.data.images import MemoryImages
from trainers.data.known_sizes import COMPOSITIONS, split_digits
from trainers.data.normalisation import DIGITS_MEAN, DIGITS_STD


def digits_splits(image_size: int, validation_fraction: float, split_seed: int) -> tuple[MemoryImages, ...]:
    """Train, validation and test split of the 8×8 grey digits, enlarged to `image_size`."""
    digits_IHW, labels_I = _digits()
    pixels_I1HW = torch.from_numpy(digits_IHW).float()[:, None] * (255 / 16)
    enlarged = F.interpolate(pixels_I1HW, (image_size, image_size), mode="bilinear", align_corners=False)
    images_I1HW = enlarged.round().clamp(0, 255).to(torch.uint8)
    labels = torch.from_numpy(labels_I)
    return tuple(
        MemoryImages(images_I1HW[indices], labels[indices], image_size=image_size, mean=DIGITS_MEAN, std=DIGITS_STD)
        for indices in split_digits(labels_I.tolist(), validation_fraction, split_seed)
    )


def cluttered_digits_splits(
    image_size: int, validation_fraction: float, split_seed: int
) -> tuple[ClutteredImages, ...]:
    """Train, validation and test split of the 8×8 grey digits in clutter, resized to `image_size`."""
    return cluttered_splits(*_digits(), image_size, validation_fraction, split_seed)


def cluttered_splits(
    digits_IHW: NDArray[np.float64],
    labels_I: NDArray[np.int64],
    image_size: int,
    validation_fraction: float,
    split_seed: int,
) -> tuple[ClutteredImages, ...]:
    """The three splits of digits of values 0 to 16, each composed of its own digits alone.

    The digits are split as the plain ones are. The test split is the same whatever the seed.
    """
    pixels_IHW = np.rint(digits_IHW * (255 / 16)).astype(np.uint8)
    indices = split_digits(labels_I.tolist(), validation_fraction, split_seed)
    return tuple(
        ClutteredImages(pixels_IHW[index], labels_I[index], times=times, seed=seed, image_size=image_size)
        for index, times, seed in zip(indices, COMPOSITIONS, (split_seed, split_seed, 0), strict=True)
    )


def _digits() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """scikit-learn's digits, (I, 8, 8) of values 0 to 16, and their labels."""
    table = np.loadtxt(io.BytesIO(digits_table()), delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
