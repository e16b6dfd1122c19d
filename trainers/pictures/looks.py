"""What is particular about a picture, and whether its values are what its depth says: they may be of fewer bits."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .rgb import (
    SIXTEEN_BITS,
    UnreadablePicture,
    full_scale,
    is_integer_grey,
    is_white_zero,
    orientation_of,
    rgb_image,
)

EIGHT_BITS = 255
# Images of which no value is above this share of white come out almost black. Where they are of 16 bits, their values
# are most likely of 12 bits or fewer.
DARKEST_SHARE = 1 / 16


@dataclass(frozen=True, slots=True)
class Look:
    """What is particular about an image, in words, and the greatest of its values where white is `white`.

    White is 65,535 of 16 bits, of which Pillow may have kept only the upper ones, so that the greatest is no more than
    that, 1 of floating point, and 255 of all whose range the file says.
    """

    particulars: tuple[str, ...]
    greatest: float
    white: int

    @property
    def is_dark(self) -> bool:
        return self.greatest < DARKEST_SHARE * self.white

    @property
    def is_deep(self) -> bool:
        """Whether it has more than 8 bits a value."""
        return self.white != EIGHT_BITS

    def darkness(self, which: str = "") -> str:
        """What is wrong with a dark one, `which` naming it where it is one of several, and what to do about it."""
        kind, advice = {
            EIGHT_BITS: ("", ""),
            SIXTEEN_BITS: ("of 16 bits and ", "; values of 12 bits have to be multiplied by 16"),
        }.get(self.white, ("of floating point and ", ""))
        return f"{kind}almost black, {self.greatest:,.6g} at most{which}: expected values up to {self.white:,}{advice}"


def look_at_image(image: Any) -> Look:
    """What is particular about a PIL image that was not loaded yet. Raises as `rgb_image` does."""
    return _look_and_rgb(image)[0]


def meant_rgb_image(image: Any) -> Any:
    """A PIL image that was not loaded yet as RGB, for a use by itself: there are no others to say what is meant.

    Raises as `rgb_image` does, and UnreadablePicture where it has more than 8 bits a value and comes out almost black.
    """
    look, rgb = _look_and_rgb(image)
    if look.is_deep and look.is_dark:
        raise UnreadablePicture(f"it is {look.darkness()}")
    return rgb


def is_deep_colour(image: Any) -> bool:
    """Whether it has several channels of 16 bits, which Pillow reads as 8; asked before it is loaded."""
    if not image.tile or is_integer_grey(image):
        return False
    codec, arguments = image.tile[0].codec_name, image.tile[0].args
    raw_mode = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return codec == "SGI16" or (isinstance(raw_mode, str) and ";16" in raw_mode)


def _look_and_rgb(image: Any) -> tuple[Look, Any]:
    particulars = []
    # The frames of a Photoshop file are layers; it is read as the picture that they make.
    if image.format != "PSD" and getattr(image, "is_animated", False):
        particulars.append("the first of several frames or pages")
        image.seek(0)
    is_deep = is_deep_colour(image)
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
    elif is_deep:
        particulars.append(f"16-bit colour, 0 to {SIXTEEN_BITS:,} as black to white")
        greatest, white = 256.0 * _greatest_opaque(image) + 255, SIXTEEN_BITS
    if image.mode in ("CMYK", "YCbCr", "HSV", "LAB"):
        particulars.append(f"{image.mode} as RGB, whatever colour profile it brings")
    if image.has_transparency_data:
        particulars.append("what is transparent as white")
    if orientation_of(image) != 1:
        particulars.append("turned as its EXIF orientation says")
    rgb = rgb_image(image)
    return Look(tuple(particulars), float(np.asarray(rgb).max()) if greatest is None else greatest, white), rgb


def _greatest_opaque(image: Any) -> int:
    """The greatest value of an image of several channels where it is not transparent; white where all of it is."""
    values_HWC = np.asarray(image.convert("RGBA"))
    opaque_NC = values_HWC[values_HWC[:, :, 3] > 0][:, :3]
    return int(opaque_NC.max()) if opaque_NC.size else EIGHT_BITS
