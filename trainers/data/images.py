"""A split of a data set as the training loop sees it, and the small ones that are held in memory.

Shapes: I images, B batch, C channels, H height, W width.
"""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from trainers.data.augmentation import Augmentation, augment_batch
from trainers.data.policies import changed_batch


class Images(Protocol):
    """Labelled images that are handed out in batches, in whatever order is asked for."""

    def __len__(self) -> int: ...

    def batches(
        self, indices: Iterable[Tensor], device: torch.device, augmentation: Augmentation | None = None
    ) -> Iterator[tuple[Tensor, Any]]:
        """(B, C, H, W) normalised float32 images in channels_last order and (B) labels, for each batch of indices.

        Files begin to be read at once. Batches of the same kind that were asked for before are not handed out any more.
        Images that are no whole of one class have `trainers.targets.BatchTargets` of their own in place of labels.

        In training these are samples (`trainers.data.random_draws`), of which one image may have several, and images
        are of the augmentation's size. Raises UserError naming the files where more images than a few cannot be read.
        """
        ...


class MemoryImages:
    """Images held in memory, 8 bits a value, and augmented a batch at a time.

    `images_ICHW` is uint8, `labels_I` int64; `mean` and `std`, the standard deviation, are each channel's, of values in
    0 to 1. Batches are resized to `image_size` where the images have another size.
    """

    def __init__(
        self,
        images_ICHW: Tensor,
        labels_I: Tensor,
        *,
        image_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
    ) -> None:
        assert images_ICHW.dtype == torch.uint8 and len(images_ICHW) == len(labels_I)
        self.images_ICHW = images_ICHW
        self.labels_I = labels_I
        self.image_size = image_size
        self.mean = mean
        self.std = std

    def __len__(self) -> int:
        return len(self.labels_I)

    def batches(
        self, indices: Iterable[Tensor], device: torch.device, augmentation: Augmentation | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        # A policy takes one image after the other: a GPU would only be slower.
        place = torch.device("cpu") if augmentation is not None and augmentation.policy != "none" else device
        size = self.image_size if augmentation is None else augmentation.image_size or self.image_size
        images_ICHW, labels_I = self.images_ICHW.to(place), self.labels_I.to(device)
        for sample_B in indices:
            index_B = sample_B % len(self)
            images_BCHW = images_ICHW[index_B.to(place)]
            if augmentation is not None:
                images_BCHW = _augmented(images_BCHW, augmentation, sample_B.numpy()).to(device)
            if images_BCHW.shape[-1] != size:
                images_BCHW = F.interpolate(images_BCHW.float(), (size, size), mode="bilinear", antialias=True)
            yield normalise(images_BCHW, self.mean, self.std), labels_I[index_B.to(device)]


def _augmented(images_BCHW: Tensor, augmentation: Augmentation, sample_B: NDArray[np.int64]) -> Tensor:
    moved_BCHW = augment_batch(images_BCHW, augmentation.augment, augmentation.draws(sample_B))
    if augmentation.policy == "none":
        return moved_BCHW
    draws_B = augmentation.policy_draws(sample_B)
    return changed_batch(moved_BCHW, augmentation.policy, augmentation.policy_magnitude, draws_B)


def normalise(images_BCHW: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Values of 0 to 255 as float32 in channels_last order, less each channel's mean, over its standard deviation."""
    images = images_BCHW.float()
    mean_C11 = 255 * images.new_tensor(mean)[:, None, None]
    std_C11 = 255 * images.new_tensor(std)[:, None, None]
    return ((images - mean_C11) / std_C11).contiguous(memory_format=torch.channels_last)
