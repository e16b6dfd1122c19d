"""The small data sets, which are held in memory: scikit-learn's digits, plain and in clutter, and CIFAR-10."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from search_spaces.errors import UserError, first_line
from trainers.data.cluttered_images import ClutteredImages
from trainers.data.content_sample import content_digests, file_sizes
from trainers.data.fingerprint import DataFiles, DataFingerprint
from trainers.data.images import MemoryImages
from trainers.data.known_sizes import COMPOSITIONS, split_digits
from trainers.data.normalisation import CIFAR10_MEAN, CIFAR10_STD, DIGITS_MEAN, DIGITS_STD
from trainers.data.splits import split_validation
from trainers.data.torchvision_import import torchvision


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
    from sklearn.datasets import load_digits

    bunch: Any = load_digits()
    return bunch.images, bunch.target.astype(np.int64)


def cifar10_train_validation(
    root: Path, image_size: int, validation_fraction: float, split_seed: int
) -> tuple[MemoryImages, MemoryImages]:
    """Train and validation split, both of CIFAR-10's 50,000 training images."""
    images, labels = _cifar10(root, train=True)
    train, validation = split_validation(labels.tolist(), validation_fraction, split_seed)
    return (
        _cifar10_images(images[train], labels[train], image_size),
        _cifar10_images(images[validation], labels[validation], image_size),
    )


def cifar10_test(root: Path, image_size: int) -> MemoryImages:
    """CIFAR-10's 10,000 test images."""
    return _cifar10_images(*_cifar10(root, train=False), image_size)


def check_cifar10(root: Path, *, download: bool = True) -> DataFingerprint:
    """Downloads CIFAR-10 into `root` unless it is there or `download` is false, and checks it.

    Raises UserError where that fails.
    """
    found = _cifar10_set(root, train=True, download=download)
    paths = [name for name, _ in (*found.train_list, *found.test_list)]
    files = [os.path.join(root, found.base_folder, path) for path in paths]
    digests = content_digests(files, whole=True)
    return DataFiles(
        tuple(found.classes), paths, file_sizes(files), dict(zip(paths, digests, strict=True))
    ).fingerprint()


def _cifar10_images(images_ICHW: Tensor, labels_I: Tensor, image_size: int) -> MemoryImages:
    return MemoryImages(images_ICHW, labels_I, image_size=image_size, mean=CIFAR10_MEAN, std=CIFAR10_STD)


def _cifar10(root: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    found = _cifar10_set(root, train=train, download=False)
    return torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(found.targets)


def _cifar10_set(root: Path, *, train: bool, download: bool) -> Any:
    """torchvision's data set, whose files have been compared with their published checksums."""
    try:
        return torchvision().datasets.CIFAR10(str(root), train=train, download=download)
    except (OSError, RuntimeError, EOFError) as error:
        tried = " and could not be downloaded there" if download else ""
        raise UserError(
            f"CIFAR-10 is not whole in {str(root)!r}{tried} ({first_line(error).rstrip('. ')}): "
            f"put cifar-10-python.tar.gz there, or name another place with data.root=..."
        ) from error
