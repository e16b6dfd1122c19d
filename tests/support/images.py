"""Images for tests: whole splits in one tensor, and folders of random images."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from trainers.data.config import DataConfig

CPU = torch.device("cpu")


def all_of(split, augmentation=None, batch=64):
    batches = list(split.batches(torch.arange(len(split)).split(batch), CPU, augmentation))
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


def folder_config(root: Path, **changes) -> DataConfig:
    values = {"image_size": 16, "validation_fraction": 0.25} | changes
    return DataConfig("image_folder", str(root), **values)


def make_images(directory: Path, classes=("cat", "dog"), count=8, size=(20, 24)) -> Path:
    generator = np.random.default_rng(0)
    for name in classes:
        (directory / name).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(directory / name / f"{index}.png")
    return directory
