"""Local multi-head self-attention as the paper defines it (arXiv 1906.05909, equation 2), in plain torch operators.

    y_ij = Σ_ab softmax_ab(q_ij·k_ab + q_ij·r_(a−i, b−j)) v_ab

over the K×K neighbourhood of pixel ij, separately in each head, with no 1/√D scale. Neighbours outside the image are
masked: they take no part in the softmax. The other backends equal this one in value and in every gradient.

Shapes: B batch, H height, W width, N heads, D channels a head, d = D/2, K spatial extent, P = K² neighbours.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from search_spaces.attention.positional import relative_embeddings


def reference_attention(
    query_BHWND: Tensor,
    key_BHWND: Tensor | None,
    value_BHWND: Tensor,
    row_NKd: Tensor | None,
    column_NKd: Tensor | None,
    *,
    spatial_extent: int,
) -> Tensor:
    """The equation as it stands, in the inputs' common dtype."""
    logits_BHWNP = query_BHWND.new_zeros(())
    if key_BHWND is not None:
        logits_BHWNP = (query_BHWND[..., None, :] @ _neighbours(key_BHWND, spatial_extent)).squeeze(-2)
    if row_NKd is not None and column_NKd is not None:
        relative_NPD = relative_embeddings(row_NKd, column_NKd).flatten(1, 2)
        logits_BHWNP = logits_BHWNP + torch.einsum("bhwnd,npd->bhwnp", query_BHWND, relative_NPD)
    height, width = query_BHWND.shape[1:3]
    inside_HWP = _inside_image(height, width, spatial_extent, query_BHWND.device)
    weights_BHWNP = logits_BHWNP.masked_fill(~inside_HWP[None, :, :, None], -torch.inf).softmax(-1)
    return (_neighbours(value_BHWND, spatial_extent) @ weights_BHWNP[..., None]).squeeze(-1)


def _neighbours(features_BHWND: Tensor, extent: int) -> Tensor:
    """(B, H, W, N, D, P): the features of each pixel's P = K² neighbours, zero outside the image."""
    reach = extent // 2
    padded = F.pad(features_BHWND, (0, 0, 0, 0, reach, reach, reach, reach))
    return padded.unfold(1, extent, 1).unfold(2, extent, 1).flatten(-2)


def _inside_image(height: int, width: int, extent: int, device: torch.device) -> Tensor:
    """(H, W, P): which neighbours of each pixel lie in the image."""
    offset = torch.arange(extent, device=device) - extent // 2
    row_HK = torch.arange(height, device=device)[:, None] + offset
    column_WK = torch.arange(width, device=device)[:, None] + offset
    row_inside_HK = (row_HK >= 0) & (row_HK < height)
    column_inside_WK = (column_WK >= 0) & (column_WK < width)
    return (row_inside_HK[:, None, :, None] & column_inside_WK[None, :, None, :]).flatten(-2)
