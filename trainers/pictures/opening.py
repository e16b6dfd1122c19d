"""The file of a picture opened, and whatever is wrong with it said: what it is, and what to do about it."""

import io
import re
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from .file_kinds import FIRST_BYTES, picture_format, what_it_is
from .image_formats import readable_formats
from .rgb import DAMAGE, UnreadablePicture

T = TypeVar("T")


def opened(source: str | io.BytesIO, use: Callable[[Any], T]) -> T:
    """What `use` makes of a picture, a PIL image of the file at a path or of its bytes. Raises UnreadablePicture."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # What is larger than Pillow likes and still read needs no remark.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(source, formats=readable_formats())
        with image:
            return use(image)
    except UnreadablePicture:
        raise
    except Image.DecompressionBombError as error:
        raise UnreadablePicture(_too_large(str(error))) from error
    except UnidentifiedImageError as error:
        raise UnreadablePicture(f"it is {what_it_is(_start(source))}") from error
    except DAMAGE as error:
        raise UnreadablePicture(_damaged(error, source)) from error


def _too_large(said: str) -> str:
    """Pillow says how many pixels there are, and how many it reads at most."""
    numbers = [f"{int(number):,}" for number in re.findall(r"\d+", said)]
    has, most = numbers if len(numbers) == 2 else ("too many", "it may have")
    return f"it has {has} pixels, more than the {most} that are read: scale it down, or remove it"


def _damaged(error: BaseException, source: str | io.BytesIO) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
    start = _start(source)
    return f"it is {what_it_is(start)} ({said})" if picture_format(start) else f"{said}: copy it anew, or convert it"


def _start(source: str | io.BytesIO) -> bytes:
    if isinstance(source, io.BytesIO):
        return source.getvalue()[:FIRST_BYTES]
    with open(source, "rb") as file:
        return file.read(FIRST_BYTES)
