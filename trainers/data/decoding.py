"""One image file read as it was meant, or looked at. Whatever cannot be read is refused by name.

How its values become RGB is in `trainers.pictures.rgb`.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from search_spaces.errors import UserError, first_line
from trainers.data.tar_members import member_of, opened
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

EIGHT_BITS = 255


@dataclass(frozen=True, slots=True)
class Look:
    """What is particular about an image, in words, and the greatest of its values where white is `white`.

    White is 65,535 of 16 bits, of which Pillow may have kept only the upper ones, so that the greatest is no more than
    that, 1 of floating point, and 255 of all whose range the file says.
    """

    particulars: tuple[str, ...]
    greatest: float
    white: int


def read_image(file: str, *, turned: bool = True) -> Any:
    """The RGB image in `file` as a PIL image, read to its end. Raises UserError where it cannot be.

    It is turned as its EXIF orientation says, or as it is stored where it is not to be `turned`.
    """
    return _opened(file, functools.partial(rgb_image, turned=turned))


def size_and_orientation(file: str) -> tuple[tuple[int, int], int]:
    """Width and height of an image as it is stored, and its EXIF orientation, by its header. Raises UserError."""
    return _opened(file, lambda image: (image.size, orientation_of(image)))


def has_deep_values(file: str) -> bool:
    """Whether an image has more than 8 bits a value, by its header. Raises UserError where that cannot be read."""
    return _opened(file, lambda image: is_integer_grey(image) or image.mode == "F" or _is_deep_colour(image))


def look_at(file: str) -> Look:
    """What is particular about an image, after reading it. Raises UserError as `read_image` does."""
    return _opened(file, _look)


def _opened(file: str, use: Callable[[Any], T]) -> T:
    from PIL import Image

    damage: tuple[type[Exception], ...] = (*DAMAGE, Image.DecompressionBombError)
    try:
        # Of a path Pillow itself opens the file, and knows its name.
        with Image.open(file if member_of(file) is None else opened(file), formats=readable_formats()) as image:
            return use(image)
    except damage as error:
        raise UserError(f"image {file!r} cannot be read: {first_line(error).rstrip('.')}.") from error


def _look(image: Any) -> Look:
    particulars = []
    # The frames of a Photoshop file are layers; it is read as the picture that they make.
    if image.format != "PSD" and getattr(image, "is_animated", False):
        particulars.append("the first of several frames or pages")
        image.seek(0)
    is_deep_colour = _is_deep_colour(image)
    image.load()
    greatest, white = None, EIGHT_BITS
    if is_integer_grey(image):
        full = full_scale(image)
        particulars.append(f"{full.bit_length()}-bit grey, 0 to {full:,} as black to white")
        if full == SIXTEEN_BITS and not is_white_zero(image):
            greatest, white = float(np.asarray(image).max()), SIXTEEN_BITS
    elif image.mode == "F":
        particulars.append("floating point, 0 to 1 as black to white")
        if not is_white_zero(image):
            greatest, white = float(np.asarray(image).max()), 1
    elif is_deep_colour:
        particulars.append(f"16-bit colour, 0 to {SIXTEEN_BITS:,} as black to white")
        greatest, white = 256.0 * _greatest_opaque(image) + 255, SIXTEEN_BITS
    if image.mode in ("CMYK", "YCbCr", "HSV", "LAB"):
        particulars.append(f"{image.mode} as RGB, whatever colour profile it brings")
    if image.has_transparency_data:
        particulars.append("what is transparent as white")
    if orientation_of(image) != 1:
        particulars.append("turned as its EXIF orientation says")
    rgb = rgb_image(image)
    return Look(tuple(particulars), float(np.asarray(rgb).max()) if greatest is None else greatest, white)


def _is_deep_colour(image: Any) -> bool:
    """Whether it has several channels of 16 bits, which Pillow reads as 8; asked before it is loaded."""
    if not image.tile or is_integer_grey(image):
        return False
    codec, arguments = image.tile[0].codec_name, image.tile[0].args
    raw_mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return codec == "SGI16" or (isinstance(raw_mode, str) and ";16" in raw_mode)


def _greatest_opaque(image: Any) -> int:
    """The greatest value of an image of several channels where it is not transparent; white where all of it is."""
    values_HWC = np.asarray(image.convert("RGBA"))
    opaque_NC = values_HWC[values_HWC[:, :, 3] > 0][:, :3]
    return int(opaque_NC.max()) if opaque_NC.size else EIGHT_BITS
