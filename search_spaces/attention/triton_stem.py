"""The attention stem on a GPU by the Triton kernels: what its operator of `stem_operators.py` runs.

Shapes: B batch, H height, W width, C colours, N heads, D channels a head, M components of a value, P the 16 pixels of a
block, K = C·M, filled up.
"""

from typing import Any

import torch
from torch import Tensor

from search_spaces.architecture import STEM_WINDOW
from search_spaces.attention import triton_stem_kernels
from search_spaces.attention.inputs import StemInputs, spread, stem_gradients
from search_spaces.attention.triton_attention import dtype_name, precision_constants, tuned_choices
from search_spaces.attention.triton_tiles import SIDE, BlockTile, Choices, StemPass, block_tile_for, power_of_two

# In the kernels' product with all embeddings those of columns begin at the second half.
OFFSETS = 16
FIRST_COLUMN_OFFSET = 8

# So many programs go through the blocks of the backward pass, each with a part of the weights' gradients: enough for
# the largest device, and few enough to be summed in no time.
BACKWARD_PROGRAMS = 1024


def triton_stem_forward(inputs: StemInputs, tuned: Choices | None = None) -> Tensor:
    """The output, (B, H, W, N, D), in one piece. Images and values have one dtype, as for `triton_forward`."""
    inputs = _whole(inputs)
    image, query_weight, key_weight, value_weight, mixture, value, row, column = inputs
    output = image.new_empty(*image.shape[:3], *query_weight.shape[1:])
    if not output.numel():
        return output
    tile, sizes = _tile("stem forward", inputs, tuned), _sizes(inputs)
    triton_stem_kernels.attend_blocks[-(-sizes[0] // tile.blocks), -(-sizes[4] // tile.heads)](
        image, query_weight, key_weight, value_weight, mixture, value, row, column, output,
        image.stride(), _strides(value), _strides(output), *sizes, **_constants(tile, inputs),
    )  # fmt: skip
    return output


def triton_stem_backward(
    gradient: Tensor, inputs: StemInputs, of_image: bool, tuned: Choices | None = None
) -> list[Tensor]:
    """The gradients of the inputs that are there, without the images' unless they are asked for. The same bits every
    time."""
    gradients = stem_gradients(inputs, of_image)
    inputs = _whole(inputs)
    image, query_weight, key_weight, value_weight, mixture, value, row, column = inputs
    if not gradient.numel():
        return [tensor.zero_() for tensor in gradients]
    wanted = inputs if of_image else (None, *inputs[1:])
    d_image, d_query_weight, d_key_weight, d_value_weight, d_mixture, d_value, d_row, d_column = spread(
        gradients, wanted
    )
    gradient = gradient if gradient.stride(-1) == 1 else gradient.contiguous()
    tile, sizes = _tile("stem backward", inputs, tuned), _sizes(inputs)
    constants = _constants(tile, inputs)
    heads, channels = sizes[4:]
    programs, groups = min(-(-sizes[0] // tile.blocks), BACKWARD_PROGRAMS), -(-heads // tile.heads)

    def parts(number: int, *shape: int) -> Tensor:
        return image.new_empty(number, *shape, dtype=torch.promote_types(image.dtype, torch.float32))

    image_parts = parts(*image.shape[:3], heads, image.shape[3]) if of_image else None
    query_parts, key_parts = parts(programs, *query_weight.shape), parts(programs, *key_weight.shape)
    value_parts = None if value_weight is None else parts(programs, *value_weight.shape)
    mixture_parts = None if mixture is None else parts(programs * groups, len(mixture), constants["K"])
    embedding_parts = parts(programs, OFFSETS, heads, channels)
    triton_stem_kernels.attend_blocks_backward[programs, groups](
        image, query_weight, key_weight, value_weight, mixture, value, row, column, gradient,
        image_parts, d_value, query_parts, key_parts, value_parts, mixture_parts, embedding_parts,
        image.stride(), _strides(value), _strides(gradient), _strides(image_parts), _strides(d_value), *sizes,
        OF_IMAGE=of_image, **constants,
    )  # fmt: skip
    # One order of summation, and so the same bits every time.
    if d_image is not None and image_parts is not None:
        d_image.copy_(image_parts.sum(3))
    for whole, each in ((d_query_weight, query_parts), (d_key_weight, key_parts), (d_value_weight, value_parts)):
        if whole is not None and each is not None:
            whole.copy_(each.sum(0))
    if d_mixture is not None and mixture_parts is not None:
        of_components = mixture_parts.sum(0).unflatten(1, (-1, constants["M"])).sum(1)
        d_mixture.copy_(of_components[:, : d_mixture.shape[1]])
    assert d_row is not None and d_column is not None
    of_offsets_NJD = embedding_parts.sum(0).transpose(0, 1)
    offsets, half = row.shape[1:]
    d_row.copy_(of_offsets_NJD[:, :offsets, :half])
    d_column.copy_(of_offsets_NJD[:, FIRST_COLUMN_OFFSET : FIRST_COLUMN_OFFSET + offsets, half:])
    return gradients


def _whole(inputs: StemInputs) -> StemInputs:
    """The same inputs, all but images in one piece, or of values each pixel's channels of a head."""
    image, query_weight, key_weight, value_weight, mixture, value, row, column = inputs
    return (
        image,
        query_weight.contiguous(),
        key_weight.contiguous(),
        None if value_weight is None else value_weight.contiguous(),
        None if mixture is None else mixture.contiguous(),
        value if value is None or value.stride(-1) == 1 else value.contiguous(),
        row.contiguous(),
        column.contiguous(),
    )


def _tile(part: StemPass, inputs: StemInputs, tuned: Choices | None) -> BlockTile:
    image, query_weight = inputs[:2]
    tuned = tuned_choices(image) if tuned is None else tuned
    _, heads, channels = query_weight.shape
    return block_tile_for(part, heads, channels, dtype_name(image), tuned)


def _sizes(inputs: StemInputs) -> tuple[int, ...]:
    """What the kernels are told: blocks of all images, and of one row, height, width, heads, channels."""
    image, query_weight = inputs[:2]
    images, height, width, _ = image.shape
    rows, columns = -(-height // STEM_WINDOW), -(-width // STEM_WINDOW)
    return images * rows * columns, columns, height, width, *query_weight.shape[1:]


def _strides(features: Tensor | None) -> tuple[int, ...]:
    """Of an image, a row, a column and a head."""
    return (0, 0, 0, 0) if features is None else features.stride()[:4]


def _constants(tile: BlockTile, inputs: StemInputs) -> dict[str, Any]:
    """What the kernels are compiled for."""
    image, _, _, value_weight, _, value, _, _ = inputs
    colours = image.shape[3]
    components = 1 if value_weight is None else value_weight.shape[1]
    filled = power_of_two(components)
    return precision_constants(image.dtype) | {
        "COLOURS": colours,
        "COMPONENTS": components,
        "M": filled,
        "K": max(SIDE, power_of_two(colours) * filled),
        "HAS_VALUE": value is not None,
        "TILE_HEADS": tile.heads,
        "TILE_BLOCKS": tile.blocks,
        "D": tile.channels,
        "num_warps": tile.warps,
        "num_stages": tile.stages,
    }
