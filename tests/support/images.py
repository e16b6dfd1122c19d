"""Images for tests: whole splits in one tensor, and folders of random images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from trainers.data.augmentation import Augmentation
from trainers.data.config import DataConfig
from trainers.data.image_folders import FolderImages
from trainers.data.images import Images, MemoryImages

CPU = torch.device("cpu")


def all_of(split: Images, augmentation: Augmentation | None = None, batch: int = 64) -> tuple[Tensor, Tensor]:
    batches = list(split.batches(torch.arange(len(split)).split(batch), CPU, augmentation))
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


def in_memory(images: Images) -> MemoryImages:
    assert isinstance(images, MemoryImages)
    return images


def in_folders(images: Images) -> FolderImages:
    assert isinstance(images, FolderImages)
    return images


def folder_config(root: Path, **changes: object) -> DataConfig:
    values: dict[str, Any] = {"image_size": 16, "validation_fraction": 0.25} | changes
    return DataConfig("image_folder", str(root), **values)


def make_images(
    directory: Path, classes: Sequence[str] = ("cat", "dog"), count: int = 8, size: tuple[int, int] = (20, 24)
) -> Path:
    generator = np.random.default_rng(0)
    for name in classes:
        (directory / name).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(directory / name / f"{index}.png")
    return directory
