"""Local attention on a GPU by the Triton kernels: what the operator of `operators.py` runs.

Shapes: B batch, H height, W width, N heads, D channels a head, K spatial extent.
"""

from collections.abc import Sequence
from typing import Any

import torch
import triton.language as tl
from torch import Tensor

from search_spaces.attention import triton_kernels, triton_kernels_backward
from search_spaces.attention.inputs import Inputs, empty_output, new_gradients, spread
from search_spaces.attention.measurements import device_table
from search_spaces.attention.triton_tiles import SIDE, Choices, LocalPass, Tile, power_of_two, tile_for


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
    images, height, width = query.shape[:3]
    tile = tile_of("forward", query, spatial_extent, tuned)
    triton_kernels.attend[_grid(tile, query)](
        *_passed(tensors), output, log_sum, *_strides(tensors), height, width, images,
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
    gradients = new_gradients(inputs)
    triton_backward_into(gradients, gradient, inputs, output, log_sum, spatial_extent, tuned)
    return gradients


def triton_backward_into(
    gradients: Sequence[Tensor],
    gradient: Tensor,
    inputs: Inputs,
    output: Tensor,
    log_sum: Tensor,
    spatial_extent: int,
    tuned: Choices | None = None,
) -> None:
    """Writes the gradients of the inputs that are there, of queries, keys and values to where each pixel's numbers lie
    beside each other."""
    tensors = _whole(inputs)
    query = tensors[0]
    if not query.numel():
        for tensor in gradients:
            tensor.zero_()
        return
    d_query, d_key, d_value, d_row, d_column = spread(gradients, inputs)
    images, height, width, _, channels = query.shape
    gradient = gradient.contiguous()
    tile, keys_tile = (tile_of("queries", query, spatial_extent, tuned), tile_of("keys", query, spatial_extent, tuned))
    sizes = (height, width, images)
    delta = torch.empty_like(log_sum)
    grid = _grid(tile, query)
    parts = None
    if tensors[3] is not None:
        parts = log_sum.new_empty(grid[0] * grid[2], query.shape[3], spatial_extent, channels)
    assert d_query is not None and d_value is not None
    triton_kernels_backward.attend_backward_queries[grid](
        *_passed(tensors), output, log_sum, gradient, d_query, delta, parts,
        *_strides(tensors), d_query.stride()[:3], *sizes,
        **_constants(tile, tensors, spatial_extent),
    )  # fmt: skip
    triton_kernels_backward.attend_backward_keys[_grid(keys_tile, query)](
        *_passed(tensors), log_sum, gradient, delta, d_key, d_value,
        *_strides(tensors), (d_value if d_key is None else d_key).stride()[:3], d_value.stride()[:3], *sizes,
        **_constants(keys_tile, tensors, spatial_extent), **_key_constants(keys_tile, spatial_extent),
    )  # fmt: skip
    if parts is not None and d_row is not None and d_column is not None:
        # One order of summation, and so the same bits every time.
        total = parts.sum(0)
        d_row.copy_(total[..., : channels // 2])
        d_column.copy_(total[..., channels // 2 :])


def tuned_choices(features: Tensor) -> Choices:
    """What was tuned on the device that these lie on."""
    return device_table(features.device.index).tiles if features.device.type == "cuda" else {}


def dtype_name(features: Tensor) -> str:
    """The dtype as tables name it."""
    return str(features.dtype).removeprefix("torch.")


def tile_of(part: LocalPass, query_BHWND: Tensor, spatial_extent: int, tuned: Choices | None) -> Tile:
    """The tile of a pass for such queries."""
    _, height, width, heads, channels = query_BHWND.shape
    tuned = tuned_choices(query_BHWND) if tuned is None else tuned
    return tile_for(part, height, width, heads, channels, spatial_extent, dtype_name(query_BHWND), tuned)


def _grid(tile: Tile, query: Tensor) -> tuple[int, int, int]:
    """Blocks of an image, groups of heads, and programs that share the images."""
    images, height, width, heads, _ = query.shape
    return tile.blocks(height, width), tile.groups(heads), tile.image_programs(height, width, heads, images)


def _whole(inputs: Inputs) -> Inputs:
    """The same inputs, embeddings in one piece and each pixel's numbers beside each other."""
    query, key, value, row, column = inputs
    query, value = _beside_each_other(query), _beside_each_other(value)
    key = None if key is None else _beside_each_other(key)
    return query, key, value, None if row is None else row.contiguous(), None if column is None else column.contiguous()


def _beside_each_other(features: Tensor) -> Tensor:
    channels = features.shape[-1]
    return features if features.stride()[3:] == (channels, 1) else features.contiguous()


def _passed(inputs: Inputs) -> tuple[Tensor | None, ...]:
    """The kernels' first arguments. Values stand in for missing keys, which are not read."""
    query, key, value, row, column = inputs
    return query, value if key is None else key, value, row, column


def _strides(inputs: Inputs) -> tuple[tuple[int, ...], ...]:
    """Of query, key and value: of an image, a row and a column."""
    query, key, value = inputs[:3]
    return query.stride()[:3], (value if key is None else key).stride()[:3], value.stride()[:3]


def _constants(tile: Tile, inputs: Inputs, spatial_extent: int) -> dict[str, Any]:
    """What the kernels are compiled for."""
    query, key, value, row, _ = inputs
    of_inputs = {
        "heads": query.shape[3],
        "CHANNELS": query.shape[4],
        "EXTENT": spatial_extent,
        "HAS_KEY": key is not None,
        "HAS_POSITIONS": row is not None,
        "WIDE": max(map(_reach_of_image, (query, value if key is None else key, value))) >= 2**31,
    }
    return tile_constants(tile) | precision_constants(query.dtype) | of_inputs


def _reach_of_image(features: Tensor) -> int:
    """One more than where in an image the farthest number lies that a window may ask for, inside or not, here or in the
    output, which is in one piece."""
    _, height, width, heads, channels = features.shape
    strides = (max(features.stride(1), width * heads * channels), max(features.stride(2), heads * channels))
    return (height + 2 * SIDE) * strides[0] + (width + 2 * SIDE) * strides[1]


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
        "HEADS": tile.heads,
        "PIXELS": tile.pixels,
        "ROWS": tile.rows,
        "COLUMNS": tile.columns,
        "WINDOW_ROWS": tile.window_rows,
        "WINDOW_COLUMNS": tile.window_columns,
        "WHOLE_WIDTH": tile.whole_width,
        "SIDE": tile.side,
        "P": tile.window,
        "UNROLLED": tile.parts if tile.unrolled else 1,
        "D": tile.channels,
        "num_warps": tile.warps,
        "num_stages": tile.stages,
        "maxnreg": tile.registers or None,
    }


def _key_constants(tile: Tile, spatial_extent: int) -> dict[str, int]:
    """What the pass over keys is compiled for beside that."""
    least = SIDE // tile.heads
    offsets = SIDE // 2 if spatial_extent <= SIDE // 2 else SIDE
    return {"OFFSETS": max(offsets, least // 2), "TERMS": max(least, power_of_two(tile.rows + tile.columns))}
