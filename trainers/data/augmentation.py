"""Random changes of training images, each a pure function of the image and of uniform draws.

Shapes: B batch, C channels, H height, W width, R draws for each image.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from trainers.data.random_draws import PLACE, POLICY, sample_draws

# Random resized crops take this share of the image's area, at an aspect ratio within the given factor of 1.
CROP_AREA = (0.08, 1.0)
CROP_RATIO = 4 / 3


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to the training images of one epoch, each by itself.

    `augment` and `policy` are of `trainers.recipe.AUGMENTS` and `POLICIES`. `image_size` is the side of the images that
    come out, in pixels; None is that of the data.
    """

    augment: str
    seed: int
    epoch: int
    policy: str = "none"
    policy_magnitude: int = 9
    image_size: int | None = None

    def draws(self, sample_B: NDArray[np.int64]) -> NDArray[np.float64]:
        """By what these samples are moved and cropped, (B, 5), each row a function of seed, epoch and sample."""
        return sample_draws(self.seed, self.epoch, sample_B, PLACE)

    def policy_draws(self, sample_B: NDArray[np.int64]) -> NDArray[np.float64]:
        """By what the policy is drawn for these samples, (B)."""
        return sample_draws(self.seed, self.epoch, sample_B, POLICY)[:, 0]


def reach(image_size: int) -> int:
    """By how many pixels a shift or a padded crop moves an image at most: an eighth of its side."""
    return max(1, image_size // 8)


def crop_box(height: float, width: float, draws_BR: NDArray[np.float64]) -> NDArray[np.float64]:
    """The (top, left, height, width) of a random resized crop for each row of draws, (B, 4), inside the image."""
    area_B = height * width * (CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * draws_BR[:, 0])
    ratio_B = CROP_RATIO ** (2 * draws_BR[:, 1] - 1)
    box_height_B = np.minimum(np.sqrt(area_B / ratio_B), height)
    box_width_B = np.minimum(np.sqrt(area_B * ratio_B), width)
    top_B = (height - box_height_B) * draws_BR[:, 2]
    left_B = (width - box_width_B) * draws_BR[:, 3]
    return np.stack([top_B, left_B, box_height_B, box_width_B], axis=1)


def augment_batch(images_BCHW: Tensor, augment: str, draws_BR: NDArray[np.float64]) -> Tensor:
    """The augmented images of a batch held in memory, of the same shape; pixels from outside are 0 (black)."""
    if augment == "none":
        return images_BCHW
    if augment == "resized_crop":
        return _resized_crops(images_BCHW, draws_BR)
    return _padded_crops(images_BCHW, draws_BR, flip=augment == "flip_crop")


def _padded_crops(images_BCHW: Tensor, draws_BR: NDArray[np.float64], *, flip: bool) -> Tensor:
    batch, _, height, width = images_BCHW.shape
    margin = reach(height)
    device = images_BCHW.device
    offset_B2 = torch.from_numpy((draws_BR[:, :2] * (2 * margin + 1)).astype(np.int64)).to(device)
    row_BH = offset_B2[:, :1] + torch.arange(height, device=device)
    column_BW = torch.arange(width, device=device).expand(batch, width)
    if flip:
        mirrored_B = torch.from_numpy(draws_BR[:, 4] < 0.5).to(device)
        column_BW = torch.where(mirrored_B[:, None], width - 1 - column_BW, column_BW)
    column_BW = column_BW + offset_B2[:, 1:]
    padded = F.pad(images_BCHW, (margin, margin, margin, margin))
    sample_B = torch.arange(batch, device=device)
    crops_BHWC = padded[sample_B[:, None, None], :, row_BH[:, :, None], column_BW[:, None, :]]
    return crops_BHWC.permute(0, 3, 1, 2)


def _resized_crops(images_BCHW: Tensor, draws_BR: NDArray[np.float64]) -> Tensor:
    """Crops of random size and place, bilinearly resized to the image's own size, half of them mirrored."""
    top_B, left_B, height_B, width_B = crop_box(1.0, 1.0, draws_BR).T
    mirror_B = np.where(draws_BR[:, 4] < 0.5, -1.0, 1.0)
    zero_B = np.zeros_like(top_B)
    # In the coordinates of grid_sample the image reaches from -1 to 1.
    affine_B23 = np.stack(
        [
            np.stack([width_B * mirror_B, zero_B, 2 * left_B + width_B - 1], axis=1),
            np.stack([zero_B, height_B, 2 * top_B + height_B - 1], axis=1),
        ],
        axis=1,
    )
    images = images_BCHW.float()
    theta = torch.from_numpy(affine_B23).to(images)
    grid_BHW2 = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid_BHW2, padding_mode="border", align_corners=False)
