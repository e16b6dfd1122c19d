"""One image file read as it was meant, or looked at. Whatever cannot be read is refused by name.

How its values become RGB is in `trainers.pictures.rgb`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from search_spaces.errors import UserError, first_line
from trainers.pictures.image_formats import readable_formats
from trainers.pictures.rgb import (
    DAMAGE,
    SIXTEEN_BITS,
    full_scale,
    is_integer_grey,
    is_white_zero,
    orientation_of,
    rgb_image,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Look:
    """What is particular about an image, in words, and the greatest of its values where white is 65,535."""

    particulars: tuple[str, ...]
    greatest: int | None


def read_image(file: str) -> Any:
    """The RGB image in `file` as a PIL image, read to its end. Raises UserError where it cannot be."""
    return _opened(file, rgb_image)


def look_at(file: str) -> Look:
    """What is particular about an image, after reading it. Raises UserError as `read_image` does."""
    return _opened(file, _look)


def _opened(file: str, use: Callable[[Any], T]) -> T:
    from PIL import Image

    damage: tuple[type[Exception], ...] = (*DAMAGE, Image.DecompressionBombError)
    try:
        with Image.open(file, formats=readable_formats()) as image:
            return use(image)
    except damage as error:
        raise UserError(f"image {file!r} cannot be read: {first_line(error).rstrip('.')}.") from error


def _look(image: Any) -> Look:
    particulars = []
    # The frames of a Photoshop file are layers; it is read as the picture that they make.
    if image.format != "PSD" and getattr(image, "is_animated", False):
        particulars.append("the first of several frames or pages")
        image.seek(0)
    image.load()
    greatest = None
    if is_integer_grey(image):
        full = full_scale(image)
        particulars.append(f"{full.bit_length()}-bit grey, 0 to {full:,} as black to white")
        if full == SIXTEEN_BITS and not is_white_zero(image):
            greatest = int(np.asarray(image).max())
    elif image.mode == "F":
        particulars.append("floating point, 0 to 1 as black to white")
    elif image.mode in ("CMYK", "YCbCr", "HSV", "LAB"):
        particulars.append(f"{image.mode} as RGB, whatever colour profile it brings")
    if image.has_transparency_data:
        particulars.append("what is transparent as white")
    if orientation_of(image) != 1:
        particulars.append("turned as its EXIF orientation says")
    rgb_image(image)
    return Look(tuple(particulars), greatest)
