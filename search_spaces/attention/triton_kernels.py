"""Local attention on a GPU: forward and backward kernels in Triton, fused, with nothing of K² size in memory.

A program computes a group of strips: G pairs of a head and an image row, each with up to 16 pixels of that row. For
each of the K row offsets a strip of queries meets a window of P keys of one row, all strips of the group in one batched
matrix product on tensor cores. The term of the row embedding is added to the keys. That of the column embedding is the
same for every row offset: a product of the query with all K columns, from which each pair takes the one of its offset.
Logits count in powers of two, and what is out of reach or outside the image is masked.

The gradient of the queries and embeddings is a pass over queries, that of keys and values one over keys, so that every
number is summed by one program, in one order: no atomics, and the same bits every time.

Shapes: G strips of a group, M pixels of a strip, P keys or queries of a window, D channels a head, filled up, d = D/2
of them for rows, C of them multiplied at a time and W written by a program, K spatial extent, J = 16 ≥ K.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
# A logit that no neighbour has; finite, so that strips beyond the image stay finite too.
MASKED = tl.constexpr(-1e30)
OFFSETS = tl.constexpr(16)


@triton.jit
def _places(
    TILE_HEADS: tl.constexpr, TILE_ROWS: tl.constexpr, STRIP: tl.constexpr, D: tl.constexpr, W: tl.constexpr,
    height, width,
):  # fmt: skip
    """Of this program: its image, its first head, the head and the row of each strip, the first row and the first
    column, and the first of the channels that it writes.

    The grid's first axis, the only one that is long enough, counts tiles, image after image; the second one groups of
    heads, and of each the parts of its channels. Heads and rows are in 64 bits, and so is every place that is made of
    them.
    """
    strips = tl.cdiv(width, STRIP)
    tiles = strips * tl.cdiv(height, TILE_ROWS)
    tile = tl.program_id(0) % tiles
    strip_G = tl.arange(0, TILE_HEADS * TILE_ROWS)
    first_head = tl.program_id(1) // (D // W) * TILE_HEADS
    head_G = first_head + strip_G % TILE_HEADS
    first_row = tile // strips * TILE_ROWS
    row_G = (first_row + strip_G // TILE_HEADS).to(tl.int64)
    image = (tl.program_id(0) // tiles).to(tl.int64)
    first_channel = tl.program_id(1) % (D // W) * W
    return image, first_head, head_G.to(tl.int64), row_G, first_row, tile % strips * STRIP, first_channel


@triton.jit
def _inside(head_G, row_G, column_P, height, width, heads):
    inside_G = (head_G < heads) & (row_G >= 0) & (row_G < height)
    return inside_G[:, None] & ((column_P >= 0) & (column_P < width))[None, :]


@triton.jit
def _load(image, strides, head_G, row_G, column_P, inside_GP, first_channel, channels, D: tl.constexpr):
    """D of the features of these pixels, (G, P, D), zero outside the image and beyond the head's channels."""
    channel_D = first_channel + tl.arange(0, D)
    strip_G = head_G * strides[3] + row_G * strides[1]
    column_GP = strip_G[:, None] + (column_P.to(tl.int64) * strides[2])[None, :]
    places = column_GP[:, :, None] + channel_D[None, None, :]
    return tl.load(image + places, mask=inside_GP[:, :, None] & (channel_D < channels)[None, None, :], other=0.0)


@triton.jit
def _row_embedding(row_NKd, head_G, row_offset, heads, first_channel, channels, EXTENT: tl.constexpr, D: tl.constexpr):
    """(G, 1, D): the embedding of one row offset in the first half of the channels."""
    channel_D = first_channel + tl.arange(0, D)
    half = channels // 2
    places = (head_G * EXTENT + row_offset)[:, None] * half + channel_D[None, :]
    mask = (head_G < heads)[:, None] & (channel_D < half)[None, :]
    return tl.load(row_NKd + places, mask=mask, other=0.0)[:, None, :]


