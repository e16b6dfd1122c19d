"""Folders in COCO's format for tests: red squares and blue discs on grey, with what such folders have in practice."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

# Ids that are neither contiguous nor in order.
CATEGORIES = ({"id": 17, "name": "disc"}, {"id": 3, "name": "square"})
SIDE = 64
_ORIENTATION = 0x0112


def draw_image(file: Path, seed: int, orientation: int = 1, size: tuple[int, int] = (SIDE, SIDE)) -> dict[str, Any]:
    """Draws one shape, and gives its category and box, of the image as it is stored."""
    generator = np.random.default_rng(seed)
    width = int(generator.integers(24, 37))
    left, top = (int(generator.integers(0, side - width)) for side in size)
    image = Image.new("RGB", size, (120, 120, 120))
    is_square = seed % 2 == 0
    draw, box = ImageDraw.Draw(image), (left, top, left + width - 1, top + width - 1)
    if is_square:
        draw.rectangle(box, fill=(220, 30, 30))
    else:
        draw.ellipse(box, fill=(30, 30, 220))
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    file.parent.mkdir(parents=True, exist_ok=True)
    image.save(file, exif=exif)
    return {"category_id": 3 if is_square else 17, "bbox": [left, top, width, width]}


def instances(folder: Path, count: int, first_seed: int = 0) -> dict[str, Any]:
    """Draws `count` images into a folder, and gives the document of their annotations."""
    images, annotations = [], []
    for number in range(count):
        name = f"{number:03d}.png"
        found = draw_image(folder / name, first_seed + number)
        images.append({"id": 100 + number, "file_name": name, "width": SIDE, "height": SIDE})
        area = found["bbox"][2] ** 2
        annotations.append({"id": number + 1, "image_id": 100 + number, "area": area, "iscrowd": 0, **found})
    return {"images": images, "annotations": annotations, "categories": [dict(each) for each in CATEGORIES]}


def write_json(path: Path, document: Mapping[str, Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def coco_folder(root: Path, train: int = 16, validation: int = 6) -> Path:
    """A folder as COCO is published."""
    for split, count, seed in (("train2017", train, 0), ("val2017", validation, 1000)):
        document = instances(root / split, count, seed)
        write_json(root / "annotations" / f"instances_{split}.json", document)
    return root
