"""What is cut of a picture, against torchvision's own transforms."""

import numpy as np
import pytest
import torch
from PIL import Image

from trainers.data.images import normalise
from trainers.data.torchvision_import import torchvision
from trainers.pictures.network_input import fitted, network_input

RULE = {"channels": 3, "size": 24, "resize_shorter_side": 27, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.2]}


def picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(width * height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    "sides", [(27, 27), (27, 90), (90, 27), (24, 24), (31, 64), (400, 333), (5, 9), (1, 1), (28, 27)]
)
def test_a_picture_is_fitted_as_torchvision_does(sides: tuple[int, int]) -> None:
    image, functional = picture(*sides), torchvision().transforms.v2.functional
    expected = functional.center_crop(functional.resize(image, [27]), [24, 24])
    assert np.array_equal(np.asarray(fitted(image, resize_shorter_side=27, size=24)), np.asarray(expected))
    pixels_1CHW = functional.pil_to_tensor(expected)[None]
    normalised = normalise(pixels_1CHW, tuple(RULE["mean"]), tuple(RULE["std"]))[0]  # type: ignore[arg-type]
    assert torch.allclose(torch.from_numpy(network_input(image, RULE)), normalised, atol=1e-6)


def test_of_one_channel_it_is_grey() -> None:
    image = picture(16, 16)
    rule = {"channels": 1, "size": 16, "resize_shorter_side": 16, "mean": [0.5], "std": [0.25]}
    expected = (np.asarray(image.convert("L"), np.float64) / 255 - 0.5) / 0.25
    assert np.allclose(network_input(image, rule), expected[None], atol=1e-5)
