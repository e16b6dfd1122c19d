"""The attention stem on a GPU, from images to what their pixels attend to, forward and backward, in Triton.

A block's 16 pixels are one tile of a tensor core: a program takes G pairs of a head and a block, each a 16×16 matrix of
logits, in batched products. Images have few colours, so that queries, keys and values are made of them where they are
needed and lie nowhere: of each pixel K numbers, its colours times the shares of the components at its place, are
multiplied by the weights of all components at once. The term of the relative positions is one product of the queries
with all 7 row and 7 column embeddings, from which each pair takes the two of its offsets.

Nothing is kept for the gradients but the images. A block's gradients need nothing of other blocks, so that one program
computes all of them; those of weights, embeddings and mixture it sums over its own blocks, and the programs' parts are
summed after it, in one order: no atomics, and the same bits every time.

Shapes: G pairs of a program, P pixels of a block as queries, Q as keys, D channels a head, filled up, J = 16 offsets: 7
of rows from 0 and 7 of columns from 8, C colours, M components of a value, K = C·M, filled up.
"""

import triton
import triton.language as tl

from search_spaces.attention.triton_kernels import LOG2E, MASKED, multiply

SIDE = tl.constexpr(4)
PIXELS = tl.constexpr(16)
OFFSETS = tl.constexpr(16)
FIRST_COLUMN_OFFSET = tl.constexpr(8)


