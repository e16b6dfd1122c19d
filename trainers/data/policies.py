"""RandAugment, TrivialAugment and AugMix, as torchvision has them, each a function of the image and of one draw.

torchvision's transforms draw from torch's global generator. It is seeded for each image, and left as it was.

Shapes: B batch, C channels, H height, W width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainers.data.torchvision_import import torchvision

# How many different seeds a draw can stand for: those that a float64 in [0, 1) tells apart.
_SEEDS = 2**53


def changed_image(image: Any, policy: str, magnitude: int, draw: float) -> Any:
    """The image, a PIL image in RGB or a uint8 tensor (C, H, W), after one of `trainers.recipe.POLICIES`.

    `magnitude` is RandAugment's, 0 to 30; AugMix has its published severity, and TrivialAugment has none. What comes
    from outside the image is black.
    """
    if policy == "none":
        return image
    with _seeded(int(draw * _SEEDS)):
        return _transform(policy, magnitude)(image)


def changed_batch(images_BCHW: Tensor, policy: str, magnitude: int, draws_B: NDArray[np.float64]) -> Tensor:
    """The images of a batch on the CPU, of values 0 to 255, each changed by itself: uint8, of the same shape."""
    whole_BCHW = images_BCHW if images_BCHW.dtype == torch.uint8 else images_BCHW.round().clamp(0, 255).byte()
    pairs = zip(whole_BCHW, draws_B.tolist(), strict=True)
    return torch.stack([changed_image(image_CHW, policy, magnitude, draw) for image_CHW, draw in pairs])


@lru_cache(maxsize=64)
def _transform(policy: str, magnitude: int) -> Any:
    transforms = torchvision().transforms.v2
    bilinear = transforms.InterpolationMode.BILINEAR
    if policy == "rand_augment":
        return transforms.RandAugment(magnitude=magnitude, interpolation=bilinear)
    return {"trivial_augment": transforms.TrivialAugmentWide, "aug_mix": transforms.AugMix}[policy](
        interpolation=bilinear
    )


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    # Not torch.manual_seed, which seeds the generators of GPUs, too.
    generator = torch.default_generator
    before = generator.get_state()
    generator.manual_seed(seed)
    try:
        yield
    finally:
        generator.set_state(before)
