"""Local attention on a GPU by the Triton kernels: what the operator of `operators.py` runs.

Shapes: B batch, H height, W width, N heads, D channels a head, K spatial extent.
"""

from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from search_spaces.attention import triton_kernels
from search_spaces.attention.inputs import Inputs, empty_output, new_gradients, spread
from search_spaces.attention.measurements import device_table
from search_spaces.attention.triton_tiles import Choices, LocalPass, Tile, tile_for


def triton_forward(inputs: Inputs, spatial_extent: int, tuned: Choices | None = None) -> tuple[Tensor, Tensor]:
    """The output, (B, H, W, N, D), and the base-2 logarithm of each softmax's sum, (B, H, W, N).

    Tiles are as `tuned`, or, without that, as was tuned on the device.

    Queries, keys and values have one dtype of float32, bfloat16, float16 or, in the interpreter, float64.
    """
    tensors = _whole(inputs)
    query = tensors[0]
    output, log_sum = empty_output(query)
    if not query.numel():
        return output, log_sum
    images, height, width, heads, channels = query.shape
    tile = tile_of("forward", query, spatial_extent, tuned)
    triton_kernels.attend[tile.tiles(height, width) * images, tile.groups(heads) * tile.parts](
        *_passed(tensors), output, log_sum, *_strides(tensors), height, width, heads, channels,
        **_constants(tile, tensors, spatial_extent),
    )  # fmt: skip
    return output, log_sum


def triton_backward(
    gradient: Tensor,
    inputs: Inputs,
    output: Tensor,
    log_sum: Tensor,
    spatial_extent: int,
    tuned: Choices | None = None,
) -> list[Tensor]:
    """The gradients of the inputs that are there. The same bits every time."""
    tensors = _whole(inputs)
    query = tensors[0]
    gradients = new_gradients(inputs)
    if not query.numel():
        return [tensor.zero_() for tensor in gradients]
    d_query, d_key, d_value, d_row, d_column = spread(gradients, inputs)
    images, height, width, heads, channels = query.shape
    gradient = gradient.contiguous()
    tile, keys_tile = (tile_of("queries", query, spatial_extent, tuned), tile_of("keys", query, spatial_extent, tuned))
    sizes = (*_strides(tensors), height, width, heads, channels)
    delta = torch.empty_like(log_sum)
    grid = (
        tile.tiles(height, width),
        tile.groups(heads) * tile.parts,
        tile.image_programs(height, width, heads, images),
    )
    parts = None
    if tensors[3] is not None:
        parts = log_sum.new_empty(grid[0] * grid[2], heads, spatial_extent, channels)
    triton_kernels.attend_backward_queries[grid](
        *_passed(tensors),
        output,
        log_sum,
        gradient,
        d_query,
        delta,
        parts,
        *sizes,
        images,
        **_constants(tile, tensors, spatial_extent),
    )
    triton_kernels.attend_backward_keys[
        keys_tile.tiles(height, width) * images, keys_tile.groups(heads) * keys_tile.parts
    ](
        *_passed(tensors),
        log_sum,
        gradient,
        delta,
        d_key,
        d_value,
        *sizes,
        **_constants(keys_tile, tensors, spatial_extent),
    )
    if parts is not None and d_row is not None and d_column is not None:
        # One order of summation, and so the same bits every time.
        total = parts.sum(0)
        d_row.copy_(total[..., : channels // 2])
        d_column.copy_(total[..., channels // 2 :])
    return gradients


def tuned_choices(features: Tensor) -> Choices:
    """What was tuned on the device that these lie on."""
    return device_table(features.device.index).tiles if features.device.type == "cuda" else {}


def dtype_name(features: Tensor) -> str:
    """The dtype as tables name it."""
    return str(features.dtype).removeprefix("torch.")


def tile_of(part: LocalPass, query_BHWND: Tensor, spatial_extent: int, tuned: Choices | None) -> Tile:
    """The tile of a pass for such queries."""
    width, heads, channels = query_BHWND.shape[2:]
    tuned = tuned_choices(query_BHWND) if tuned is None else tuned
    return tile_for(part, width, heads, channels, spatial_extent, dtype_name(query_BHWND), tuned)


def _whole(inputs: Inputs) -> Inputs:
    """The same inputs, embeddings in one piece and each pixel's channels beside each other."""
    query, key, value, row, column = inputs
    query, value = _channels_together(query), _channels_together(value)
    key = None if key is None else _channels_together(key)
    return query, key, value, None if row is None else row.contiguous(), None if column is None else column.contiguous()


def _channels_together(features: Tensor) -> Tensor:
    return features if features.stride(-1) == 1 else features.contiguous()


def _passed(inputs: Inputs) -> tuple[Tensor | None, ...]:
    """The kernels' first arguments. Values stand in for missing keys, which are not read."""
    query, key, value, row, column = inputs
    return query, value if key is None else key, value, row, column


def _strides(inputs: Inputs) -> tuple[tuple[int, ...], ...]:
    """Of query, key and value: of an image, a row, a column and a head."""
    query, key, value = inputs[:3]
    return query.stride()[:4], (value if key is None else key).stride()[:4], value.stride()[:4]


def _constants(tile: Tile, inputs: Inputs, spatial_extent: int) -> dict[str, Any]:
    """What the kernels are compiled for."""
    query, key, _, row, _ = inputs
    of_inputs = {"EXTENT": spatial_extent, "HAS_KEY": key is not None, "HAS_POSITIONS": row is not None}
    return tile_constants(tile) | precision_constants(query.dtype) | of_inputs


def precision_constants(dtype: torch.dtype) -> dict[str, Any]:
    """How numbers are multiplied and summed: float32 as torch's own products are told to."""
    # `fp32_precision` can be asked whichever of torch's settings was made; `allow_tf32` raises where several were.
    rounded = dtype != torch.float64 and torch.backends.cuda.matmul.fp32_precision == "tf32"
    return {
        "ACCUMULATOR": tl.float64 if dtype == torch.float64 else tl.float32,
        "PRECISION": "tf32" if rounded else "ieee",
    }


def tile_constants(tile: Tile) -> dict[str, Any]:
    """The tile under the names of the kernels."""
    return {
        "TILE_HEADS": tile.heads,
        "TILE_ROWS": tile.rows,
        "STRIP": tile.strip,
        "P": tile.window,
        "WHOLE": tile.whole,
        "D": tile.channels,
        "C": tile.multiplied,
        "W": tile.written,
        "num_warps": tile.warps,
        "num_stages": tile.stages,
    }