@triton.jit
def _pairs(item, blocks, columns, height, width, heads, TILE_HEADS: tl.constexpr, TILE_BLOCKS: tl.constexpr):
    """Of each pair: its head (G), and of its pixels (G, P) the number in the batch and whether they are in an image."""
    pair_G = tl.arange(0, TILE_HEADS * TILE_BLOCKS)
    head_G = tl.program_id(1) * TILE_HEADS + pair_G % TILE_HEADS
    block_G = item.to(tl.int64) * TILE_BLOCKS + pair_G // TILE_HEADS
    rows = tl.cdiv(height, SIDE)
    image_G = block_G // (rows * columns)
    within_G = block_G % (rows * columns)
    pixel_P = tl.arange(0, PIXELS)
    row_GP = (within_G // columns * SIDE)[:, None] + (pixel_P // SIDE)[None, :]
    column_GP = (within_G % columns * SIDE)[:, None] + (pixel_P % SIDE)[None, :]
    inside_GP = ((head_G < heads) & (block_G < blocks))[:, None] & (row_GP < height) & (column_GP < width)
    return head_G.to(tl.int64), image_G, row_GP, column_GP, inside_GP


@triton.jit
def _places(strides, head_G, image_G, row_GP, column_GP):
    """(G, P): where a pixel's channels begin in a tensor of these strides: of an image, a row, a column, a head."""
    return (image_G * strides[0] + head_G * strides[3])[:, None] + row_GP * strides[1] + column_GP * strides[2]


@triton.jit
def _colours(
    image, strides, image_G, row_GP, column_GP, inside_GP, COLOURS: tl.constexpr, M: tl.constexpr, K: tl.constexpr
):
    """(G, P, K): each pixel's colours, once for each component."""
    colour_K = tl.arange(0, K) // M
    place_GP = image_G[:, None] * strides[0] + row_GP * strides[1] + column_GP * strides[2]
    mask = inside_GP[:, :, None] & (colour_K < COLOURS)[None, None, :]
    return tl.load(image + place_GP[:, :, None] + (colour_K * strides[3])[None, None, :], mask=mask, other=0.0)


@triton.jit
def _weights_of(
    weight_CMND, head_G, heads, channels,
    COLOURS: tl.constexpr, COMPONENTS: tl.constexpr, M: tl.constexpr, K: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """(G, K, D): a head's weights by colour and component, zero for components that there are not."""
    colour_K, component_K, channel_D = tl.arange(0, K) // M, tl.arange(0, K) % M, tl.arange(0, D)
    place_GK = (colour_K * COMPONENTS + component_K)[None, :] * heads + head_G[:, None]
    mask_GK = ((colour_K < COLOURS) & (component_K < COMPONENTS))[None, :] & (head_G < heads)[:, None]
    return tl.load(
        weight_CMND + place_GK[:, :, None] * channels + channel_D[None, None, :],
        mask=mask_GK[:, :, None] & (channel_D < channels)[None, None, :],
        other=0.0,
    )


@triton.jit
def _store_weights(
    parts_CMND, numbers_HKD, heads, channels,
    COLOURS: tl.constexpr, COMPONENTS: tl.constexpr, M: tl.constexpr, K: tl.constexpr, D: tl.constexpr,
):  # fmt: skip
    """This program's part of the gradients of weights, of its heads."""
    head_H = tl.program_id(1) * numbers_HKD.shape[0] + tl.arange(0, numbers_HKD.shape[0])
    colour_K, component_K, channel_D = tl.arange(0, K) // M, tl.arange(0, K) % M, tl.arange(0, D)
    first = tl.program_id(0).to(tl.int64) * COLOURS * COMPONENTS
    place_HK = (first + colour_K * COMPONENTS + component_K)[None, :] * heads + head_H[:, None]
    mask_HK = ((colour_K < COLOURS) & (component_K < COMPONENTS))[None, :] & (head_H < heads)[:, None]
    tl.store(
        parts_CMND + place_HK[:, :, None] * channels + channel_D[None, None, :],
        numbers_HKD,
        mask=mask_HK[:, :, None] & (channel_D < channels)[None, None, :],
    )


@triton.jit
def _shares(mixture_PM, COMPONENTS: tl.constexpr, M: tl.constexpr, K: tl.constexpr):
    """(P, K): the share of each component at each place of a block."""
    component_K = tl.arange(0, K) % M
    place_PK = tl.arange(0, PIXELS)[:, None] * COMPONENTS + component_K[None, :]
    return tl.load(mixture_PM + place_PK, mask=(component_K < COMPONENTS)[None, :], other=0.0)


@triton.jit
def _load(features, place_GP, inside_GP, channels, D: tl.constexpr):
    """(G, P, D), zero outside of images and beyond the head's channels."""
    channel_D = tl.arange(0, D)
    mask = inside_GP[:, :, None] & (channel_D < channels)[None, None, :]
    return tl.load(features + place_GP[:, :, None] + channel_D[None, None, :], mask=mask, other=0.0)


@triton.jit
def _store(features, place_GP, inside_GP, channels, numbers_GPD, D: tl.constexpr):
    channel_D = tl.arange(0, D)
    mask = inside_GP[:, :, None] & (channel_D < channels)[None, None, :]
    tl.store(features + place_GP[:, :, None] + channel_D[None, None, :], numbers_GPD, mask=mask)


@triton.jit
def _embeddings(row_NKd, column_NKd, head_G, heads, channels, D: tl.constexpr):
    """(G, J, D): those of row offsets in the first half of the channels, those of column offsets in the second."""
    channel_D = tl.arange(0, D)
    offset_J = tl.arange(0, OFFSETS)
    half = channels // 2
    known_G = head_G < heads
    row_GJ = head_G[:, None] * (2 * SIDE - 1) + offset_J[None, :]
    of_rows_GJ = known_G[:, None] & (offset_J < 2 * SIDE - 1)[None, :]
    row_GJD = tl.load(
        row_NKd + row_GJ[:, :, None] * half + channel_D[None, None, :],
        mask=of_rows_GJ[:, :, None] & (channel_D < half)[None, None, :],
        other=0.0,
    )
    of_columns_J = (offset_J >= FIRST_COLUMN_OFFSET) & (offset_J < FIRST_COLUMN_OFFSET + 2 * SIDE - 1)
    in_half_D = (channel_D >= half) & (channel_D < channels)
    column_GJD = tl.load(
        column_NKd + (row_GJ - FIRST_COLUMN_OFFSET)[:, :, None] * half + (channel_D - half)[None, None, :],
        mask=(known_G[:, None] & of_columns_J[None, :])[:, :, None] & in_half_D[None, None, :],
        other=0.0,
    )
    return row_GJD + column_GJD


@triton.jit
def _row_offset(G: tl.constexpr):
    """(G, P, Q): by how many rows a pair's key lies below its query, counted from 0."""
    pixel = tl.arange(0, PIXELS)
    offset_PQ = (pixel // SIDE)[None, :] - (pixel // SIDE)[:, None] + SIDE - 1
    return tl.broadcast_to(offset_PQ[None, :, :], [G, PIXELS, PIXELS])


@triton.jit
def _column_offset(G: tl.constexpr):
    """(G, P, Q): the place among the offsets of the columns by which a pair's key lies to the right."""
    pixel = tl.arange(0, PIXELS)
    offset_PQ = (pixel % SIDE)[None, :] - (pixel % SIDE)[:, None] + SIDE - 1 + FIRST_COLUMN_OFFSET
    return tl.broadcast_to(offset_PQ[None, :, :], [G, PIXELS, PIXELS])


@triton.jit
def _weights(query_GPD, key_GQD, embedding_GJD, inside_GQ, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr):
    """(G, P, Q): the softmax of q·k + q·r over the pixels of a block that are in the image."""
    G: tl.constexpr = query_GPD.shape[0]
    products_GPJ = multiply(query_GPD, tl.permute(embedding_GJD, 0, 2, 1), ACCUMULATOR, PRECISION)
    logits_GPQ = multiply(query_GPD, tl.permute(key_GQD, 0, 2, 1), ACCUMULATOR, PRECISION)
    logits_GPQ += tl.gather(products_GPJ, _row_offset(G), 2) + tl.gather(products_GPJ, _column_offset(G), 2)
    logits_GPQ = tl.where(inside_GQ[:, None, :], logits_GPQ * LOG2E, MASKED)
    weights_GPQ = tl.exp2(logits_GPQ - tl.max(logits_GPQ, 2)[:, :, None])
    return weights_GPQ / tl.sum(weights_GPQ, 2)[:, :, None]


@triton.jit
def _mixed(
    colours_GPK, mixture_PM, ACCUMULATOR: tl.constexpr, COMPONENTS: tl.constexpr, M: tl.constexpr, K: tl.constexpr
):
    """(G, P, K): each pixel's colours times the shares of the components at its place."""
    mixed_GPK = colours_GPK
    if COMPONENTS > 1:
        shares_PK = _shares(mixture_PM, COMPONENTS, M, K).to(ACCUMULATOR)
        mixed_GPK = (colours_GPK * shares_PK[None, :, :]).to(colours_GPK.dtype)
    return mixed_GPK


@triton.jit
def attend_blocks(
    image, query_weight, key_weight, value_weight, mixture_PM, value, row_NKd, column_NKd, output,
    image_strides, value_strides, output_strides, blocks, columns, height, width, heads, channels,
    COLOURS: tl.constexpr, COMPONENTS: tl.constexpr, M: tl.constexpr, K: tl.constexpr, HAS_VALUE: tl.constexpr,
    TILE_HEADS: tl.constexpr, TILE_BLOCKS: tl.constexpr, D: tl.constexpr,
    ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Writes the output, (B, H, W, N, D)."""
    head_G, image_G, row_GP, column_GP, inside_GP = _pairs(
        tl.program_id(0), blocks, columns, height, width, heads, TILE_HEADS, TILE_BLOCKS
    )
    colours_GPK = _colours(image, image_strides, image_G, row_GP, column_GP, inside_GP, COLOURS, M, K)
    dtype = colours_GPK.dtype
    query_GKD = _weights_of(query_weight, head_G, heads, channels, COLOURS, 1, M, K, D).to(dtype)
    query_GPD = multiply(colours_GPK, query_GKD, ACCUMULATOR, PRECISION).to(dtype)
    key_GKD = _weights_of(key_weight, head_G, heads, channels, COLOURS, 1, M, K, D).to(dtype)
    key_GQD = multiply(colours_GPK, key_GKD, ACCUMULATOR, PRECISION).to(dtype)
    embedding_GJD = _embeddings(row_NKd, column_NKd, head_G, heads, channels, D).to(dtype)
    weights_GPQ = _weights(query_GPD, key_GQD, embedding_GJD, inside_GP, ACCUMULATOR, PRECISION)
    if HAS_VALUE:
        place_GP = _places(value_strides, head_G, image_G, row_GP, column_GP)
        value_GQD = _load(value, place_GP, inside_GP, channels, D)
    else:
        value_GKD = _weights_of(value_weight, head_G, heads, channels, COLOURS, COMPONENTS, M, K, D).to(dtype)
        mixed_GPK = _mixed(colours_GPK, mixture_PM, ACCUMULATOR, COMPONENTS, M, K)
        value_GQD = multiply(mixed_GPK, value_GKD, ACCUMULATOR, PRECISION).to(dtype)
    mean_GPD = multiply(weights_GPQ.to(dtype), value_GQD, ACCUMULATOR, PRECISION)
    _store(output, _places(output_strides, head_G, image_G, row_GP, column_GP), inside_GP, channels, mean_GPD, D)


@triton.jit
def _of_offsets(d_logits_GPQ):
    """(G, P, J): a query's gradients of logits, summed for each row offset and for each column offset."""
    G: tl.constexpr = d_logits_GPQ.shape[0]
    square_GPRC = tl.reshape(d_logits_GPQ, [G, PIXELS, SIDE, SIDE])
    # The sums stand at every pixel that they are of: of fewer numbers than threads Triton compiles no `gather`.
    of_rows_GPRC = tl.broadcast_to(tl.sum(square_GPRC, 3)[:, :, :, None], [G, PIXELS, SIDE, SIDE])
    of_columns_GPRC = tl.broadcast_to(tl.sum(square_GPRC, 2)[:, :, None, :], [G, PIXELS, SIDE, SIDE])
    of_rows_GPQ = tl.reshape(of_rows_GPRC, [G, PIXELS, PIXELS])
    of_columns_GPQ = tl.reshape(of_columns_GPRC, [G, PIXELS, PIXELS])
    place_P, offset_J = tl.arange(0, PIXELS), tl.arange(0, OFFSETS)
    # The row, and the column, of the key that lies at each offset from each query.
    row_PJ = (place_P // SIDE)[:, None] + offset_J[None, :] - (SIDE - 1)
    column_PJ = (place_P % SIDE)[:, None] + offset_J[None, :] - (SIDE - 1 + FIRST_COLUMN_OFFSET)
    in_row_PJ = tl.minimum(tl.maximum(row_PJ, 0), SIDE - 1) * SIDE
    in_column_PJ = tl.minimum(tl.maximum(column_PJ, 0), SIDE - 1)
    of_rows_GPJ = tl.gather(of_rows_GPQ, tl.broadcast_to(in_row_PJ[None, :, :], [G, PIXELS, OFFSETS]), 2)
    of_columns_GPJ = tl.gather(of_columns_GPQ, tl.broadcast_to(in_column_PJ[None, :, :], [G, PIXELS, OFFSETS]), 2)
    is_row_PJ, is_column_PJ = (row_PJ >= 0) & (row_PJ < SIDE), (column_PJ >= 0) & (column_PJ < SIDE)
    of_columns_GPJ = tl.where(is_column_PJ[None, :, :], of_columns_GPJ, 0.0)
    return tl.where(is_row_PJ[None, :, :], of_rows_GPJ, of_columns_GPJ)


@triton.jit
def _of_heads(of_pairs_GKD, TILE_HEADS: tl.constexpr, TILE_BLOCKS: tl.constexpr):
    """The sum over a program's blocks: (TILE_HEADS, K, D)."""
    K: tl.constexpr = of_pairs_GKD.shape[1]
    D: tl.constexpr = of_pairs_GKD.shape[2]
    return tl.sum(tl.reshape(of_pairs_GKD, [TILE_BLOCKS, TILE_HEADS, K, D]), 0)


@triton.jit
def attend_blocks_backward(
    image, query_weight, key_weight, value_weight, mixture_PM, value, row_NKd, column_NKd, gradient,
    d_image, d_value, query_parts, key_parts, value_parts, mixture_parts, embedding_parts,
    image_strides, value_strides, gradient_strides, d_image_strides, d_value_strides,
    blocks, columns, height, width, heads, channels,
    COLOURS: tl.constexpr, COMPONENTS: tl.constexpr, M: tl.constexpr, K: tl.constexpr, HAS_VALUE: tl.constexpr,
    OF_IMAGE: tl.constexpr, TILE_HEADS: tl.constexpr, TILE_BLOCKS: tl.constexpr, D: tl.constexpr,
    ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Writes the gradients of the images, one for each head, (B, H, W, N, C), and of values that are given, and this
    program's parts of those of the weights, (programs, C, M, N, D), of the mixture, (programs, P, K), and of the
    embeddings, (programs, J, N, D)."""
    G: tl.constexpr = TILE_HEADS * TILE_BLOCKS
    queries_GKD = tl.zeros([G, K, D], ACCUMULATOR)
    keys_GKD = tl.zeros([G, K, D], ACCUMULATOR)
    values_GKD = tl.zeros([G, K, D], ACCUMULATOR)
    embeddings_GJD = tl.zeros([G, OFFSETS, D], ACCUMULATOR)
    shares_PK = tl.zeros([PIXELS, K], ACCUMULATOR)
    for item in range(tl.program_id(0), tl.cdiv(blocks, TILE_BLOCKS), tl.num_programs(0)):
        head_G, image_G, row_GP, column_GP, inside_GP = _pairs(
            tl.cast(item, tl.int64), blocks, columns, height, width, heads, TILE_HEADS, TILE_BLOCKS
        )
        colours_GPK = _colours(image, image_strides, image_G, row_GP, column_GP, inside_GP, COLOURS, M, K)
        dtype = colours_GPK.dtype
        gradient_GPD = _load(
            gradient, _places(gradient_strides, head_G, image_G, row_GP, column_GP), inside_GP, channels, D
        )
        query_GKD = _weights_of(query_weight, head_G, heads, channels, COLOURS, 1, M, K, D).to(dtype)
        query_GPD = multiply(colours_GPK, query_GKD, ACCUMULATOR, PRECISION).to(dtype)
        key_GKD = _weights_of(key_weight, head_G, heads, channels, COLOURS, 1, M, K, D).to(dtype)
        key_GQD = multiply(colours_GPK, key_GKD, ACCUMULATOR, PRECISION).to(dtype)
        embedding_GJD = _embeddings(row_NKd, column_NKd, head_G, heads, channels, D).to(dtype)
        weights_GPQ = _weights(query_GPD, key_GQD, embedding_GJD, inside_GP, ACCUMULATOR, PRECISION)
        colours_GKP = tl.permute(colours_GPK, 0, 2, 1)

        d_value_GQD = multiply(tl.permute(weights_GPQ.to(dtype), 0, 2, 1), gradient_GPD, ACCUMULATOR, PRECISION)
        d_colours_GPK = tl.zeros([G, PIXELS, K], ACCUMULATOR)
        if HAS_VALUE:
            value_GQD = _load(value, _places(value_strides, head_G, image_G, row_GP, column_GP), inside_GP, channels, D)
            place_GP = _places(d_value_strides, head_G, image_G, row_GP, column_GP)
            _store(d_value, place_GP, inside_GP, channels, d_value_GQD, D)
        else:
            value_GKD = _weights_of(value_weight, head_G, heads, channels, COLOURS, COMPONENTS, M, K, D).to(dtype)
            mixed_GPK = _mixed(colours_GPK, mixture_PM, ACCUMULATOR, COMPONENTS, M, K)
            value_GQD = multiply(mixed_GPK, value_GKD, ACCUMULATOR, PRECISION).to(dtype)
            d_value_GQD = d_value_GQD.to(dtype)
            values_GKD += multiply(tl.permute(mixed_GPK, 0, 2, 1), d_value_GQD, ACCUMULATOR, PRECISION)
            if OF_IMAGE or COMPONENTS > 1:
                d_mixed_GPK = multiply(d_value_GQD, tl.permute(value_GKD, 0, 2, 1), ACCUMULATOR, PRECISION)
                if COMPONENTS > 1:
                    shares_PK += tl.sum(d_mixed_GPK * colours_GPK, 0)
                    d_mixed_GPK *= _shares(mixture_PM, COMPONENTS, M, K).to(ACCUMULATOR)[None, :, :]
                d_colours_GPK += d_mixed_GPK

        d_weights_GPQ = multiply(gradient_GPD, tl.permute(value_GQD, 0, 2, 1), ACCUMULATOR, PRECISION)
        delta_GP = tl.sum(weights_GPQ * d_weights_GPQ, 2)
        d_logits_GPQ = weights_GPQ * (d_weights_GPQ - delta_GP[:, :, None])
        d_products_GPJ = _of_offsets(d_logits_GPQ).to(dtype)
        embeddings_GJD += multiply(tl.permute(d_products_GPJ, 0, 2, 1), query_GPD, ACCUMULATOR, PRECISION)
        d_logits_GPQ = d_logits_GPQ.to(dtype)
        d_query_GPD = multiply(d_logits_GPQ, key_GQD, ACCUMULATOR, PRECISION)
        d_query_GPD += multiply(d_products_GPJ, embedding_GJD, ACCUMULATOR, PRECISION)
        d_query_GPD = d_query_GPD.to(dtype)
        queries_GKD += multiply(colours_GKP, d_query_GPD, ACCUMULATOR, PRECISION)
        d_key_GQD = multiply(tl.permute(d_logits_GPQ, 0, 2, 1), query_GPD, ACCUMULATOR, PRECISION).to(dtype)
        keys_GKD += multiply(colours_GKP, d_key_GQD, ACCUMULATOR, PRECISION)
        if OF_IMAGE:
            # Queries and keys have weights at the first of the places of each colour only.
            d_colours_GPK += multiply(d_query_GPD, tl.permute(query_GKD, 0, 2, 1), ACCUMULATOR, PRECISION)
            d_colours_GPK += multiply(d_key_GQD, tl.permute(key_GKD, 0, 2, 1), ACCUMULATOR, PRECISION)
            C: tl.constexpr = K // M
            d_colours_GPC = tl.sum(tl.reshape(d_colours_GPK, [G, PIXELS, C, M]), 3)
            place_GP = _places(d_image_strides, head_G, image_G, row_GP, column_GP)
            _store(d_image, place_GP, inside_GP, COLOURS, d_colours_GPC, C)
    _store_weights(query_parts, _of_heads(queries_GKD, TILE_HEADS, TILE_BLOCKS), heads, channels, COLOURS, 1, M, K, D)
    _store_weights(key_parts, _of_heads(keys_GKD, TILE_HEADS, TILE_BLOCKS), heads, channels, COLOURS, 1, M, K, D)
    _store_weights(
        embedding_parts, _of_heads(embeddings_GJD, TILE_HEADS, TILE_BLOCKS), heads, channels,
        OFFSETS, 1, 1, OFFSETS, D,
    )  # fmt: skip
    if not HAS_VALUE:
        values_HKD = _of_heads(values_GKD, TILE_HEADS, TILE_BLOCKS)
        _store_weights(value_parts, values_HKD, heads, channels, COLOURS, COMPONENTS, M, K, D)
    if COMPONENTS > 1:
        program = tl.program_id(0) * tl.num_programs(1) + tl.program_id(1)
        place_PK = tl.arange(0, PIXELS)[:, None] * K + tl.arange(0, K)[None, :]
        tl.store(mixture_parts + program * PIXELS * K + place_PK, shares_PK)
