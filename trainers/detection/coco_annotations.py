"""A JSON file of annotations in COCO's format, checked, and what of it a detector is trained on.

What torchvision's reference training leaves out of training is left out here, and counted: boxes of crowds, boxes
without a width or a height inside their image, and images without any other box. An evaluation has all of them: by
pycocotools' rules a crowd excuses what is found in it, and what is found on an image without boxes is wrong.
Annotations of images that the file does not list are left out of both, as pycocotools does. Labels are the places of
categories in the order of their ids, which need not be contiguous. Whatever else does not fit is refused by its id.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError

# Left, top, right and bottom in pixels of the image.
Box = tuple[float, float, float, float]

CROWDS, DEGENERATE, STRAY = (
    ("crowd", "crowds"), ("degenerate box", "degenerate boxes"), ("annotation of no image", "annotations of no image")
)  # fmt: skip

# Rounded edges of boxes lie beyond those of images by up to so many pixels.
EDGE = 1.0


@dataclass(frozen=True, slots=True)
class AnnotatedImage:
    """An image as a file of annotations has it. `boxes` and `labels` are those that a detector is trained on."""

    id: int
    file_name: str
    width: int
    height: int
    boxes: tuple[Box, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Annotations:
    """What a file holds: categories by id, images, and its annotations as pycocotools takes them.

    `left_out` counts what is not trained on, or not known at all, by what one of it, and more, are called.
    `cut_off` are the ids of annotations whose boxes reach more than `EDGE` out of their images: the rest is trained on.
    `corners` says that these would all lie inside, were they not left, top, width and height, but right and bottom.
    """

    path: Path
    categories: Mapping[int, str]
    images: tuple[AnnotatedImage, ...]
    truth: tuple[dict[str, Any], ...]
    left_out: Mapping[tuple[str, str], int]
    cut_off: tuple[int, ...]
    corners: bool

    @property
    def category_ids(self) -> list[int]:
        """The ids of categories in the order of their labels."""
        return sorted(self.categories)


def read_annotations(path: Path) -> Annotations:
    """The annotations in a file. Raises UserError, naming the entry, where it is no such file."""
    try:
        document = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"{str(path)!r} cannot be read: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{str(path)!r} is no JSON: {error}.") from None
    return annotations_of(document, path)


def annotations_of(document: Any, path: Path) -> Annotations:
    """What a file at `path` says that holds `document`. Raises UserError as `read_annotations` does."""
    reader = _Reader(path)
    sections = {name: reader.section(document, name) for name in ("images", "annotations", "categories")}
    categories = reader.categories(sections["categories"])
    images = reader.images(sections["images"])
    labels = {category: label for label, category in enumerate(sorted(categories))}
    counts: Counter[tuple[str, str]] = Counter()
    boxes: dict[int, list[Box]] = {image: [] for image in images}
    box_labels: dict[int, list[int]] = {image: [] for image in images}
    truth: list[dict[str, Any]] = []
    cut_off, corners = [], True
    for number, entry in reader.by_id(sections["annotations"], "annotation").items():
        image, category, (left, top, width, height), is_crowd, area = reader.annotation(number, entry, categories)
        if image not in images:
            counts[STRAY] += 1
            continue
        # pycocotools takes a match with the annotation 0 for none.
        truth.append(
            {
                "id": len(truth) + 1,
                "image_id": image,
                "category_id": category,
                "bbox": [left, top, width, height],
                "area": area,
                "iscrowd": int(is_crowd),
            }
        )
        box, (_, *size) = (left, top, left + width, top + height), images[image]
        inside = _inside(box, *size)
        if is_crowd:
            counts[CROWDS] += 1
        elif inside is None:
            counts[DEGENERATE] += 1
        else:
            if _reaches_out(box, *size):
                cut_off.append(number)
                corners = (
                    corners and left < width and top < height and not _reaches_out((left, top, width, height), *size)
                )
            boxes[image].append(inside)
            box_labels[image].append(labels[category])
    found = tuple(
        AnnotatedImage(image, *images[image], tuple(boxes[image]), tuple(box_labels[image])) for image in sorted(images)
    )
    return Annotations(path, categories, found, tuple(truth), counts, tuple(cut_off), corners and bool(cut_off))


def _reaches_out(box: Box, width: int, height: int) -> bool:
    return min(box[0], box[1], width - box[2], height - box[3]) < -EDGE


def _inside(box: Box, width: int, height: int) -> Box | None:
    """The part of a box that lies in its image, None where nothing does."""
    left, top = max(0.0, box[0]), max(0.0, box[1])
    right, bottom = min(float(width), box[2]), min(float(height), box[3])
    return (left, top, right, bottom) if right > left and bottom > top else None


class _Reader:
    """Reads the values of a file, whose name is in every error."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def problem(self, what: str, number: object, problem: str) -> UserError:
        return UserError(f"{str(self._path)!r}: {what} {number!r} {problem}.")

    def section(self, document: Any, name: str) -> list[dict[str, Any]]:
        found = document.get(name) if isinstance(document, dict) else None
        if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
            raise UserError(f"{str(self._path)!r} is not in COCO's format: expected a list of {name}.")
        return found

    def whole(self, entry: Mapping[str, Any], what: str, key: str, number: object) -> int:
        value = entry.get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.problem(what, number, f"has the {key} {value!r}: expected a whole number")
        return value

    def by_id(self, entries: list[dict[str, Any]], what: str) -> dict[int, dict[str, Any]]:
        found: dict[int, dict[str, Any]] = {}
        for entry in entries:
            number = self.whole(entry, what, "id", entry.get("id"))
            if number in found:
                raise self.problem(what, number, "is there twice")
            found[number] = entry
        return found

    def categories(self, entries: list[dict[str, Any]]) -> dict[int, str]:
        found = {number: str(entry.get("name", number)) for number, entry in self.by_id(entries, "category").items()}
        if not found:
            raise UserError(f"{str(self._path)!r} has no categories.")
        return found

    def images(self, entries: list[dict[str, Any]]) -> dict[int, tuple[str, int, int]]:
        """The name of its file, width and height of each."""
        found = {}
        for number, entry in self.by_id(entries, "image").items():
            name = entry.get("file_name")
            if not isinstance(name, str) or not name or "\0" in name:
                raise self.problem("image", number, f"has the file_name {name!r}: expected the name of a file")
            width, height = (self.whole(entry, "image", side, number) for side in ("width", "height"))
            if min(width, height) < 1:
                raise self.problem("image", number, f"is {width} × {height} pixels: expected 1 or more")
            found[number] = (name, width, height)
        return found

    def annotation(
        self, number: int, entry: Mapping[str, Any], categories: Mapping[int, str]
    ) -> tuple[int, int, Box, bool, float]:
        """Its image, its category, its box as left, top, width and height, whether that is a crowd's, and its area."""
        image = self.whole(entry, "annotation", "image_id", number)
        category = self.whole(entry, "annotation", "category_id", number)
        if category not in categories:
            raise self.problem("annotation", number, f"is of category {category}, which the file does not list")
        box = self.box(entry, number)
        area = entry.get("area", box[2] * box[3])
        if isinstance(area, bool) or not isinstance(area, int | float) or not math.isfinite(area):
            raise self.problem("annotation", number, f"has the area {area!r}: expected a number")
        return image, category, box, bool(entry.get("iscrowd", 0)), float(area)

    def box(self, entry: Mapping[str, Any], number: int) -> Box:
        value = entry.get("bbox")
        is_box = isinstance(value, list) and len(value) == 4
        if not is_box or not all(
            isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in value or ()
        ):
            raise self.problem("annotation", number, f"has the bbox {value!r}: expected left, top, width and height")
        assert value is not None
        left, top, width, height = map(float, value)
        return left, top, width, height