@triton.jit
def _column_embeddings(column_NKd, head_G, heads, first_channel, channels, EXTENT: tl.constexpr, D: tl.constexpr):
    """(G, J, D): the embeddings of all column offsets in the second half of the channels."""
    channel_D = first_channel + tl.arange(0, D)
    offset_J = tl.arange(0, OFFSETS)
    half = channels // 2
    places = (head_G[:, None] * EXTENT + offset_J[None, :])[:, :, None] * half + (channel_D - half)[None, None, :]
    inside_GJ = (head_G < heads)[:, None] & (offset_J < EXTENT)[None, :]
    in_half = (channel_D >= half) & (channel_D < channels)
    return tl.load(column_NKd + places, mask=inside_GJ[:, :, None] & in_half[None, None, :], other=0.0)


@triton.jit
def _dot(left, right, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr):
    return tl.dot(left, right, input_precision=PRECISION, out_dtype=ACCUMULATOR)


@triton.jit
def _keys(
    key_image, strides, row_NKd, head_G, row_G, column_P, row_offset, height, width, heads, first_channel, channels,
    DTYPE: tl.constexpr, HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr, EXTENT: tl.constexpr, D: tl.constexpr,
    P: tl.constexpr,
):  # fmt: skip
    """(G, P, D): k + r of one row offset, where r is of the row alone; either may be missing."""
    key_GPD = tl.zeros([head_G.shape[0], P, D], DTYPE)
    if HAS_KEY:
        inside_GP = _inside(head_G, row_G, column_P, height, width, heads)
        key_GPD = _load(key_image, strides, head_G, row_G, column_P, inside_GP, first_channel, channels, D)
    if HAS_POSITIONS:
        embedding_G1D = _row_embedding(row_NKd, head_G, row_offset, heads, first_channel, channels, EXTENT, D)
        key_GPD = (key_GPD + embedding_G1D).to(DTYPE)
    return key_GPD


