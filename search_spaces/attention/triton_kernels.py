"""Local attention on a GPU: forward and backward kernels in Triton, fused, with nothing of K² size in memory.

A program computes a group of strips: G pairs of a head and an image row, each with up to 16 pixels of that row. For
each of the K row offsets a strip of queries meets a window of P keys of one row, all strips of the group in one batched
matrix product on tensor cores. The term of the row embedding is added to the keys. That of the column embedding is the
same for every row offset: a product of the query with all K columns, from which each pair takes the one of its offset.
Logits count in powers of two, and what is out of reach or outside the image is masked.

The gradient of the queries and embeddings is a pass over queries, that of keys and values one over keys, so that every
number is summed by one program, in one order: no atomics, and the same bits every time.

Shapes: G strips of a group, M pixels of a strip, P keys or queries of a window, D channels a head, filled up, d = D/2
of them for rows, K spatial extent, J = 16 ≥ K.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
# A logit that no neighbour has; finite, so that strips beyond the image stay finite too.
MASKED = tl.constexpr(-1e30)
OFFSETS = tl.constexpr(16)


@triton.jit
def _places(TILE_HEADS: tl.constexpr, TILE_ROWS: tl.constexpr, STRIP: tl.constexpr, height, width):
    """Of this program: its image, the head and the row of each strip, the first row and the first column.

    The grid's first axis, the only one that is long enough, counts tiles, image after image. Heads and rows are in 64
    bits, and so is every place that is made of them.
    """
    strips = tl.cdiv(width, STRIP)
    tiles = strips * tl.cdiv(height, TILE_ROWS)
    tile = tl.program_id(0) % tiles
    strip_G = tl.arange(0, TILE_HEADS * TILE_ROWS)
    head_G = tl.program_id(1) * TILE_HEADS + strip_G % TILE_HEADS
    first_row = tile // strips * TILE_ROWS
    row_G = (first_row + strip_G // TILE_HEADS).to(tl.int64)
    image = (tl.program_id(0) // tiles).to(tl.int64)
    return image, head_G.to(tl.int64), row_G, first_row, tile % strips * STRIP


@triton.jit
def _inside(head_G, row_G, column_P, height, width, heads):
    inside_G = (head_G < heads) & (row_G >= 0) & (row_G < height)
    return inside_G[:, None] & ((column_P >= 0) & (column_P < width))[None, :]


@triton.jit
def _load(image, strides, head_G, row_G, column_P, inside_GP, channels, D: tl.constexpr):
    """The features of these pixels, (G, P, D), zero outside the image and beyond the head's channels."""
    channel_D = tl.arange(0, D)
    strip_G = head_G * strides[3] + row_G * strides[1]
    column_GP = strip_G[:, None] + (column_P.to(tl.int64) * strides[2])[None, :]
    places = column_GP[:, :, None] + channel_D[None, None, :]
    return tl.load(image + places, mask=inside_GP[:, :, None] & (channel_D < channels)[None, None, :], other=0.0)


@triton.jit
def _row_embedding(row_NKd, head_G, row_offset, heads, channels, EXTENT: tl.constexpr, D: tl.constexpr):
    """(G, 1, D): the embedding of one row offset in the first half of the channels."""
    channel_D = tl.arange(0, D)
    half = channels // 2
    places = (head_G * EXTENT + row_offset)[:, None] * half + channel_D[None, :]
    mask = (head_G < heads)[:, None] & (channel_D < half)[None, :]
    return tl.load(row_NKd + places, mask=mask, other=0.0)[:, None, :]


@triton.jit
def _column_embeddings(column_NKd, head_G, heads, channels, EXTENT: tl.constexpr, D: tl.constexpr):
    """(G, J, D): the embeddings of all column offsets in the second half of the channels."""
    channel_D = tl.arange(0, D)
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
    key_image, strides, row_NKd, head_G, row_G, column_P, row_offset, height, width, heads, channels, like,
    HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr, EXTENT: tl.constexpr, D: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """(G, P, D): k + r of one row offset, where r is of the row alone; either may be missing."""
    key_GPD = tl.zeros([head_G.shape[0], P, D], like.dtype)
    if HAS_KEY:
        inside_GP = _inside(head_G, row_G, column_P, height, width, heads)
        key_GPD = _load(key_image, strides, head_G, row_G, column_P, inside_GP, channels, D)
    if HAS_POSITIONS:
        embedding_G1D = _row_embedding(row_NKd, head_G, row_offset, heads, channels, EXTENT, D)
        key_GPD = (key_GPD + embedding_G1D).to(like.dtype)
    return key_GPD


