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
# Where a TIFF says what its pixels are, and where in the file they lie: in strips, or in tiles.
_BITS_PER_SAMPLE, _COMPRESSION, _SAMPLES_PER_PIXEL, _SAMPLE_FORMAT = 258, 259, 277, 339
_STRIPS, _TILES = (273, 279), (324, 325)
_VALUES = {1: "whole numbers", 2: "signed whole numbers", 3: "floating point", 5: "complex", 6: "complex"}


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
        raise UnreadablePicture(f"it is {_tiff_of_no_known_kind(source) or what_it_is(_start(source))}") from error
    except DAMAGE as error:
        raise UnreadablePicture(_damaged(error, source)) from error


def _tiff_of_no_known_kind(source: str | io.BytesIO) -> str | None:
    """What a TIFF is whose kind Pillow does not know, and what to do about it.

    None of another file, and of one that has not all that its tags promise.
    """
    if picture_format(_start(source)) != "TIFF":
        return None
    from PIL.TiffImagePlugin import COMPRESSION_INFO, ImageFileDirectory_v2

    with (
        io.BytesIO(source.getvalue()) if isinstance(source, io.BytesIO) else open(source, "rb") as file,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        try:
            tags = ImageFileDirectory_v2(file.read(8))
            file.seek(tags.next)
            tags.load(file)
            starts, lengths = (tags[tag] for tag in (_TILES if _TILES[0] in tags else _STRIPS))
            end = max(start + length for start, length in zip(starts, lengths, strict=True))
            bits, values = tags[_BITS_PER_SAMPLE][0], tags.get(_SAMPLE_FORMAT, (1,))[0]
        except DAMAGE:
            return None
        if end > file.seek(0, io.SEEK_END):
            return None
    pixel = f"{tags.get(_SAMPLES_PER_PIXEL, 1)} × {bits} bits a pixel, {_VALUES.get(values, 'of no known meaning')}"
    compression = tags.get(_COMPRESSION, 1)
    packed = "" if compression in COMPRESSION_INFO else f", compressed in way {compression}"
    return f"a TIFF of a kind that is not read here ({pixel}{packed}): save it with 8 bits a value, as JPEG or PNG"


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