@triton.jit
def _column_products(
    image_query, strides, column_NKd, head_G, row_G, column_M, inside_GM, heads, channels,
    EXTENT: tl.constexpr, D: tl.constexpr, C: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """(G, M, J): the queries times the embeddings of all column offsets, loaded C channels at a time."""
    products_GMJ = tl.zeros([head_G.shape[0], column_M.shape[0], OFFSETS], ACCUMULATOR)
    for first in range(0, D, C):
        query_GMC = _load(image_query, strides, head_G, row_G, column_M, inside_GM, first, channels, C)
        column_GJC = _column_embeddings(column_NKd, head_G, heads, first, channels, EXTENT, C).to(query_GMC.dtype)
        products_GMJ += _dot(query_GMC, tl.permute(column_GJC, 0, 2, 1), ACCUMULATOR, PRECISION)
    return products_GMJ


@triton.jit
def _query_keys(
    image_query, query_strides, image_key, key_strides, row_NKd, head_G, row_G, column_M, inside_GM, other_G, column_P,
    row_offset, height, width, heads, channels, HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr,
    EXTENT: tl.constexpr, D: tl.constexpr, C: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """(G, M, P): the queries times k + r of one row offset, loaded C channels at a time."""
    P: tl.constexpr = column_P.shape[0]
    products_GMP = tl.zeros([head_G.shape[0], column_M.shape[0], P], ACCUMULATOR)
    for first in range(0, D, C):
        query_GMC = _load(image_query, query_strides, head_G, row_G, column_M, inside_GM, first, channels, C)
        key_GPC = _keys(
            image_key, key_strides, row_NKd, head_G, other_G, column_P, row_offset, height, width, heads, first,
            channels, query_GMC.dtype, HAS_KEY, HAS_POSITIONS, EXTENT, C, P,
        )  # fmt: skip
        products_GMP += _dot(query_GMC, tl.permute(key_GPC, 0, 2, 1), ACCUMULATOR, PRECISION)
    return products_GMP


@triton.jit
def _products(
    image_left, left_strides, row_G, column_M, inside_GM, image_right, right_strides, other_G, column_P, inside_GP,
    head_G, channels, D: tl.constexpr, C: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """(G, M, P): features of these pixels times those of others, loaded C channels at a time."""
    products_GMP = tl.zeros([head_G.shape[0], column_M.shape[0], column_P.shape[0]], ACCUMULATOR)
    for first in range(0, D, C):
        left_GMC = _load(image_left, left_strides, head_G, row_G, column_M, inside_GM, first, channels, C)
        right_GPC = _load(image_right, right_strides, head_G, other_G, column_P, inside_GP, first, channels, C)
        products_GMP += _dot(left_GMC, tl.permute(right_GPC, 0, 2, 1), ACCUMULATOR, PRECISION)
    return products_GMP


@triton.jit
def _column_terms(products_GMJ, offset_MP, near_MP, HAS_POSITIONS: tl.constexpr):
    """(G, M, P): what the column offset of each pair adds to its logit; masked where the pair is out of reach."""
    G: tl.constexpr = products_GMJ.shape[0]
    M: tl.constexpr = offset_MP.shape[0]
    P: tl.constexpr = offset_MP.shape[1]
    terms_GMP = tl.zeros([G, M, P], products_GMJ.dtype)
    if HAS_POSITIONS:
        index_MP = tl.minimum(tl.maximum(offset_MP, 0), OFFSETS - 1)
        terms_GMP = tl.gather(products_GMJ, tl.broadcast_to(index_MP[None, :, :], [G, M, P]), 2) * LOG2E
    return tl.where(near_MP[None, :, :], terms_GMP, MASKED)


@triton.jit
def attend(
    query, key, value, row_NKd, column_NKd, output, log_sum,
    query_strides, key_strides, value_strides, height, width, heads, channels,
    EXTENT: tl.constexpr, HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr,
    TILE_HEADS: tl.constexpr, TILE_ROWS: tl.constexpr, STRIP: tl.constexpr, P: tl.constexpr, WHOLE: tl.constexpr,
    D: tl.constexpr, C: tl.constexpr, W: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Writes the output, (B, H, W, N, D), and the logarithm of each softmax's sum, (B, H, W, N)."""
    REACH: tl.constexpr = EXTENT // 2
    G: tl.constexpr = TILE_HEADS * TILE_ROWS
    M: tl.constexpr = 16
    image, _, head_G, row_G, first_row, first_column, first_channel = _places(
        TILE_HEADS, TILE_ROWS, STRIP, D, W, height, width
    )
    pixel_M = tl.arange(0, M)
    column_M = first_column + pixel_M
    column_P = tl.arange(0, P) + (0 if WHOLE else first_column - REACH)
    inside_GM = _inside(head_G, row_G, column_M, height, width, heads) & (pixel_M < STRIP)[None, :]
    image_query = query + image * query_strides[0]
    image_key = key + image * key_strides[0]
    offset_MP = column_P[None, :] - column_M[:, None] + REACH
    near_MP = (offset_MP >= 0) & (offset_MP < EXTENT) & ((column_P >= 0) & (column_P < width))[None, :]
    products_GMJ = tl.zeros([G, M, OFFSETS], ACCUMULATOR)
    if C == D:
        query_GMD = _load(image_query, query_strides, head_G, row_G, column_M, inside_GM, 0, channels, D)
        if HAS_POSITIONS:
            column_GJD = _column_embeddings(column_NKd, head_G, heads, 0, channels, EXTENT, D).to(query_GMD.dtype)
            products_GMJ = _dot(query_GMD, tl.permute(column_GJD, 0, 2, 1), ACCUMULATOR, PRECISION)
    elif HAS_POSITIONS:
        products_GMJ = _column_products(
            image_query, query_strides, column_NKd, head_G, row_G, column_M, inside_GM, heads, channels,
            EXTENT, D, C, ACCUMULATOR, PRECISION,
        )  # fmt: skip
    terms_GMP = _column_terms(products_GMJ, offset_MP, near_MP, HAS_POSITIONS)

    largest_GM = tl.full([G, M], MASKED, ACCUMULATOR)
    sum_GM = tl.zeros([G, M], ACCUMULATOR)
    mean_GMW = tl.zeros([G, M, W], ACCUMULATOR)
    first = tl.maximum(0, REACH - first_row - TILE_ROWS + 1)
    last = tl.minimum(EXTENT, height + REACH - first_row)
    for row_offset in range(first, last):
        other_G = row_G + row_offset - REACH
        inside_GP = _inside(head_G, other_G, column_P, height, width, heads)
        if C == D:
            key_GPD = _keys(
                image_key, key_strides, row_NKd, head_G, other_G, column_P, row_offset, height, width, heads, 0,
                channels, query_GMD.dtype, HAS_KEY, HAS_POSITIONS, EXTENT, D, P,
            )  # fmt: skip
            products_GMP = _dot(query_GMD, tl.permute(key_GPD, 0, 2, 1), ACCUMULATOR, PRECISION)
        else:
            products_GMP = _query_keys(
                image_query, query_strides, image_key, key_strides, row_NKd, head_G, row_G, column_M, inside_GM,
                other_G, column_P, row_offset, height, width, heads, channels, HAS_KEY, HAS_POSITIONS,
                EXTENT, D, C, ACCUMULATOR, PRECISION,
            )  # fmt: skip
        value_GPW = _load(
            value + image * value_strides[0], value_strides, head_G, other_G, column_P, inside_GP, first_channel,
            channels, W,
        )  # fmt: skip
        logits_GMP = products_GMP * LOG2E + terms_GMP
        if TILE_ROWS > 1:
            logits_GMP = tl.where(((other_G >= 0) & (other_G < height))[:, None, None], logits_GMP, MASKED)
        larger_GM = tl.maximum(largest_GM, tl.max(logits_GMP, 2))
        weights_GMP = tl.exp2(logits_GMP - larger_GM[:, :, None])
        shrink_GM = tl.exp2(largest_GM - larger_GM)
        sum_GM = sum_GM * shrink_GM + tl.sum(weights_GMP, 2)
        mean_GMW = mean_GMW * shrink_GM[:, :, None]
        mean_GMW += _dot(weights_GMP.to(value_GPW.dtype), value_GPW, ACCUMULATOR, PRECISION)
        largest_GM = larger_GM

    pixels_GM = (((image * height + row_G)[:, None] * width + column_M[None, :]) * heads) + head_G[:, None]
    channel_W = first_channel + tl.arange(0, W)
    tl.store(log_sum + pixels_GM, largest_GM + tl.log2(sum_GM), mask=inside_GM & (first_channel == 0))
    tl.store(
        output + pixels_GM[:, :, None] * channels + channel_W[None, None, :],
        mean_GMW / sum_GM[:, :, None],
        mask=inside_GM[:, :, None] & (channel_W < channels)[None, None, :],
    )


@triton.jit
def attend_backward_queries(
    query, key, value, row_NKd, column_NKd, output, log_sum, gradient, d_query, delta, parts,
    query_strides, key_strides, value_strides, height, width, heads, channels, images,
    EXTENT: tl.constexpr, HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr,
    TILE_HEADS: tl.constexpr, TILE_ROWS: tl.constexpr, STRIP: tl.constexpr, P: tl.constexpr, WHOLE: tl.constexpr,
    D: tl.constexpr, C: tl.constexpr, W: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Writes the queries' gradient, each output's product with its gradient, and this program's part of those of the
    embeddings, (programs, N, K, D): rows in the first half of the channels, columns in the second."""
    REACH: tl.constexpr = EXTENT // 2
    G: tl.constexpr = TILE_HEADS * TILE_ROWS
    M: tl.constexpr = 16
    _, first_head, head_G, row_G, first_row, first_column, first_channel = _places(
        TILE_HEADS, TILE_ROWS, STRIP, D, W, height, width
    )
    pixel_M = tl.arange(0, M)
    column_M = first_column + pixel_M
    column_P = tl.arange(0, P) + (0 if WHOLE else first_column - REACH)
    channel_W = first_channel + tl.arange(0, W)
    offset_J = tl.arange(0, OFFSETS)
    inside_GM = _inside(head_G, row_G, column_M, height, width, heads) & (pixel_M < STRIP)[None, :]
    offset_MP = column_P[None, :] - column_M[:, None] + REACH
    near_MP = (offset_MP >= 0) & (offset_MP < EXTENT) & ((column_P >= 0) & (column_P < width))[None, :]
    # Of the pixels of a window, the one that lies at each offset from a pixel of the strip.
    window_MJ = offset_J[None, :] + (column_M[:, None] if WHOLE else pixel_M[:, None]) - (REACH if WHOLE else 0)
    reached_MJ = (window_MJ >= 0) & (window_MJ < P) & (offset_J < EXTENT)[None, :]
    window_MJ = tl.minimum(tl.maximum(window_MJ, 0), P - 1)
    of_rows_W = channel_W < channels // 2
    # This program's own place among the parts, to which it adds image after image; small numbers from there on.
    head_H = first_head + tl.arange(0, TILE_HEADS)
    program = (tl.program_id(2) * tl.num_programs(0) + tl.program_id(0)).to(tl.int64)
    program_parts = parts
    if HAS_POSITIONS:
        program_parts += program * heads * EXTENT * channels
    inside_HJ = (head_H < heads)[:, None] & (offset_J < EXTENT)[None, :]
    # Output and gradient lie in one piece.
    whole_strides = (0, width * heads * channels, heads * channels, channels)
    first = tl.maximum(0, REACH - first_row - TILE_ROWS + 1)
    last = tl.minimum(EXTENT, height + REACH - first_row)
    for image_index in range(tl.program_id(2), images, tl.num_programs(2)):
        image = tl.cast(image_index, tl.int64)
        pixels_GM = (((image * height + row_G)[:, None] * width + column_M[None, :]) * heads) + head_G[:, None]
        image_query = query + image * query_strides[0]
        image_key = key + image * key_strides[0]
        image_value = value + image * value_strides[0]
        image_gradient = gradient + image * height * width * heads * channels
        image_output = output + image * height * width * heads * channels
        log_sum_GM = tl.load(log_sum + pixels_GM, mask=inside_GM, other=0.0)
        products_GMJ = tl.zeros([G, M, OFFSETS], ACCUMULATOR)
        if C == D:
            query_GMW = _load(image_query, query_strides, head_G, row_G, column_M, inside_GM, 0, channels, D)
            gradient_GMW = _load(image_gradient, whole_strides, head_G, row_G, column_M, inside_GM, 0, channels, D)
            output_GMW = _load(image_output, whole_strides, head_G, row_G, column_M, inside_GM, 0, channels, D)
            delta_GM = tl.sum(output_GMW.to(ACCUMULATOR) * gradient_GMW.to(ACCUMULATOR), 2)
            if HAS_POSITIONS:
                column_GJW = _column_embeddings(column_NKd, head_G, heads, 0, channels, EXTENT, D).to(query_GMW.dtype)
                products_GMJ = _dot(query_GMW, tl.permute(column_GJW, 0, 2, 1), ACCUMULATOR, PRECISION)
        else:
            delta_GM = tl.zeros([G, M], ACCUMULATOR)
            for channel in range(0, D, C):
                gradient_GMC = _load(
                    image_gradient, whole_strides, head_G, row_G, column_M, inside_GM, channel, channels, C
                )
                output_GMC = _load(
                    image_output, whole_strides, head_G, row_G, column_M, inside_GM, channel, channels, C
                )
                delta_GM += tl.sum(output_GMC.to(ACCUMULATOR) * gradient_GMC.to(ACCUMULATOR), 2)
            if HAS_POSITIONS:
                products_GMJ = _column_products(
                    image_query, query_strides, column_NKd, head_G, row_G, column_M, inside_GM, heads, channels,
                    EXTENT, D, C, ACCUMULATOR, PRECISION,
                )  # fmt: skip
        tl.store(delta + pixels_GM, delta_GM, mask=inside_GM & (first_channel == 0))
        terms_GMP = _column_terms(products_GMJ, offset_MP, near_MP, HAS_POSITIONS)
        d_query_GMW = tl.zeros([G, M, W], ACCUMULATOR)
        d_terms_GMP = tl.zeros([G, M, P], ACCUMULATOR)
        d_rows_GMJ = tl.zeros([G, M, OFFSETS], ACCUMULATOR)
        for row_offset in range(first, last):
            other_G = row_G + row_offset - REACH
            inside_GP = _inside(head_G, other_G, column_P, height, width, heads)
            key_GPW = _keys(
                image_key, key_strides, row_NKd, head_G, other_G, column_P, row_offset, height, width, heads,
                first_channel, channels, query.dtype.element_ty, HAS_KEY, HAS_POSITIONS, EXTENT, W, P,
            )  # fmt: skip
            if C == D:
                value_GPD = _load(image_value, value_strides, head_G, other_G, column_P, inside_GP, 0, channels, D)
                products_GMP = _dot(query_GMW, tl.permute(key_GPW, 0, 2, 1), ACCUMULATOR, PRECISION)
                d_weights_GMP = _dot(gradient_GMW, tl.permute(value_GPD, 0, 2, 1), ACCUMULATOR, PRECISION)
            else:
                products_GMP = _query_keys(
                    image_query, query_strides, image_key, key_strides, row_NKd, head_G, row_G, column_M, inside_GM,
                    other_G, column_P, row_offset, height, width, heads, channels, HAS_KEY, HAS_POSITIONS,
                    EXTENT, D, C, ACCUMULATOR, PRECISION,
                )  # fmt: skip
                d_weights_GMP = _products(
                    image_gradient, whole_strides, row_G, column_M, inside_GM, image_value, value_strides,
                    other_G, column_P, inside_GP, head_G, channels, D, C, ACCUMULATOR, PRECISION,
                )  # fmt: skip
            logits_GMP = products_GMP * LOG2E + terms_GMP
            if TILE_ROWS > 1:
                logits_GMP = tl.where(((other_G >= 0) & (other_G < height))[:, None, None], logits_GMP, MASKED)
            weights_GMP = tl.exp2(logits_GMP - log_sum_GM[:, :, None])
            d_logits_GMP = weights_GMP * (d_weights_GMP - delta_GM[:, :, None])
            d_query_GMW += _dot(d_logits_GMP.to(key_GPW.dtype), key_GPW, ACCUMULATOR, PRECISION)
            if HAS_POSITIONS:
                d_terms_GMP += d_logits_GMP
                at_offset_J = offset_J == row_offset
                d_rows_GMJ += tl.where(at_offset_J[None, None, :], tl.sum(d_logits_GMP, 2)[:, :, None], 0.0)
        if HAS_POSITIONS:
            index_GMJ = tl.broadcast_to(window_MJ[None, :, :], [G, M, OFFSETS])
            d_columns_GMJ = tl.where(reached_MJ[None, :, :], tl.gather(d_terms_GMP, index_GMJ, 2), 0.0)
            if C < D:
                query_GMW = _load(
                    image_query, query_strides, head_G, row_G, column_M, inside_GM, first_channel, channels, W
                )
                column_GJW = _column_embeddings(column_NKd, head_G, heads, first_channel, channels, EXTENT, W).to(
                    query_GMW.dtype
                )
            d_columns_GMJ = d_columns_GMJ.to(query_GMW.dtype)
            d_query_GMW += _dot(d_columns_GMJ, column_GJW, ACCUMULATOR, PRECISION)
            d_rows_GJM = tl.permute(d_rows_GMJ.to(query_GMW.dtype), 0, 2, 1)
            part_GJW = tl.where(
                of_rows_W[None, None, :],
                _dot(d_rows_GJM, query_GMW, ACCUMULATOR, PRECISION),
                _dot(tl.permute(d_columns_GMJ, 0, 2, 1), query_GMW, ACCUMULATOR, PRECISION),
            )
            part_HJW = tl.sum(tl.reshape(part_GJW, [TILE_ROWS, TILE_HEADS, OFFSETS, W]), 0)
            places_HJ = head_H[:, None] * EXTENT + offset_J[None, :]
            inside_HJW = inside_HJ[:, :, None] & (channel_W < channels)[None, None, :]
            place_HJW = program_parts + (places_HJ[:, :, None] * channels + channel_W[None, None, :])
            part_HJW += tl.load(place_HJW, mask=inside_HJW & (image_index >= tl.num_programs(2)), other=0.0)
            tl.store(place_HJW, part_HJW, mask=inside_HJW)
            # The next image's sum is read by whichever threads.
            tl.debug_barrier()
        places_GMW = pixels_GM[:, :, None] * channels + channel_W[None, None, :]
        inside_GMW = inside_GM[:, :, None] & (channel_W < channels)[None, None, :]
        tl.store(d_query + places_GMW, d_query_GMW, mask=inside_GMW)


@triton.jit
def attend_backward_keys(
    query, key, value, row_NKd, column_NKd, log_sum, gradient, delta, d_key, d_value,
    query_strides, key_strides, value_strides, height, width, heads, channels,
    EXTENT: tl.constexpr, HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr,
    TILE_HEADS: tl.constexpr, TILE_ROWS: tl.constexpr, STRIP: tl.constexpr, P: tl.constexpr, WHOLE: tl.constexpr,
    D: tl.constexpr, C: tl.constexpr, W: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Writes the gradients of keys and values: each strip of keys meets the queries that see it, row by row."""
    REACH: tl.constexpr = EXTENT // 2
    G: tl.constexpr = TILE_HEADS * TILE_ROWS
    M: tl.constexpr = 16
    image, _, head_G, row_G, first_row, first_column, first_channel = _places(
        TILE_HEADS, TILE_ROWS, STRIP, D, W, height, width
    )
    pixel_M = tl.arange(0, M)
    column_M = first_column + pixel_M
    column_P = tl.arange(0, P) + (0 if WHOLE else first_column - REACH)
    channel_W = first_channel + tl.arange(0, W)
    inside_GM = _inside(head_G, row_G, column_M, height, width, heads) & (pixel_M < STRIP)[None, :]
    image_query = query + image * query_strides[0]
    image_key = key + image * key_strides[0]
    image_value = value + image * value_strides[0]
    # The gradient lies in one piece.
    image_gradient = gradient + image * height * width * heads * channels
    gradient_strides = (0, width * heads * channels, heads * channels, channels)
    offset_MP = column_M[:, None] - column_P[None, :] + REACH
    near_MP = (offset_MP >= 0) & (offset_MP < EXTENT) & ((column_P >= 0) & (column_P < width))[None, :]
    index_MP = tl.minimum(tl.maximum(offset_MP, 0), OFFSETS - 1)
    if C == D:
        value_GMD = _load(image_value, value_strides, head_G, row_G, column_M, inside_GM, 0, channels, D)
        if HAS_POSITIONS:
            column_GJD = _column_embeddings(column_NKd, head_G, heads, 0, channels, EXTENT, D).to(value_GMD.dtype)
    d_key_GMW = tl.zeros([G, M, W], ACCUMULATOR)
    d_value_GMW = tl.zeros([G, M, W], ACCUMULATOR)
    first = tl.maximum(0, first_row + REACH - height + 1)
    last = tl.minimum(EXTENT, first_row + TILE_ROWS + REACH)
    for row_offset in range(first, last):
        # Queries beyond the image count nothing: they, their gradient and their delta are loaded as zeros.
        other_G = row_G - row_offset + REACH
        inside_GP = _inside(head_G, other_G, column_P, height, width, heads)
        pixels_GP = (((image * height + other_G)[:, None] * width + column_P[None, :]) * heads) + head_G[:, None]
        log_sum_GP = tl.load(log_sum + pixels_GP, mask=inside_GP, other=0.0)
        delta_GP = tl.load(delta + pixels_GP, mask=inside_GP, other=0.0)
        products_GJP = tl.zeros([G, OFFSETS, P], ACCUMULATOR)
        products_GMP = tl.zeros([G, M, P], ACCUMULATOR)
        d_weights_GMP = tl.zeros([G, M, P], ACCUMULATOR)
        if C < D:
            for channel in range(0, D, C):
                query_GPC = _load(
                    image_query, query_strides, head_G, other_G, column_P, inside_GP, channel, channels, C
                )
                key_GMC = _keys(
                    image_key, key_strides, row_NKd, head_G, row_G, column_M, row_offset, height, width, heads,
                    channel, channels, query_GPC.dtype, HAS_KEY, HAS_POSITIONS, EXTENT, C, M,
                )  # fmt: skip
                query_GCP = tl.permute(query_GPC, 0, 2, 1)
                products_GMP += _dot(key_GMC, query_GCP, ACCUMULATOR, PRECISION)
                if HAS_POSITIONS:
                    column_GJC = _column_embeddings(column_NKd, head_G, heads, channel, channels, EXTENT, C)
                    products_GJP += _dot(column_GJC.to(query_GPC.dtype), query_GCP, ACCUMULATOR, PRECISION)
            if HAS_KEY:
                d_weights_GMP = _products(
                    image_value, value_strides, row_G, column_M, inside_GM, image_gradient, gradient_strides,
                    other_G, column_P, inside_GP, head_G, channels, D, C, ACCUMULATOR, PRECISION,
                )  # fmt: skip
        query_GPW = _load(image_query, query_strides, head_G, other_G, column_P, inside_GP, first_channel, channels, W)
        gradient_GPW = _load(
            image_gradient, gradient_strides, head_G, other_G, column_P, inside_GP, first_channel, channels, W
        )
        if C == D:
            key_GMD = _keys(
                image_key, key_strides, row_NKd, head_G, row_G, column_M, row_offset, height, width, heads, 0,
                channels, query_GPW.dtype, HAS_KEY, HAS_POSITIONS, EXTENT, D, M,
            )  # fmt: skip
            query_GWP = tl.permute(query_GPW, 0, 2, 1)
            products_GMP = _dot(key_GMD, query_GWP, ACCUMULATOR, PRECISION)
            if HAS_POSITIONS:
                products_GJP = _dot(column_GJD, query_GWP, ACCUMULATOR, PRECISION)
            if HAS_KEY:
                d_weights_GMP = _dot(value_GMD, tl.permute(gradient_GPW, 0, 2, 1), ACCUMULATOR, PRECISION)
        terms_GMP = tl.zeros([G, M, P], ACCUMULATOR)
        if HAS_POSITIONS:
            terms_GMP = tl.gather(products_GJP, tl.broadcast_to(index_MP[None, :, :], [G, M, P]), 1) * LOG2E
        logits_GMP = products_GMP * LOG2E + tl.where(near_MP[None, :, :], terms_GMP, MASKED)
        weights_GMP = tl.exp2(logits_GMP - log_sum_GP[:, None, :])
        d_value_GMW += _dot(weights_GMP.to(query_GPW.dtype), gradient_GPW, ACCUMULATOR, PRECISION)
        if HAS_KEY:
            d_logits_GMP = weights_GMP * (d_weights_GMP - delta_GP[:, None, :])
            d_key_GMW += _dot(d_logits_GMP.to(query_GPW.dtype), query_GPW, ACCUMULATOR, PRECISION)
    pixels_GM = (((image * height + row_G)[:, None] * width + column_M[None, :]) * heads) + head_G[:, None]
    places_GMW = pixels_GM[:, :, None] * channels + channel_W[None, None, :]
    inside_GMW = inside_GM[:, :, None] & (channel_W < channels)[None, None, :]
    tl.store(d_value + places_GMW, d_value_GMW, mask=inside_GMW)
    if HAS_KEY:
        tl.store(d_key + places_GMW, d_key_GMW, mask=inside_GMW)
