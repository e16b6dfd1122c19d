"""A PIL image as RGB, 8 bits a channel, as it was meant: depth, orientation, transparency and palette.

The rules, the same for every split and for whoever uses a network:
- 16-bit grey is scaled by 65,535, whatever an image holds of it, 12-bit grey by 4,095. 32-bit integers are taken for
  16 bits, if they are 0 to 65,535 and not all below 256. Floating point is 0 to 1.
- What is transparent is laid over white.
- An image is turned as its EXIF orientation says.
- Of several frames or pages the first is taken.

Shapes: H height, W width.
"""

import struct
import warnings
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIXTEEN_BITS = 65_535
TWELVE_BITS = 4_095
# What Pillow raises over a damaged file; its less common formats raise whatever their parsing ran into.
DAMAGE: tuple[type[Exception], ...] = (
    OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, ArithmeticError, RuntimeError, AttributeError,
    struct.error, zlib.error,
)  # fmt: skip
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE, _PHOTOMETRIC, _SAMPLE_FORMAT = 258, 262, 339
_SIGNED = 2
# Values of floating point whose greatest is above this, and no more than 255, were most likely of 8 bits once.
_LEAST_OF_EIGHT_BITS = 32
_WHITE = (255, 255, 255, 255)


class UnreadablePicture(ValueError):
    """A picture that cannot be read: why not, and after a colon what to do about it, without a full stop."""


def rgb_image(image: Any, *, turned: bool = True) -> Any:
    """The image as RGB, as it is stored where it is not to be `turned`.

    Raises one of `DAMAGE` where it is damaged, UnreadablePicture among them where its values are none that these rules
    know.
    """
    from PIL import Image

    image.load()
    orientation = orientation_of(image)
    turns = Image.Transpose
    turn = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }.get(orientation)
    if is_integer_grey(image) or image.mode == "F":
        rgb = Image.fromarray(_eight_bits(image)).convert("RGB")
    elif image.has_transparency_data:
        rgba = image.convert("RGBA")
        rgb = Image.alpha_composite(Image.new("RGBA", rgba.size, _WHITE), rgba).convert("RGB")
    else:
        rgb = image.convert("RGB")
    return rgb.transpose(turn) if turned and turn is not None else rgb


def _eight_bits(image: Any) -> NDArray[np.uint8]:
    """Grey values of more than 8 bits as 8 bits, (H, W). Raises UnreadablePicture where their scale is not known."""
    values_HW = np.asarray(image)
    if image.mode == "F":
        _check_real(values_HW)
        full = 1
    else:
        if image.mode == "I" and _tiff_tag(image, _SAMPLE_FORMAT, (_SIGNED,)) != (_SIGNED,):
            # Pillow takes all for signed.
            values_HW = values_HW.astype(np.uint32)
        lowest, greatest = values_HW.min(), values_HW.max()
        if lowest < 0 or greatest > SIXTEEN_BITS:
            raise UnreadablePicture(
                f"its values are {lowest:,} to {greatest:,}: expected 0 to {SIXTEEN_BITS:,}; {_scaling(SIXTEEN_BITS)}"
            )
        # A portable greymap is scaled to 16 bits by Pillow; elsewhere 32 bits may well hold values of 8.
        if image.mode == "I" and image.format != "PPM" and 0 < greatest < 256:
            raise UnreadablePicture(
                f"its 32-bit values are {lowest} to {greatest}: expected 16 bits, or a file of 8 bits; save such "
                "values with 8 bits each"
            )
        full = full_scale(image)
    eight_HW = np.rint(values_HW * (255.0 / full)).astype(np.uint8)
    if is_white_zero(image):
        # Pillow turns such images of up to 8 bits, and no others.
        eight_HW = 255 - eight_HW
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        eight_HW[values_HW == transparent] = 255
    return eight_HW


def _check_real(values_HW: NDArray[np.floating[Any]]) -> None:
    """Raises UnreadablePicture where values of floating point are not 0 to 1."""
    if strange := int(values_HW.size - np.isfinite(values_HW).sum()):
        raise UnreadablePicture(
            f"{strange:,} of its {values_HW.size:,} values are not numbers (NaN) or are infinite: expected 0 to 1; "
            "give those pixels a value, or remove the image"
        )
    lowest, greatest = values_HW.min(), values_HW.max()
    if lowest >= 0 and greatest <= 1:
        return
    advice = _scaling(1)
    if lowest >= 0 and greatest > _LEAST_OF_EIGHT_BITS:
        white = "255" if greatest <= 255 else f"what stands for white ({SIXTEEN_BITS:,} of 16 bits)"
        advice = f"divide them by {white}, in all images"
    raise UnreadablePicture(f"its floating point values are {lowest:g} to {greatest:g}: expected 0 to 1; {advice}")


def _scaling(white: int) -> str:
    return f"scale them to 0 to {white:,}, by the same rule in all images, and not each by its own extremes"


def is_integer_grey(image: Any) -> bool:
    """Whether it is of one channel of 16 or 32 bits."""
    return image.mode == "I" or image.mode.startswith("I;16")


def full_scale(image: Any) -> int:
    """What stands for white in an image of integers."""
    return TWELVE_BITS if _tiff_tag(image, _BITS_PER_SAMPLE, (16,)) == (12,) else SIXTEEN_BITS


def is_white_zero(image: Any) -> bool:
    """Whether its zero stands for white."""
    return _tiff_tag(image, _PHOTOMETRIC, 1) == 0


def _tiff_tag(image: Any, tag: int, default: Any) -> Any:
    return image.tag_v2.get(tag, default) if image.format == "TIFF" else default


def orientation_of(image: Any) -> int:
    """How it is to be turned, 1 to 8 as EXIF has it."""
    with warnings.catch_warnings():
        # Where EXIF data are damaged Pillow warns or raises, and the image itself may be whole: taken as it lies.
        warnings.simplefilter("ignore")
        try:
            found = image.getexif().get(_ORIENTATION, 1)
        except DAMAGE:
            return 1
    return found if found in range(1, 9) else 1
