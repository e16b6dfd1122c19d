"""CIFAR-10 and CIFAR-100, held in memory: 50,000 images to train on and 10,000 to test, in their own file formats."""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from search_spaces.errors import UserError, first_line
from trainers.data.config import DataConfig
from trainers.data.content_sample import content_digests, file_sizes
from trainers.data.fingerprint import DataFiles, DataFingerprint
from trainers.data.images import MemoryImages
from trainers.data.normalisation import NORMALISATION
from trainers.data.splits import split_validation
from trainers.data.torchvision_import import torchvision

# What torchvision calls them, and the archives that it downloads.
_KNOWN = {
    "cifar10": ("CIFAR10", "CIFAR-10", "cifar-10-python.tar.gz"),
    "cifar100": ("CIFAR100", "CIFAR-100", "cifar-100-python.tar.gz"),
}


def cifar_train_validation(config: DataConfig, root: Path) -> tuple[MemoryImages, MemoryImages]:
    """Train and validation split, both of the training images."""
    images, labels = _read(config.name, root, train=True)
    train, validation = split_validation(labels.tolist(), config.validation_fraction, config.split_seed)
    return _images(config, images[train], labels[train]), _images(config, images[validation], labels[validation])


def cifar_test(config: DataConfig, root: Path) -> MemoryImages:
    """The test images."""
    return _images(config, *_read(config.name, root, train=False))


def check_cifar(name: str, root: Path, *, download: bool = True) -> DataFingerprint:
    """Downloads a data set into `root` unless it is there or `download` is false, and checks it.

    Raises UserError where that fails.
    """
    found = _set(name, root, train=True, download=download)
    paths = [path for path, _ in (*found.train_list, *found.test_list)]
    files = [os.path.join(root, found.base_folder, path) for path in paths]
    digests = content_digests(files, whole=True)
    return DataFiles(
        tuple(found.classes), paths, file_sizes(files), dict(zip(paths, digests, strict=True))
    ).fingerprint()


def _images(config: DataConfig, images_ICHW: Tensor, labels_I: Tensor) -> MemoryImages:
    mean, std = NORMALISATION[config.name]
    return MemoryImages(images_ICHW, labels_I, image_size=config.image_size, mean=mean, std=std)


def _read(name: str, root: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    found = _set(name, root, train=train, download=False)
    return torch.from_numpy(found.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(found.targets)


def _set(name: str, root: Path, *, train: bool, download: bool) -> Any:
    """torchvision's data set, whose files have been compared with their published checksums."""
    class_name, title, archive = _KNOWN[name]
    try:
        return getattr(torchvision().datasets, class_name)(str(root), train=train, download=download)
    except (OSError, RuntimeError, EOFError) as error:
        tried = " and could not be downloaded there" if download else ""
        raise UserError(
            f"{title} is not whole in {str(root)!r}{tried} ({first_line(error).rstrip('. ')}): "
            f"put {archive} there, or name another place with data.root=..."
        ) from error