@triton.jit
def _column_terms(
    query_GMD, column_GJD, offset_MP, near_MP,
    HAS_POSITIONS: tl.constexpr, P: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """(G, M, P): what the column offset of each pair adds to its logit; masked where the pair is out of reach."""
    G: tl.constexpr = query_GMD.shape[0]
    M: tl.constexpr = query_GMD.shape[1]
    terms_GMP = tl.zeros([G, M, P], ACCUMULATOR)
    if HAS_POSITIONS:
        products_GMJ = _dot(query_GMD, tl.permute(column_GJD, 0, 2, 1), ACCUMULATOR, PRECISION)
        index_MP = tl.minimum(tl.maximum(offset_MP, 0), OFFSETS - 1)
        terms_GMP = tl.gather(products_GMJ, tl.broadcast_to(index_MP[None, :, :], [G, M, P]), 2) * LOG2E
    return tl.where(near_MP[None, :, :], terms_GMP, MASKED)


@triton.jit
def attend(
    query, key, value, row_NKd, column_NKd, output, log_sum,
    query_strides, key_strides, value_strides, height, width, heads, channels,
    EXTENT: tl.constexpr, HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr,
    TILE_HEADS: tl.constexpr, TILE_ROWS: tl.constexpr, STRIP: tl.constexpr, P: tl.constexpr, WHOLE: tl.constexpr,
    D: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Writes the output, (B, H, W, N, D), and the logarithm of each softmax's sum, (B, H, W, N)."""
    REACH: tl.constexpr = EXTENT // 2
    G: tl.constexpr = TILE_HEADS * TILE_ROWS
    M: tl.constexpr = 16
    image, head_G, row_G, first_row, first_column = _places(TILE_HEADS, TILE_ROWS, STRIP, height, width)
    pixel_M = tl.arange(0, M)
    column_M = first_column + pixel_M
    column_P = tl.arange(0, P) + (0 if WHOLE else first_column - REACH)
    inside_GM = _inside(head_G, row_G, column_M, height, width, heads) & (pixel_M < STRIP)[None, :]
    query_GMD = _load(query + image * query_strides[0], query_strides, head_G, row_G, column_M, inside_GM, channels, D)
    offset_MP = column_P[None, :] - column_M[:, None] + REACH
    near_MP = (offset_MP >= 0) & (offset_MP < EXTENT) & ((column_P >= 0) & (column_P < width))[None, :]
    column_GJD = tl.zeros([G, OFFSETS, D], query_GMD.dtype)
    if HAS_POSITIONS:
        column_GJD = _column_embeddings(column_NKd, head_G, heads, channels, EXTENT, D).to(query_GMD.dtype)
    terms_GMP = _column_terms(query_GMD, column_GJD, offset_MP, near_MP, HAS_POSITIONS, P, ACCUMULATOR, PRECISION)

    largest_GM = tl.full([G, M], MASKED, ACCUMULATOR)
    sum_GM = tl.zeros([G, M], ACCUMULATOR)
    mean_GMD = tl.zeros([G, M, D], ACCUMULATOR)
    first = tl.maximum(0, REACH - first_row - TILE_ROWS + 1)
    last = tl.minimum(EXTENT, height + REACH - first_row)
    for row_offset in range(first, last):
        other_G = row_G + row_offset - REACH
        inside_GP = _inside(head_G, other_G, column_P, height, width, heads)
        key_GPD = _keys(
            key + image * key_strides[0], key_strides, row_NKd, head_G, other_G, column_P, row_offset,
            height, width, heads, channels, query_GMD, HAS_KEY, HAS_POSITIONS, EXTENT, D, P,
        )  # fmt: skip
        value_GPD = _load(
            value + image * value_strides[0], value_strides, head_G, other_G, column_P, inside_GP, channels, D
        )
        logits_GMP = _dot(query_GMD, tl.permute(key_GPD, 0, 2, 1), ACCUMULATOR, PRECISION) * LOG2E + terms_GMP
        if TILE_ROWS > 1:
            logits_GMP = tl.where(((other_G >= 0) & (other_G < height))[:, None, None], logits_GMP, MASKED)
        larger_GM = tl.maximum(largest_GM, tl.max(logits_GMP, 2))
        weights_GMP = tl.exp2(logits_GMP - larger_GM[:, :, None])
        shrink_GM = tl.exp2(largest_GM - larger_GM)
        sum_GM = sum_GM * shrink_GM + tl.sum(weights_GMP, 2)
        mean_GMD = mean_GMD * shrink_GM[:, :, None]
        mean_GMD += _dot(weights_GMP.to(value_GPD.dtype), value_GPD, ACCUMULATOR, PRECISION)
        largest_GM = larger_GM

    pixels_GM = (((image * height + row_G)[:, None] * width + column_M[None, :]) * heads) + head_G[:, None]
    channel_D = tl.arange(0, D)
    tl.store(log_sum + pixels_GM, largest_GM + tl.log2(sum_GM), mask=inside_GM)
    tl.store(
        output + pixels_GM[:, :, None] * channels + channel_D[None, None, :],
        mean_GMD / sum_GM[:, :, None],
        mask=inside_GM[:, :, None] & (channel_D < channels)[None, None, :],
    )


@triton.jit
def attend_backward_queries(
    query, key, value, row_NKd, column_NKd, output, log_sum, gradient, d_query, delta, parts,
    query_strides, key_strides, value_strides, height, width, heads, channels, images,
    EXTENT: tl.constexpr, HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr,
    TILE_HEADS: tl.constexpr, TILE_ROWS: tl.constexpr, STRIP: tl.constexpr, P: tl.constexpr, WHOLE: tl.constexpr,
    D: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Writes the queries' gradient, each output's product with its gradient, and this program's part of those of the
    embeddings, (programs, N, K, D): rows in the first half of the channels, columns in the second."""
    REACH: tl.constexpr = EXTENT // 2
    G: tl.constexpr = TILE_HEADS * TILE_ROWS
    M: tl.constexpr = 16
    _, head_G, row_G, first_row, first_column = _places(TILE_HEADS, TILE_ROWS, STRIP, height, width)
    pixel_M = tl.arange(0, M)
    column_M = first_column + pixel_M
    column_P = tl.arange(0, P) + (0 if WHOLE else first_column - REACH)
    channel_D = tl.arange(0, D)
    offset_J = tl.arange(0, OFFSETS)
    inside_GM = _inside(head_G, row_G, column_M, height, width, heads) & (pixel_M < STRIP)[None, :]
    inside_GMD = inside_GM[:, :, None] & (channel_D < channels)[None, None, :]
    offset_MP = column_P[None, :] - column_M[:, None] + REACH
    near_MP = (offset_MP >= 0) & (offset_MP < EXTENT) & ((column_P >= 0) & (column_P < width))[None, :]
    # Of the pixels of a window, the one that lies at each offset from a pixel of the strip.
    window_MJ = offset_J[None, :] + (column_M[:, None] if WHOLE else pixel_M[:, None]) - (REACH if WHOLE else 0)
    reached_MJ = (window_MJ >= 0) & (window_MJ < P) & (offset_J < EXTENT)[None, :]
    window_MJ = tl.minimum(tl.maximum(window_MJ, 0), P - 1)
    of_rows_D = channel_D < channels // 2
    # This program's own place among the parts, to which it adds image after image.
    head_H = tl.program_id(1) * TILE_HEADS + tl.arange(0, TILE_HEADS)
    program = (tl.program_id(2) * tl.num_programs(0) + tl.program_id(0)).to(tl.int64)
    places_HJ = (program * heads + head_H)[:, None] * EXTENT + offset_J[None, :]
    places_HJD = places_HJ[:, :, None] * channels + channel_D[None, None, :]
    inside_HJ = (head_H < heads)[:, None] & (offset_J < EXTENT)[None, :]
    inside_HJD = inside_HJ[:, :, None] & (channel_D < channels)[None, None, :]
    first = tl.maximum(0, REACH - first_row - TILE_ROWS + 1)
    last = tl.minimum(EXTENT, height + REACH - first_row)
    for image_index in range(tl.program_id(2), images, tl.num_programs(2)):
        image = tl.cast(image_index, tl.int64)
        pixels_GM = (((image * height + row_G)[:, None] * width + column_M[None, :]) * heads) + head_G[:, None]
        places_GMD = pixels_GM[:, :, None] * channels + channel_D[None, None, :]
        query_GMD = _load(
            query + image * query_strides[0], query_strides, head_G, row_G, column_M, inside_GM, channels, D
        )
        gradient_GMD = tl.load(gradient + places_GMD, mask=inside_GMD, other=0.0)
        output_GMD = tl.load(output + places_GMD, mask=inside_GMD, other=0.0)
        delta_GM = tl.sum(output_GMD.to(ACCUMULATOR) * gradient_GMD.to(ACCUMULATOR), 2)
        tl.store(delta + pixels_GM, delta_GM, mask=inside_GM)
        log_sum_GM = tl.load(log_sum + pixels_GM, mask=inside_GM, other=0.0)
        column_GJD = tl.zeros([G, OFFSETS, D], query_GMD.dtype)
        if HAS_POSITIONS:
            column_GJD = _column_embeddings(column_NKd, head_G, heads, channels, EXTENT, D).to(query_GMD.dtype)
        terms_GMP = _column_terms(query_GMD, column_GJD, offset_MP, near_MP, HAS_POSITIONS, P, ACCUMULATOR, PRECISION)
        d_query_GMD = tl.zeros([G, M, D], ACCUMULATOR)
        d_terms_GMP = tl.zeros([G, M, P], ACCUMULATOR)
        d_rows_GMJ = tl.zeros([G, M, OFFSETS], ACCUMULATOR)
        for row_offset in range(first, last):
            other_G = row_G + row_offset - REACH
            inside_GP = _inside(head_G, other_G, column_P, height, width, heads)
            key_GPD = _keys(
                key + image * key_strides[0], key_strides, row_NKd, head_G, other_G, column_P, row_offset,
                height, width, heads, channels, query_GMD, HAS_KEY, HAS_POSITIONS, EXTENT, D, P,
            )  # fmt: skip
            value_GPD = _load(
                value + image * value_strides[0], value_strides, head_G, other_G, column_P, inside_GP, channels, D
            )
            logits_GMP = _dot(query_GMD, tl.permute(key_GPD, 0, 2, 1), ACCUMULATOR, PRECISION) * LOG2E + terms_GMP
            if TILE_ROWS > 1:
                logits_GMP = tl.where(((other_G >= 0) & (other_G < height))[:, None, None], logits_GMP, MASKED)
            weights_GMP = tl.exp2(logits_GMP - log_sum_GM[:, :, None])
            d_weights_GMP = _dot(gradient_GMD, tl.permute(value_GPD, 0, 2, 1), ACCUMULATOR, PRECISION)
            d_logits_GMP = weights_GMP * (d_weights_GMP - delta_GM[:, :, None])
            d_query_GMD += _dot(d_logits_GMP.to(key_GPD.dtype), key_GPD, ACCUMULATOR, PRECISION)
            if HAS_POSITIONS:
                d_terms_GMP += d_logits_GMP
                at_offset_J = offset_J == row_offset
                d_rows_GMJ += tl.where(at_offset_J[None, None, :], tl.sum(d_logits_GMP, 2)[:, :, None], 0.0)
        if HAS_POSITIONS:
            index_GMJ = tl.broadcast_to(window_MJ[None, :, :], [G, M, OFFSETS])
            d_columns_GMJ = tl.where(reached_MJ[None, :, :], tl.gather(d_terms_GMP, index_GMJ, 2), 0.0)
            d_columns_GMJ = d_columns_GMJ.to(query_GMD.dtype)
            d_query_GMD += _dot(d_columns_GMJ, column_GJD, ACCUMULATOR, PRECISION)
            d_rows_GJM = tl.permute(d_rows_GMJ.to(query_GMD.dtype), 0, 2, 1)
            part_GJD = tl.where(
                of_rows_D[None, None, :],
                _dot(d_rows_GJM, query_GMD, ACCUMULATOR, PRECISION),
                _dot(tl.permute(d_columns_GMJ, 0, 2, 1), query_GMD, ACCUMULATOR, PRECISION),
            )
            part_HJD = tl.sum(tl.reshape(part_GJD, [TILE_ROWS, TILE_HEADS, OFFSETS, D]), 0)
            part_HJD += tl.load(parts + places_HJD, mask=inside_HJD & (image_index >= tl.num_programs(2)), other=0.0)
            tl.store(parts + places_HJD, part_HJD, mask=inside_HJD)
            # The next image's sum is read by whichever threads.
            tl.debug_barrier()
        tl.store(d_query + places_GMD, d_query_GMD, mask=inside_GMD)


@triton.jit
def attend_backward_keys(
    query, key, value, row_NKd, column_NKd, log_sum, gradient, delta, d_key, d_value,
    query_strides, key_strides, value_strides, height, width, heads, channels,
    EXTENT: tl.constexpr, HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr,
    TILE_HEADS: tl.constexpr, TILE_ROWS: tl.constexpr, STRIP: tl.constexpr, P: tl.constexpr, WHOLE: tl.constexpr,
    D: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Writes the gradients of keys and values: each strip of keys meets the queries that see it, row by row."""
    REACH: tl.constexpr = EXTENT // 2
    G: tl.constexpr = TILE_HEADS * TILE_ROWS
    M: tl.constexpr = 16
    image, head_G, row_G, first_row, first_column = _places(TILE_HEADS, TILE_ROWS, STRIP, height, width)
    pixel_M = tl.arange(0, M)
    column_M = first_column + pixel_M
    column_P = tl.arange(0, P) + (0 if WHOLE else first_column - REACH)
    channel_D = tl.arange(0, D)
    inside_GM = _inside(head_G, row_G, column_M, height, width, heads) & (pixel_M < STRIP)[None, :]
    value_GMD = _load(value + image * value_strides[0], value_strides, head_G, row_G, column_M, inside_GM, channels, D)
    offset_MP = column_M[:, None] - column_P[None, :] + REACH
    near_MP = (offset_MP >= 0) & (offset_MP < EXTENT) & ((column_P >= 0) & (column_P < width))[None, :]
    index_MP = tl.minimum(tl.maximum(offset_MP, 0), OFFSETS - 1)
    column_GJD = tl.zeros([G, OFFSETS, D], value_GMD.dtype)
    if HAS_POSITIONS:
        column_GJD = _column_embeddings(column_NKd, head_G, heads, channels, EXTENT, D).to(value_GMD.dtype)
    d_key_GMD = tl.zeros([G, M, D], ACCUMULATOR)
    d_value_GMD = tl.zeros([G, M, D], ACCUMULATOR)
    first = tl.maximum(0, first_row + REACH - height + 1)
    last = tl.minimum(EXTENT, first_row + TILE_ROWS + REACH)
    for row_offset in range(first, last):
        # Queries beyond the image count nothing: they, their gradient and their delta are loaded as zeros.
        other_G = row_G - row_offset + REACH
        inside_GP = _inside(head_G, other_G, column_P, height, width, heads)
        query_GPD = _load(
            query + image * query_strides[0], query_strides, head_G, other_G, column_P, inside_GP, channels, D
        )
        pixels_GP = (((image * height + other_G)[:, None] * width + column_P[None, :]) * heads) + head_G[:, None]
        gradient_GPD = tl.load(
            gradient + pixels_GP[:, :, None] * channels + channel_D[None, None, :],
            mask=inside_GP[:, :, None] & (channel_D < channels)[None, None, :],
            other=0.0,
        )
        log_sum_GP = tl.load(log_sum + pixels_GP, mask=inside_GP, other=0.0)
        delta_GP = tl.load(delta + pixels_GP, mask=inside_GP, other=0.0)
        key_GMD = _keys(
            key + image * key_strides[0], key_strides, row_NKd, head_G, row_G, column_M, row_offset,
            height, width, heads, channels, query_GPD, HAS_KEY, HAS_POSITIONS, EXTENT, D, M,
        )  # fmt: skip
        query_GDP = tl.permute(query_GPD, 0, 2, 1)
        terms_GMP = tl.zeros([G, M, P], ACCUMULATOR)
        if HAS_POSITIONS:
            products_GJP = _dot(column_GJD, query_GDP, ACCUMULATOR, PRECISION)
            terms_GMP = tl.gather(products_GJP, tl.broadcast_to(index_MP[None, :, :], [G, M, P]), 1) * LOG2E
        terms_GMP = tl.where(near_MP[None, :, :], terms_GMP, MASKED)
        logits_GMP = _dot(key_GMD, query_GDP, ACCUMULATOR, PRECISION) * LOG2E + terms_GMP
        weights_GMP = tl.exp2(logits_GMP - log_sum_GP[:, None, :])
        d_value_GMD += _dot(weights_GMP.to(query_GPD.dtype), gradient_GPD, ACCUMULATOR, PRECISION)
        if HAS_KEY:
            d_weights_GMP = _dot(value_GMD, tl.permute(gradient_GPD, 0, 2, 1), ACCUMULATOR, PRECISION)
            d_logits_GMP = weights_GMP * (d_weights_GMP - delta_GP[:, None, :])
            d_key_GMD += _dot(d_logits_GMP.to(query_GPD.dtype), query_GPD, ACCUMULATOR, PRECISION)
    pixels_GM = (((image * height + row_G)[:, None] * width + column_M[None, :]) * heads) + head_G[:, None]
    places_GMD = pixels_GM[:, :, None] * channels + channel_D[None, None, :]
    inside_GMD = inside_GM[:, :, None] & (channel_D < channels)[None, None, :]
    tl.store(d_value + places_GMD, d_value_GMD, mask=inside_GMD)
    if HAS_KEY:
        tl.store(d_key + places_GMD, d_key_GMD, mask=inside_GMD)
