"""Images in COCO's format as a detector takes them: each fitted into a square, its boxes with it.

In training an image may be mirrored and made larger or smaller, and lie anywhere in the square, as a function of seed,
epoch and image. Around it is the mean colour.

Shapes: B batch, C channels, H height, W width, N boxes.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces.errors import UserError
from trainers.data.augmentation import Augmentation
from trainers.data.decoding import read_image
from trainers.data.images import normalise
from trainers.data.loader_processes import Batch, Loader
from trainers.data.random_draws import uniform_draws
from trainers.data.torchvision_import import torchvision
from trainers.detection.box_targets import BoxTargets
from trainers.detection.coco_data import CocoImage

# The longer side of a training image lies between these multiples of the square's.
JITTER = (0.8, 1.2)
# Boxes of which the square shows less than so many pixels of a side are not trained on.
LEAST_PIXELS = 1.0


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a resized image lies in its square, in pixels of the square, and whether it is mirrored there."""

    width: int
    height: int
    left: int = 0
    top: int = 0
    mirrored: bool = False

    def boxes(self, boxes_N4: NDArray[np.float32], image: CocoImage, side: int) -> NDArray[np.float32]:
        """The boxes of an image in the square, cut off at its edges."""
        scale_4 = np.array([self.width / image.annotated.width, self.height / image.annotated.height] * 2)
        scaled = boxes_N4 * scale_4
        if self.mirrored:
            scaled = np.stack([self.width - scaled[:, 2], scaled[:, 1], self.width - scaled[:, 0], scaled[:, 3]], 1)
        return (scaled + np.array([self.left, self.top] * 2)).clip(0, side).astype(np.float32)


def placement(image: CocoImage, side: int, augmentation: Augmentation | None, sample: int) -> Placement:
    """Where an image is put: in the upper left corner in an evaluation, by chance in training."""
    if augmentation is None or augmentation.augment == "none":
        return whole_placement(image.annotated.width, image.annotated.height, side)
    draws = augmentation.draws(np.array([sample]))[0]
    scale = side / max(image.annotated.width, image.annotated.height)
    scale *= JITTER[0] + (JITTER[1] - JITTER[0]) * draws[2]
    width, height = (max(1, round(scale * each)) for each in (image.annotated.width, image.annotated.height))
    # What is larger than the square is cropped.
    top, left = (int(draw * (abs(side - each) + 1)) for draw, each in zip(draws[:2], (height, width), strict=True))
    return Placement(
        width, height, left if width <= side else -left, top if height <= side else -top, bool(draws[4] < 0.5)
    )


def whole_placement(width: int, height: int, side: int) -> Placement:
    """Where an image of this size in pixels is put in an evaluation: whole, in the upper left corner."""
    scale = side / max(width, height)
    return Placement(max(1, round(scale * width)), max(1, round(scale * height)))


def square_of(picture: Any, place: Placement, side: int, mean: tuple[float, ...]) -> Tensor:
    """The square (C, H, W), uint8, that has a PIL image in RGB at its place, and around it the mean colour."""
    functional = torchvision().transforms.v2.functional
    fill_C = torch.tensor([round(255 * value) for value in mean], dtype=torch.uint8)
    square_CHW = fill_C[:, None, None].repeat(1, side, side)
    if len(mean) == 1:
        picture = functional.rgb_to_grayscale(picture)
    picture = functional.resize(picture, [place.height, place.width])
    pixels_CHW = functional.pil_to_tensor(functional.horizontal_flip(picture) if place.mirrored else picture)
    (row, top, height), (column, left, width) = (
        _overlap(at, length, side) for at, length in ((place.top, place.height), (place.left, place.width))
    )
    square_CHW[:, row : row + height, column : column + width] = pixels_CHW[:, top : top + height, left : left + width]
    return square_CHW


