"""What a trained detector finds on pictures.

Shapes: N objects.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from search_spaces.errors import UserError
from trainers.data.decoding import read_single_image, remark_on_frames
from trainers.data.images import normalise
from trainers.detection.coco_images import square_of, whole_placement
from trainers.detection.design import DetectorDesign
from trainers.detection.files import read_detector


@dataclass(frozen=True, slots=True)
class FoundObject:
    """An object: its class by name and COCO's id, how sure the detector is, 0 to 1, and its box in the picture's pixels
    as COCO has it: left, top, width, height.
    """

    name: str
    category_id: int
    score: float
    box: tuple[float, float, float, float]

    def to_json(self) -> dict[str, Any]:
        return {"class": self.name, "category_id": self.category_id, "score": self.score, "box": list(self.box)}


@dataclass(frozen=True, slots=True)
class Detection:
    """What was found on a picture, the surest first, or why it could not be read."""

    image: str
    objects: tuple[FoundObject, ...] = ()
    problem: str | None = None
    remark: str | None = None

    def to_json(self) -> dict[str, Any]:
        if self.problem is not None:
            return {"image": self.image, "error": self.problem}
        document = {"image": self.image, "objects": [each.to_json() for each in self.objects]}
        return document if self.remark is None else {**document, "remark": self.remark}


def detect(directory: Path, images: Sequence[str]) -> Iterator[Detection]:
    """What the detector in a directory finds on each of the images. Raises UserError where that is no detector."""
    design, detector = read_detector(directory)
    for image in images:
        try:
            picture = read_single_image(image)
        except UserError as error:
            yield Detection(image, problem=str(error))
            continue
        yield Detection(image, _objects(design, detector, picture), remark=remark_on_frames(image))


def _objects(design: DetectorDesign, detector: torch.nn.Module, picture: Any) -> tuple[FoundObject, ...]:
    place = whole_placement(picture.width, picture.height, design.image_size)
    square_CHW = square_of(picture, place, design.image_size, design.mean)
    with torch.inference_mode():
        [found] = detector(normalise(square_CHW[None], design.mean, design.std))
    scale_4 = torch.tensor([picture.width / place.width, picture.height / place.height] * 2)
    edges_4 = torch.tensor([picture.width, picture.height] * 2)
    boxes_N4 = (found["boxes"] * scale_4).clamp(min=0).minimum(edges_4)
    rows = zip(boxes_N4.tolist(), found["scores"].tolist(), found["labels"].tolist(), strict=True)
    objects = [
        FoundObject(
            design.classes[label - design.first_label],
            design.category_ids[label - design.first_label],
            score,
            (left, top, right - left, bottom - top),
        )
        for (left, top, right, bottom), score, label in rows
    ]
    return tuple(sorted(objects, key=lambda each: -each.score))
