"""What is done to the normalised images of a batch: rectangles are erased, and images mixed with their partners.

As torchvision's RandomErasing, MixUp and CutMix do it, but for each image by draws of its own, and with the partner of
its place in the whole batch: so they are the same wherever the parts of a batch are computed.

Shapes: L images that are loaded, B those of them that are trained on, which come first, C channels, H height, W width,
R draws for each, A attempts, T points of a table.
"""

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Of the image, its least and greatest part that is erased, the most attempts at a rectangle within it, and the greatest
# and least ratio of its height to its width.
ERASED_AREA = (0.02, 0.33)
ERASED_RATIO = (0.3, 3.3)
ATTEMPTS = 10
_TABLE = 4097


def erased_boxes(height: int, width: int, draws_LR: NDArray[np.float64], probability: float) -> NDArray[np.int64]:
    """The (top, left, bottom, right) of what is erased of each image, (L, 4), in pixels; empty where nothing is."""
    area_LA = height * width * (ERASED_AREA[0] + (ERASED_AREA[1] - ERASED_AREA[0]) * draws_LR[:, 1 : 1 + ATTEMPTS])
    low, high = np.log(ERASED_RATIO)
    ratio_LA = np.exp(low + (high - low) * draws_LR[:, 1 + ATTEMPTS : 1 + 2 * ATTEMPTS])
    height_LA, width_LA = np.rint(np.sqrt(area_LA * ratio_LA)), np.rint(np.sqrt(area_LA / ratio_LA))
    fits_LA = (height_LA < height) & (width_LA < width)
    chosen_L = (np.arange(len(draws_LR)), fits_LA.argmax(1))
    is_erased_L = (draws_LR[:, 0] < probability) & fits_LA[chosen_L]
    height_L, width_L = is_erased_L * height_LA[chosen_L], is_erased_L * width_LA[chosen_L]
    top_L = np.floor(draws_LR[:, -2] * (height - height_L + 1))
    left_L = np.floor(draws_LR[:, -1] * (width - width_L + 1))
    return np.stack([top_L, left_L, top_L + height_L, left_L + width_L], axis=1).astype(np.int64)


def erased(images_LCHW: Tensor, draws_LR: NDArray[np.float64], probability: float) -> Tensor:
    """The images with a rectangle of some of them set to 0, the mean of the data."""
    height, width = images_LCHW.shape[2:]
    boxes_L4 = erased_boxes(height, width, draws_LR, probability)
    erased_LCHW = images_LCHW.masked_fill(_inside(boxes_L4, images_LCHW), 0.0)
    return erased_LCHW.contiguous(memory_format=torch.channels_last)


def cut_boxes(height: int, width: int, draws_BR: NDArray[np.float64], alpha: float) -> NDArray[np.int64]:
    """The (top, left, bottom, right) that CutMix takes from each image's partner, (B, 4), in pixels."""
    half_B = 0.5 * np.sqrt(1 - beta_quantile(alpha, draws_BR[:, 0]))
    down_B, right_B = np.floor(draws_BR[:, 2] * height), np.floor(draws_BR[:, 3] * width)
    half_height_B, half_width_B = np.floor(half_B * height), np.floor(half_B * width)
    edges = (
        np.maximum(down_B - half_height_B, 0),
        np.maximum(right_B - half_width_B, 0),
        np.minimum(down_B + half_height_B, height),
        np.minimum(right_B + half_width_B, width),
    )
    return np.stack(edges, axis=1).astype(np.int64)


def mixed(
    images_LCHW: Tensor, partner_B: Tensor, draws_BR: NDArray[np.float64], mixup: float, cutmix: float
) -> tuple[Tensor, Tensor]:
    """The images mixed with those at the places `partner_B`, and the share of its own label that each has, (B).

    `mixup` and `cutmix` are alphas, not both 0; of both, each image takes one by chance.
    """
    own_BCHW, other_BCHW = images_LCHW[: len(partner_B)], images_LCHW[partner_B]
    height, width = images_LCHW.shape[2:]
    is_cut_B = draws_BR[:, 1] < (0.5 if mixup else 1.0) if cutmix else np.zeros(len(draws_BR), dtype=bool)
    share_B = np.where(is_cut_B, 1.0, beta_quantile(mixup, draws_BR[:, 0])) if mixup else np.ones(len(draws_BR))
    if mixup:
        weight_B111 = torch.from_numpy(share_B).to(own_BCHW)[:, None, None, None]
        # Two products and a sum: fused, they would round as the shape of the batch has it.
        own_BCHW = own_BCHW * weight_B111 + other_BCHW * (1 - weight_B111)
    if cutmix:
        boxes_B4 = is_cut_B[:, None] * cut_boxes(height, width, draws_BR, cutmix)
        area_B = (boxes_B4[:, 2] - boxes_B4[:, 0]) * (boxes_B4[:, 3] - boxes_B4[:, 1])
        share_B = np.where(is_cut_B, 1 - area_B / (height * width), share_B)
        own_BCHW = torch.where(_inside(boxes_B4, own_BCHW), other_BCHW, own_BCHW)
    mixed_BCHW = own_BCHW.contiguous(memory_format=torch.channels_last)
    return mixed_BCHW, torch.from_numpy(share_B).to(own_BCHW)


def beta_quantile(alpha: float, draws_B: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is drawn from the distribution Beta(alpha, alpha) by uniform draws, to within some 1e-4."""
    value_T, mass_T = _half_of_beta(alpha)
    below_B = np.interp(1 - np.abs(2 * draws_B - 1), mass_T, value_T) ** (1 / min(alpha, 1.0))
    return np.where(draws_B < 0.5, below_B, 1 - below_B)


@lru_cache(maxsize=16)
def _half_of_beta(alpha: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of 0 to 1/2, s = x^min(alpha, 1), of which the density has no pole, and the share of the mass that is below."""
    power = min(alpha, 1.0)
    value_T = np.linspace(0, 0.5**power, _TABLE)
    x_T = value_T ** (1 / power)
    density_T = x_T ** (alpha - power) * (1 - x_T) ** (alpha - 1)
    mass_T = np.concatenate([[0.0], np.cumsum(density_T[1:] + density_T[:-1])])
    return value_T, mass_T / mass_T[-1]


def _inside(boxes_B4: NDArray[np.int64], images_BCHW: Tensor) -> Tensor:
    """Whether a pixel is in the box of its image, (B, 1, H, W)."""
    height, width = images_BCHW.shape[2:]
    top_B1, left_B1, bottom_B1, right_B1 = torch.from_numpy(boxes_B4).to(images_BCHW.device)[:, :, None].unbind(1)
    row_H, column_W = (torch.arange(side, device=images_BCHW.device) for side in (height, width))
    is_row_BH = (row_H >= top_B1) & (row_H < bottom_B1)
    is_column_BW = (column_W >= left_B1) & (column_W < right_B1)
    return (is_row_BH[:, :, None] & is_column_BW[:, None, :])[:, None]