class CocoImages:
    """The images of a split, which stay on disk. `channels` is 1 for grey, or 3; `mean` and `std` are theirs."""

    def __init__(
        self,
        images: Sequence[CocoImage],
        *,
        image_size: int,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        first_label: int,
        workers: int,
    ) -> None:
        self.images = tuple(images)
        self.image_size, self.mean, self.std = image_size, mean, std
        # Some detectors keep 0 for the background.
        self.first_label = first_label
        self._loader = Loader(_Placed(self.images, mean), workers)

    def __len__(self) -> int:
        return len(self.images)

    def batches(
        self, indices: Iterable[Tensor], device: torch.device, augmentation: Augmentation | None = None
    ) -> Iterator[tuple[Tensor, BoxTargets]]:
        """(B, C, H, W) normalised images and what is on them. Raises UserError where an image cannot be read."""
        torchvision()
        size = self.image_size if augmentation is None else augmentation.image_size or self.image_size
        requests = [_Request(index_B.numpy(), size, augmentation) for index_B in indices]
        read = self._loader.batches(
            requests,
            batch_bytes=len(self.mean) * size**2 * max((len(request.sample_B) for request in requests), default=0),
            pin_memory=device.type == "cuda",
        )
        return self._prepared(read, requests, device)

    def _prepared(
        self, read: Iterator[Batch], requests: "Sequence[_Request]", device: torch.device
    ) -> Iterator[tuple[Tensor, BoxTargets]]:
        for (images_BCHW, boxes, labels, problem), request in zip(read, requests, strict=True):
            if problem is not None:
                raise UserError(problem)
            images = normalise(images_BCHW.to(device, non_blocking=True), self.mean, self.std)
            yield (
                images,
                BoxTargets(
                    tuple(torch.from_numpy(each).to(device) for each in boxes),
                    tuple(torch.from_numpy(each + self.first_label).to(device) for each in labels),
                    _seed(int(request.sample_B[0]), request.augmentation),
                ),
            )


def _seed(sample: int, augmentation: Augmentation | None) -> int:
    if augmentation is None:
        return sample
    [[draw]] = uniform_draws(augmentation.seed, augmentation.epoch, np.array([sample]), 1)
    return int(draw * 2**53)


# A uint8 image (C, H, W), its boxes (N, 4) and labels (N), and what is wrong with its file.
_Item = tuple[Tensor, NDArray[np.float32], NDArray[np.int64], str | None]


@dataclass(frozen=True, slots=True)
class _Request:
    """The samples of a batch, in squares of `side` pixels, augmented or to be evaluated."""

    sample_B: NDArray[np.int64]
    side: int
    augmentation: Augmentation | None


@dataclass(frozen=True, slots=True)
class _Placed:
    """Batches of the images of samples in their squares. A problem is handed over as a value, as in
    `trainers.data.image_folders`.
    """

    images: tuple[CocoImage, ...]
    mean: tuple[float, ...]

    def __call__(self, request: _Request) -> Batch:
        return _collate(
            [self._item(sample, request.side, request.augmentation) for sample in request.sample_B.tolist()]
        )

    def _item(self, sample: int, side: int, augmentation: Augmentation | None) -> _Item:
        image = self.images[sample % len(self.images)]
        place = placement(image, side, augmentation, sample)
        boxes_N4 = place.boxes(np.array(image.annotated.boxes, dtype=np.float32).reshape(-1, 4), image, side)
        shown_N = (boxes_N4[:, 2:] - boxes_N4[:, :2]).min(1, initial=np.inf) >= LEAST_PIXELS
        labels_N = np.array(image.annotated.labels, dtype=np.int64)
        try:
            picture = read_image(image.file, turned=image.turned)
        except UserError as error:
            return torch.zeros(len(self.mean), side, side, dtype=torch.uint8), boxes_N4, labels_N, str(error)
        square_CHW = square_of(picture, place, side, self.mean)
        return square_CHW, boxes_N4[shown_N], labels_N[shown_N], None


def _overlap(at: int, length: int, side: int) -> tuple[int, int, int]:
    """Where in the square, and where in the image, what both share begins, and how long it is."""
    return max(0, at), max(0, -at), min(side, at + length) - max(0, at)


def _collate(items: Sequence[_Item]) -> tuple[Any, ...]:
    images, boxes, labels, problems = zip(*items, strict=True)
    return torch.stack(images), list(boxes), list(labels), next(filter(None, problems), None)
