"""One image file read as it was meant, or looked at. Whatever cannot be read is refused by name.

How its values become RGB is in `trainers.pictures.rgb`.
"""

import contextlib
import functools
import io
from collections.abc import Callable
from typing import Any, TypeVar

from search_spaces.errors import UserError, first_line
from trainers.data.tar_members import member_of
from trainers.pictures.looks import Look, is_deep_colour, look_at_image, meant_rgb_image
from trainers.pictures.opening import opened
from trainers.pictures.rgb import UnreadablePicture, is_integer_grey, orientation_of, rgb_image

T = TypeVar("T")
# The formats of animations and of several pages.
_OF_FRAMES = ("GIF", "PNG", "WEBP", "AVIF", "TIFF")


def read_image(file: str, *, turned: bool = True) -> Any:
    """The RGB image in `file` as a PIL image, read to its end. Raises UserError where it cannot be.

    It is turned as its EXIF orientation says, or as it is stored where it is not to be `turned`.
    """
    return _named(file, functools.partial(rgb_image, turned=turned))


def read_single_image(file: str) -> Any:
    """The same of an image by itself, which is refused where a data set of such images would be."""
    return _named(file, meant_rgb_image)


def remark_on_frames(file: str) -> str | None:
    """What is to be said of an image that was read and has several frames or pages; None of any other.

    A JPEG's are none: a second picture in a phone's is a preview.
    """
    # What is damaged beyond the first is not read.
    with contextlib.suppress(UserError):
        if (frames := _named(file, _frames)) > 1:
            return f"image {file!r} has {frames:,} frames or pages: the first is taken."
    return None


def _frames(image: Any) -> int:
    # To count them takes a pass over the file.
    has_several = image.format in _OF_FRAMES and getattr(image, "is_animated", False)
    return int(image.n_frames) if has_several else 1


def size_and_orientation(file: str) -> tuple[tuple[int, int], int]:
    """Width and height of an image as it is stored, and its EXIF orientation, by its header. Raises UserError."""
    return _named(file, lambda image: (image.size, orientation_of(image)))


def has_deep_values(file: str) -> bool:
    """Whether an image has more than 8 bits a value, by its header. Raises UserError where that cannot be read."""
    return _named(file, lambda image: is_integer_grey(image) or image.mode == "F" or is_deep_colour(image))


def look_at(file: str) -> Look:
    """What is particular about an image, after reading it. Raises UserError as `read_image` does."""
    return _named(file, look_at_image)


def _named(file: str, use: Callable[[Any], T]) -> T:
    try:
        # Of a path Pillow itself opens the file, and knows its name.
        member = member_of(file)
        return opened(file if member is None else io.BytesIO(member.content()), use)
    except (UnreadablePicture, OSError) as error:
        raise UserError(f"image {file!r} cannot be read: {first_line(error).rstrip('.')}.") from error
