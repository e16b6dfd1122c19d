"""Where a pixel is, said to attention: sinusoids added to the input, or learned embeddings of relative offsets.

Shapes: H height, W width, C channels, N heads, D channels a head, K spatial extent.
"""

import math

import torch
from torch import Tensor


def sinusoidal_encoding(height: int, width: int, channels: int, *, device: torch.device, dtype: torch.dtype) -> Tensor:
    """The fixed absolute encoding of every pixel, (H, W, C): rows in the first half of the channels, then columns.

    Sinusoids of geometrically spaced wavelengths (arXiv 1706.03762, section 3.5) along each axis.
    """
    rows = channels // 2
    row_HC = _sinusoids(height, rows, device)
    column_WC = _sinusoids(width, channels - rows, device)
    encoding_HWC = torch.cat(
        [row_HC[:, None].expand(height, width, -1), column_WC[None].expand(height, width, -1)], dim=-1
    )
    return encoding_HWC.to(dtype)


def _sinusoids(length: int, channels: int, device: torch.device) -> Tensor:
    position = torch.arange(length, device=device, dtype=torch.float32)
    pairs = (channels + 1) // 2
    pair = torch.arange(pairs, device=device, dtype=torch.float32)
    frequency = torch.exp(pair * (-math.log(10000.0) / max(pairs, 1)))
    angle = position[:, None] * frequency
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)[:, :channels]


def relative_embeddings(row_NKd: Tensor, column_NKd: Tensor) -> Tensor:
    """r for every offset of a K×K neighbourhood, (N, K, K, D): half of each head from the row, half from the column."""
    heads, extent, _ = row_NKd.shape
    return torch.cat(
        [
            row_NKd[:, :, None].expand(heads, extent, extent, -1),
            column_NKd[:, None].expand(heads, extent, extent, -1),
        ],
        dim=-1,
    )
