"""A picture as a network takes it, by the rule that is kept with the network.

The rule is an object of JSON, as bundles, ONNX files and registered models hold it (`trainers.data.preprocessing`):

channels             1, grey by ITU-R 601 luma, or 3: red, green, blue
resize_shorter_side  pixels; bilinear, with antialiasing
size                 pixels, the side of the square that is then cut from the middle
mean, std            each channel's mean and standard deviation, of values in 0 to 1

Shapes: C channels, H height, W width.
"""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .looks import meant_rgb_image
from .opening import opened


def input_of_bytes(content: bytes, preprocessing: Mapping[str, Any]) -> NDArray[np.float32]:
    """The input (C, H, W) for what a picture's file holds. Raises UnreadablePicture where it cannot be read."""
    return network_input(opened(io.BytesIO(content), meant_rgb_image), preprocessing)


def network_input(rgb: Any, preprocessing: Mapping[str, Any]) -> NDArray[np.float32]:
    """The input (C, H, W) for a PIL image in RGB."""
    square = fitted(rgb if preprocessing["channels"] == 3 else rgb.convert("L"), **_sides(preprocessing))
    values_HWC = np.asarray(square, np.float32).reshape(*square.size[::-1], -1)
    mean_C, std_C = (255 * np.asarray(preprocessing[name], np.float32) for name in ("mean", "std"))
    return np.ascontiguousarray(((values_HWC - mean_C) / std_C).transpose(2, 0, 1))


def fitted(image: Any, *, resize_shorter_side: int, size: int) -> Any:
    """A PIL image resized until its shorter side is `resize_shorter_side`, and the square of `size` from its middle."""
    image = resized(image, resize_shorter_side)
    left, top = round((image.width - size) / 2), round((image.height - size) / 2)
    return image.crop((left, top, left + size, top + size))


def resized(image: Any, shorter_side: int) -> Any:
    """A PIL image resized until its shorter side is that, in pixels; bilinear, with antialiasing."""
    from PIL import Image

    shorter, longer = min(image.size), max(image.size)
    if shorter == shorter_side:
        return image
    longer = int(shorter_side * longer / shorter)
    sides = (shorter_side, longer) if image.width <= image.height else (longer, shorter_side)
    return image.resize(sides, Image.Resampling.BILINEAR)


def _sides(preprocessing: Mapping[str, Any]) -> dict[str, int]:
    return {name: preprocessing[name] for name in ("resize_shorter_side", "size")}
