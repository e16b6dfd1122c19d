"""The images of a split in folders: read, augmented and normalised one at a time in loader processes.

In training the next image of its split stands in the place of one that cannot be read, so that batches stay whole; in
an evaluation it is left out. There is a limit for both.

Shapes: B batch, C channels, H height, W width.
"""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces.errors import UserError
from trainers.data.augmentation import Augmentation, crop_box, reach
from trainers.data.decoding import read_image
from trainers.data.folder_sets import Part
from trainers.data.images import Images, normalise
from trainers.data.kept_images import Kept, KeptInFiles, NothingKept, kept_in_memory
from trainers.data.loader_processes import Batch, Loader
from trainers.data.normalisation import FOLDER_MEAN, FOLDER_STD
from trainers.data.policies import changed_image
from trainers.data.preprocessing import folder_resize
from trainers.data.torchvision_import import torchvision
from trainers.data.unreadable import most_unreadable, too_many_unreadable
from trainers.pictures.network_input import fitted, resized

logger = logging.getLogger(__name__)


class FolderImages:
    """Images of a split that stay on disk.

    `unreadable` holds the files that were met and could not be read, and why. Past `most_unreadable` reading on raises
    UnreadableImages with their list. Decoded images are kept below `cache`, where they are known by their paths from
    `root`, else in memory, where there is plenty and they may be.
    """

    def __init__(
        self,
        part: Part,
        *,
        image_size: int,
        workers: int,
        resize_first: int = 0,
        cache: Path | None = None,
        root: str = "",
        keeps_in_memory: bool = False,
    ) -> None:
        folder, index = part.folder, part.index
        # Bytes in one array, not a list of strings: a list would be copied into every loader process bit by bit.
        self.files_I = np.array([os.fsencode(folder.files[place]) for place in index])
        self.labels_I = torch.tensor([folder.labels[place] for place in index])
        self._split = part.name
        self.image_size = image_size
        self.workers = workers
        self.resize_first = resize_first
        self._cache, self._root, self._keeps_in_memory = cache, root, keeps_in_memory
        # What reads the images that are trained on, and those of an evaluation.
        self._loaders: dict[bool, Loader] = {}
        self.most_unreadable = most_unreadable(len(index))
        self.unreadable: dict[str, str] = {}

    def __len__(self) -> int:
        return len(self.labels_I)

    def batches(
        self, indices: Iterable[Tensor], device: torch.device, augmentation: Augmentation | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        size = self.image_size if augmentation is None else augmentation.image_size or self.image_size
        requests = [_Request(index_B.numpy(), size, augmentation) for index_B in indices]
        read = self._loader(trains=augmentation is not None).batches(
            requests,
            batch_bytes=3 * size**2 * max((len(request.sample_B) for request in requests), default=0),
            pin_memory=device.type == "cuda",
        )
        return self._prepared(
            read, device, "It is left out." if augmentation is None else "Another stands in its place."
        )

    def _prepared(self, read: Iterator[Batch], device: torch.device, remedy: str) -> Iterator[tuple[Tensor, Tensor]]:
        for images_BCHW, index_B, problems in read:
            self._count(problems, remedy)
            if not len(index_B):
                continue
            images = normalise(images_BCHW.to(device, non_blocking=True), FOLDER_MEAN, FOLDER_STD)
            yield images, self.labels_I[index_B].to(device, non_blocking=True)

    def _loader(self, *, trains: bool) -> Loader:
        if trains not in self._loaders:
            # Imported here, once: a loader process that is forked off later has it.
            torchvision()
            read = _Decoded(self.files_I, self.most_unreadable, self.resize_first, self._kept(trains=trains))
            self._loaders[trains] = Loader(read, self.workers)
        return self._loaders[trains]

    def _kept(self, *, trains: bool) -> Kept:
        """Where images are kept: those to train on before they are augmented, those of an evaluation at their end."""
        files = [os.fsdecode(file) for file in self.files_I.tolist()]
        if self._cache is not None:
            kind = f"train-{self.resize_first or 'whole'}" if trains else f"evaluation-{self.image_size}"
            return KeptInFiles(self._cache / kind, files, self._root)
        if self._keeps_in_memory:
            return kept_in_memory(files, self.workers, None if trains else self.image_size)
        return NothingKept()

    def _count(self, problems: dict[str, str], remedy: str) -> None:
        """Takes note of files, and of what is wrong with each. Raises UnreadableImages where they are too many."""
        new = {file: problem for file, problem in problems.items() if file not in self.unreadable}
        self.unreadable |= new
        if len(self.unreadable) > self.most_unreadable:
            raise too_many_unreadable([self._split], self.unreadable, len(self))
        for problem in new.values():
            logger.warning("%s %s", problem, remedy)


def unreadable_files(images: Images) -> set[str]:
    """The files of a split that were met and could not be read."""
    return set(images.unreadable) if isinstance(images, FolderImages) else set()


# A decoded uint8 image (C, H, W) with its index, and what is wrong with each file that was tried before it. The index
# is LEFT_OUT where there is no image.
_Item = tuple[Tensor, int, dict[str, str]]
LEFT_OUT = -1


@dataclass(frozen=True, slots=True)
class _Request:
    """The samples of a batch, as images of `size` pixels, augmented or to be evaluated."""

    sample_B: NDArray[np.int64]
    size: int
    augmentation: Augmentation | None


@dataclass(frozen=True, slots=True)
class _Decoded:
    """Batches of the images of samples; where one cannot be read, the next one that can in training, and none in an
    evaluation.

    A problem is handed over as a value: an error raised in a loader process would come back wrapped in its trace.
    """

    files_I: Any
    most_unreadable: int
    resize_first: int
    kept: Kept

    def __call__(self, request: _Request) -> Batch:
        return _collate([self._item(sample, request) for sample in request.sample_B.tolist()])

    def _item(self, sample: int, request: _Request) -> _Item:
        size, augmentation = request.size, request.augmentation
        index, further = sample % len(self.files_I), sample - sample % len(self.files_I)
        problems: dict[str, str] = {}
        while len(problems) <= self.most_unreadable:
            file = os.fsdecode(self.files_I[index])
            try:
                image = self._image(index, file, None if augmentation is not None else size)
            except UserError as error:
                problems[file] = str(error)
                if augmentation is None:
                    break
                index = (index + 1) % len(self.files_I)
                continue
            functional = torchvision().transforms.v2.functional
            if augmentation is not None:
                image = _augmented(image, size, augmentation, index + further)
            return functional.pil_to_tensor(image), index, problems
        return torch.zeros(3, size, size, dtype=torch.uint8), LEFT_OUT, problems

    def _image(self, index: int, file: str, evaluated_size: int | None) -> Any:
        """The image to be augmented, or the square that is evaluated. Raises UserError where it cannot be read."""

        def make() -> Any:
            image = read_image(file)
            if evaluated_size is not None:
                return fitted(image, resize_shorter_side=folder_resize(evaluated_size), size=evaluated_size)
            return resized(image, self.resize_first) if 0 < self.resize_first < min(image.size) else image

        return self.kept.image(index, make)


def _collate(items: Sequence[_Item]) -> tuple[Tensor, Tensor, dict[str, str]]:
    images, index, problems = zip(*items, strict=True)
    index_B = torch.tensor(index)
    is_there_B = index_B != LEFT_OUT
    noted = {file: each[file] for each in problems for file in each}
    if is_there_B.all():
        return torch.stack(images), index_B, noted
    return torch.stack(images)[is_there_B], index_B[is_there_B], noted


def _augmented(image: Any, size: int, augmentation: Augmentation, sample: int) -> Any:
    """The image as a square of `size`, augmented."""
    sample_B = np.array([sample])
    square = _placed(image, size, augmentation.augment, augmentation.draws(sample_B))
    [draw] = augmentation.policy_draws(sample_B).tolist()
    return changed_image(square, augmentation.policy, augmentation.policy_magnitude, draw)


def _placed(image: Any, size: int, augment: str, draws_1R: NDArray[np.float64]) -> Any:
    if augment == "none":
        return fitted(image, resize_shorter_side=folder_resize(size), size=size)
    functional = torchvision().transforms.v2.functional
    if augment == "resized_crop":
        top, left, height, width = (float(edge) for edge in crop_box(image.height, image.width, draws_1R)[0])
        box = int(top), int(left), max(1, int(height)), max(1, int(width))
        image = functional.resized_crop(image, *box, [size, size])
    else:
        margin = reach(size)
        square = functional.center_crop(functional.resize(image, [size]), [size, size])
        top, left = (int(draw * (2 * margin + 1)) for draw in draws_1R[0, :2])
        image = functional.crop(functional.pad(square, [margin]), top, left, size, size)
    mirrored = augment != "shift" and draws_1R[0, 4] < 0.5
    return functional.horizontal_flip(image) if mirrored else image
