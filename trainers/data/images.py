"""A split of a data set as the training loop sees it, and the small ones that are held in memory.

Shapes: I images, B batch, C channels, H height, W width.
"""

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from trainers.data.augmentation import Augmentation, augment_batch


class Images(Protocol):
    """Labelled images that are handed out in batches, in whatever order is asked for."""

    def __len__(self) -> int: ...

    def batches(
        self, indices: Iterable[Tensor], device: torch.device, augmentation: Augmentation | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """(B, C, H, W) normalised float32 images in channels_last order and (B) labels, for each batch of indices.

        Raises UserError naming the files where more images than a few cannot be read.
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
        images_ICHW = self.images_ICHW.to(device)
        labels_I = self.labels_I.to(device)
        for index_B in indices:
            place_B = index_B.to(device)
            images_BCHW = images_ICHW[place_B]
            if augmentation is not None:
                draws_BR = augmentation.draws(index_B.numpy())
                images_BCHW = augment_batch(images_BCHW, augmentation.augment, draws_BR)
            if images_BCHW.shape[-1] != self.image_size:
                images_BCHW = F.interpolate(
                    images_BCHW.float(), (self.image_size, self.image_size), mode="bilinear", antialias=True
                )
            yield normalise(images_BCHW, self.mean, self.std), labels_I[place_B]


def normalise(images_BCHW: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Values of 0 to 255 as float32 in channels_last order, less each channel's mean, over its standard deviation."""
    images = images_BCHW.float()
    mean_C11 = 255 * images.new_tensor(mean)[:, None, None]
    std_C11 = 255 * images.new_tensor(std)[:, None, None]
    return ((images - mean_C11) / std_C11).contiguous(memory_format=torch.channels_last)
