"""Local attention by batched matrix products of blocks of queries with their halo of keys, in plain torch operators.

The image is cut into square blocks; a block's queries meet all keys within reach of the block, and the pairs that lie
further apart than the neighbourhood are masked. Images are taken a few at a time, and each share is computed
again in the backward pass rather than kept, so that memory stays near that of the inputs.

Shapes: B batch, H height, W width, N heads, D channels a head, d = D/2, K spatial extent, R rows and C columns of
blocks, S side of a block, T = S + K − 1 side of its halo.
"""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

# The longest side of a block: masked pairs cost as much as others, and count most where heads have few channels.
MAX_BLOCK = 8
MAX_BLOCK_FEW_CHANNELS = 4
FEW_CHANNELS = 32

# The logits of as many images as have this many elements are held at once, and at least of one image. An accelerator
# needs more work at a time than a CPU's caches hold.
MAX_LOGITS_CPU = 2**20
MAX_LOGITS = 2**24

# A logit that no neighbour has. It is finite so that queries in the padding of the last blocks stay finite too.
MASKED = -1e30


def blocks_attention(
    query_BHWND: Tensor,
    key_BHWND: Tensor | None,
    value_BHWND: Tensor,
    row_NKd: Tensor | None,
    column_NKd: Tensor | None,
    *,
    spatial_extent: int,
) -> Tensor:
    """Attention of every pixel over its neighbourhood, (B, H, W, N, D); the softmax in float32 at least."""
    batch, height, width, heads, channels = query_BHWND.shape
    side = _block_side(height, width, channels)
    blocks = -(-height // side) * -(-width // side)
    logits = blocks * heads * side**2 * (side + spatial_extent - 1) ** 2
    images = max(1, (MAX_LOGITS_CPU if query_BHWND.device.type == "cpu" else MAX_LOGITS) // logits)
    if torch.compiler.is_exporting():
        # Of a graph for any number of images; a loop would be written out for the number that it was exported with.
        return _attention(query_BHWND, key_BHWND, value_BHWND, row_NKd, column_NKd, spatial_extent, side)
    outputs = []
    for start in range(0, max(batch, 1), images):
        share = slice(start, start + images)
        key_bHWND = None if key_BHWND is None else key_BHWND[share]
        outputs.append(
            checkpoint(
                _attention,
                query_BHWND[share],
                key_bHWND,
                value_BHWND[share],
                row_NKd,
                column_NKd,
                spatial_extent,
                side,
                use_reentrant=False,
                preserve_rng_state=False,
            )
        )
    return torch.cat(outputs)


def _block_side(height: int, width: int, channels: int) -> int:
    """The side of a block: the fewest blocks within the limit, evenly filled."""
    limit = MAX_BLOCK_FEW_CHANNELS if channels < FEW_CHANNELS else MAX_BLOCK
    longest = max(height, width)
    return -(-longest // -(-longest // limit))


def _attention(
    query_BHWND: Tensor,
    key_BHWND: Tensor | None,
    value_BHWND: Tensor,
    row_NKd: Tensor | None,
    column_NKd: Tensor | None,
    extent: int,
    side: int,
) -> Tensor:
    height, width = query_BHWND.shape[1:3]
    query_BNRCSSD = _blocks(query_BHWND, side)
    softmax_dtype = torch.promote_types(query_BHWND.dtype, torch.float32)
    rows, columns = query_BNRCSSD.shape[2:4]
    row_bias = _outside(height, rows, side, extent, query_BHWND).to(softmax_dtype)[:, None, :, None]
    column_bias = _outside(width, columns, side, extent, query_BHWND).to(softmax_dtype)[None, :, None]
    if row_NKd is not None and column_NKd is not None:
        half = row_NKd.shape[-1]
        row_NSTd, column_NSTd = _offsets(row_NKd, side), _offsets(column_NKd, side)
        row_bias = row_bias + torch.einsum("bnrcyxd,nytd->bnrcyxt", query_BNRCSSD[..., :half], row_NSTd)
        column_bias = column_bias + torch.einsum("bnrcyxd,nxtd->bnrcyxt", query_BNRCSSD[..., half:], column_NSTd)
    logits_BNRCSSTT = row_bias[..., :, None] + column_bias[..., None, :]
    if key_BHWND is not None:
        key_BNRCPD = _halos(key_BHWND, side, extent)
        products_BNRCQP = query_BNRCSSD.flatten(4, 5) @ key_BNRCPD.transpose(-1, -2)
        halo = side + extent - 1
        logits_BNRCSSTT = logits_BNRCSSTT + products_BNRCQP.unflatten(-1, (halo, halo)).unflatten(-3, (side, side))
    weights_BNRCQP = logits_BNRCSSTT.flatten(-2).softmax(-1).flatten(-3, -2).to(value_BHWND.dtype)
    value_BNRCPD = _halos(value_BHWND, side, extent)
    weights_BNRCQP = weights_BNRCQP.expand(value_BNRCPD.shape[:4] + weights_BNRCQP.shape[4:])
    return _image(weights_BNRCQP @ value_BNRCPD, side, height, width)


def _blocks(features_BHWND: Tensor, side: int) -> Tensor:
    """(B, N, R, C, S, S, D), the image padded with zeros to whole blocks."""
    height, width = features_BHWND.shape[1:3]
    padded = F.pad(features_BHWND, (0, 0, 0, 0, 0, -width % side, 0, -height % side))
    return padded.unflatten(2, (-1, side)).unflatten(1, (-1, side)).permute(0, 5, 1, 3, 2, 4, 6)


def _image(output_BNRCQD: Tensor, side: int, height: int, width: int) -> Tensor:
    """(B, N, R, C, S·S, D) back to (B, H, W, N, D), the padding cut off."""
    output = output_BNRCQD.unflatten(4, (side, side)).permute(0, 2, 4, 3, 5, 1, 6)
    return output.flatten(3, 4).flatten(1, 2)[:, :height, :width]


def _halos(features_BHWND: Tensor, side: int, extent: int) -> Tensor:
    """(B, N, R, C, T·T, D): every block with the K // 2 pixels around it."""
    height, width = features_BHWND.shape[1:3]
    reach = extent // 2
    padding = (0, 0, 0, 0, reach, reach + -width % side, reach, reach + -height % side)
    halo = side + extent - 1
    halos_BRCNDTT = F.pad(features_BHWND, padding).unfold(1, halo, side).unfold(2, halo, side)
    return halos_BRCNDTT.permute(0, 3, 1, 2, 5, 6, 4).flatten(4, 5)


def _offsets(embedding_NKd: Tensor, side: int) -> Tensor:
    """(N, S, T, d): the embedding between each place of a block and of its halo, zero where these are too far apart."""
    return torch.stack([F.pad(embedding_NKd, (0, 0, place, side - 1 - place)) for place in range(side)], dim=1)


def _outside(length: int, blocks: int, side: int, extent: int, like: Tensor) -> Tensor:
    """(blocks, S, T): 0 for a pair of one axis within reach of each other and inside the image, −1e30 for any other."""
    place_S = torch.arange(side, device=like.device)[:, None]
    place_T = torch.arange(side + extent - 1, device=like.device)
    near_ST = (place_T >= place_S) & (place_T < place_S + extent)
    position_RT = torch.arange(blocks, device=like.device)[:, None] * side + place_T - extent // 2
    inside_RT = (position_RT >= 0) & (position_RT < length)
    return torch.where(near_ST & inside_RT[:, None], 0.0, MASKED)
