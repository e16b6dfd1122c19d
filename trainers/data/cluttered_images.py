"""A split of images in clutter as the training loop sees it.

Shapes: S source images, I images of an epoch, B batch, H height, W width.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.data.augmentation import Augmentation
from trainers.data.clutter import DRAWS, compose
from trainers.data.images import MemoryImages
from trainers.data.normalisation import CLUTTERED_MEAN, CLUTTERED_STD
from trainers.data.random_draws import uniform_draws

CANVAS_SIDE = 16
# Keeps these draws apart from those that order a training of the same seed.
_SEED = int.from_bytes(b"clutter")


class ClutteredImages:
    """Each source `times` times, in clutter of the others: composed anew for each epoch of a training.

    What an epoch shows follows from `seed` and the epoch alone, so that all trainings see the same. Without one, in an
    evaluation, it is always the same. Images are resized to `image_size`.
    """

    def __init__(
        self, sources_SHW: NDArray[np.uint8], labels_S: NDArray[np.int64], *, times: int, seed: int, image_size: int
    ) -> None:
        self._sources_SHW = sources_SHW
        self._labels_S = labels_S
        self._times = times
        self._seed = (_SEED + seed) % 2**64
        self._image_size = image_size

    def __len__(self) -> int:
        return self._times * len(self._labels_S)

    def composed(self, epoch: int) -> MemoryImages:
        """The images of epoch `epoch`, counted from 1; 0 are those of an evaluation."""
        source_S = np.arange(len(self._labels_S))
        first = epoch * self._times
        draws = [uniform_draws(self._seed, first + time, source_S, DRAWS) for time in range(self._times)]
        source_I = np.tile(source_S, self._times)
        images_IHW = compose(self._sources_SHW, source_I, np.concatenate(draws), CANVAS_SIDE)
        return MemoryImages(
            torch.from_numpy(images_IHW)[:, None],
            torch.from_numpy(self._labels_S[source_I]),
            image_size=self._image_size,
            mean=CLUTTERED_MEAN,
            std=CLUTTERED_STD,
        )

    def batches(
        self, indices: Iterable[Tensor], device: torch.device, augmentation: Augmentation | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        epoch = 0 if augmentation is None else augmentation.epoch
        # As a generator: nothing is composed before it is asked for.
        yield from self.composed(epoch).batches(indices, device, augmentation)
