"""The gradients of local attention on a GPU, in Triton: a pass over queries, which gives those of the embeddings, too,
and one over keys and values. How a program computes, and the names of shapes, are told in `triton_kernels.py`."""

import triton
import triton.language as tl

from search_spaces.attention.triton_kernels import (
    LARGEST_HALF,
    LEAST_HALF,
    LOG2E,
    MASKED,
    block_pixels,
    load_embeddings,
    load_features,
    memory_offsets,
    multiply,
    position_table,
    program_block,
    query_rows,
    row_channels,
    table_offsets,
    window_logits,
    window_marks,
    window_pixels,
)


@triton.jit
def attend_backward_queries(
    query, key, value, row_NKd, column_NKd, output, log_sum, gradient, d_query, delta, parts,
    query_strides, key_strides, value_strides, d_query_strides, height, width, images,
    heads: tl.constexpr, CHANNELS: tl.constexpr, EXTENT: tl.constexpr,
    HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr,
    HEADS: tl.constexpr, PIXELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    WINDOW_ROWS: tl.constexpr, WINDOW_COLUMNS: tl.constexpr, WHOLE_WIDTH: tl.constexpr, SIDE: tl.constexpr,
    P: tl.constexpr, UNROLLED: tl.constexpr, D: tl.constexpr,
    WIDE: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Writes the queries' gradient, each output's product with its gradient, and this program's part of those of the
    embeddings, (programs, N, K, D): rows in the first half of the channels, columns in the second."""
    DTYPE: tl.constexpr = query.dtype.element_ty
    IS_FLOAT16: tl.constexpr = query.dtype.element_ty == tl.float16
    NEEDED: tl.constexpr = WINDOW_ROWS * WINDOW_COLUMNS
    CHUNKS: tl.constexpr = (NEEDED + P - 1) // P
    REACHED: tl.constexpr = WINDOW_COLUMNS if WHOLE_WIDTH else COLUMNS + EXTENT - 1
    first_row, first_column, window_row, window_column = program_block(
        ROWS, COLUMNS, WINDOW_ROWS, WHOLE_WIDTH, EXTENT, width
    )
    head_Q, row_Q, column_Q, inside_Q = query_rows(
        first_row, first_column, height, width, heads, HEADS, PIXELS, ROWS, COLUMNS
    )
    head_C, place_C, known_C = row_channels(heads, HEADS, CHANNELS, D)
    own_QC = (head_Q[:, None] == head_C[None, :]) & inside_Q[:, None] & known_C[None, :]
    row_M, column_M, inside_M = block_pixels(
        tl.arange(0, PIXELS), first_row, first_column, height, width, ROWS, COLUMNS
    )
    there_MC = inside_M[:, None] & known_C[None, :]
    query_offset_QC = (
        memory_offsets(row_Q, column_Q, query_strides[1], query_strides[2], WIDE)[:, None] + place_C[None, :]
    )
    d_query_offset_Q = memory_offsets(row_Q, column_Q, d_query_strides[1], d_query_strides[2], WIDE)
    pixel_Q = memory_offsets(row_Q, column_Q, width, 1, WIDE)
    output_offset_QC = (pixel_Q * (heads * CHANNELS))[:, None] + place_C[None, :]
    pixel_M = memory_offsets(row_M, column_M, width, 1, WIDE)
    output_offset_MC = (pixel_M * (heads * CHANNELS))[:, None] + place_C[None, :]
    head_N = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    place_MN = (pixel_M * heads)[:, None] + head_N[None, :]
    there_MN = inside_M[:, None] & (head_N < heads)[None, :]
    offset_QT, near_QT = table_offsets(row_Q, column_Q, window_row, window_column, height, width, EXTENT, SIDE)
    term_T = tl.arange(0, 2 * SIDE)
    is_row_T = term_T < SIDE
    index_QT = tl.where(is_row_T, 0, SIDE)[None, :] + (offset_QT & (SIDE - 1))
    # Of the rows and columns of a window, the one that lies at each offset from a query.
    window_QT = (
        (term_T % SIDE)[None, :]
        - EXTENT // 2
        + tl.where(is_row_T[None, :], (row_Q - window_row)[:, None], (column_Q - window_column)[:, None])
    )
    reached_QT = (window_QT >= 0) & (window_QT < SIDE) & (term_T % SIDE < EXTENT)[None, :]
    window_QT = tl.where(is_row_T, 0, SIDE)[None, :] + (window_QT & (SIDE - 1))
    embedding_CT = tl.zeros([HEADS * D, 2 * SIDE], DTYPE)
    if HAS_POSITIONS:
        embedding_CT = load_embeddings(
            row_NKd, column_NKd, head_C, tl.arange(0, HEADS * D) % D, heads, term_T % SIDE, is_row_T,
            HEADS, CHANNELS, EXTENT,
        ).to(DTYPE)  # fmt: skip
    mask_QT = tl.where(near_QT, 0.0, LEAST_HALF).to(DTYPE)
    d_embedding_TC = tl.zeros([2 * SIDE, HEADS * D], ACCUMULATOR)
    for image_index in range(tl.program_id(2), images, tl.num_programs(2)):
        image = tl.cast(image_index, tl.int64)
        image_pixels = image * height * width * heads
        place_Q = image_pixels + pixel_Q * heads + tl.program_id(1) * HEADS + head_Q
        query_QC = tl.load(query + image * query_strides[0] + query_offset_QC, mask=own_QC, other=0.0)
        gradient_QC = tl.load(gradient + image_pixels * CHANNELS + output_offset_QC, mask=own_QC, other=0.0)
        log_sum_Q = tl.load(log_sum + place_Q, mask=inside_Q, other=0.0)
        # The mean of the weights' gradients: of all of them, where they are there at once, else by the output.
        delta_Q = tl.zeros([HEADS * PIXELS], ACCUMULATOR)
        if CHUNKS > 1:
            output_MC = tl.load(output + image_pixels * CHANNELS + output_offset_MC, mask=there_MC, other=0.0)
            gradient_MC = tl.load(gradient + image_pixels * CHANNELS + output_offset_MC, mask=there_MC, other=0.0)
            products_MC = output_MC.to(ACCUMULATOR) * gradient_MC.to(ACCUMULATOR)
            delta_MN = tl.sum(tl.reshape(products_MC, [PIXELS, HEADS, D]), 2)
            tl.store(delta + image_pixels + place_MN, delta_MN, mask=there_MN)
            delta_Q = tl.reshape(tl.trans(delta_MN), [HEADS * PIXELS])
        terms_QT = position_table(query_QC, embedding_CT, index_QT, near_QT, HAS_POSITIONS, ACCUMULATOR, PRECISION)
        table_QT = tl.where(near_QT, terms_QT, 0.0 if IS_FLOAT16 else MASKED).to(DTYPE)
        d_query_QC = tl.zeros([HEADS * PIXELS, HEADS * D], ACCUMULATOR)
        d_table_QT = tl.zeros([HEADS * PIXELS, 2 * SIDE], ACCUMULATOR)
        for chunk in tl.range(0, CHUNKS, loop_unroll_factor=UNROLLED):
            place_P, row_P, column_P, inside_P = window_pixels(
                chunk * P, window_row, window_column, height, width, WINDOW_ROWS, WINDOW_COLUMNS, REACHED, P
            )
            mark_TP = window_marks(place_P, WINDOW_COLUMNS, SIDE, DTYPE)
            value_PC = load_features(value, value_strides, image, row_P, column_P, inside_P, place_C, known_C, WIDE)
            key_PC = value_PC
            if HAS_KEY:
                key_PC = load_features(key, key_strides, image, row_P, column_P, inside_P, place_C, known_C, WIDE)
            logits_QP = window_logits(
                query_QC, key_PC, table_QT, mask_QT, mark_TP, place_P, HAS_KEY, HAS_POSITIONS,
                CHUNKS * P, NEEDED, WINDOW_COLUMNS, SIDE, ACCUMULATOR, PRECISION,
            )  # fmt: skip
            weights_QP = tl.exp2(logits_QP * LOG2E - log_sum_Q[:, None])
            d_weights_QP = multiply(gradient_QC, tl.trans(value_PC), ACCUMULATOR, PRECISION)
            if CHUNKS == 1:
                delta_Q = tl.sum(weights_QP * d_weights_QP, 1)
                tl.store(delta + place_Q, delta_Q, mask=inside_Q)
            d_logits_QP = (weights_QP * (d_weights_QP - delta_Q[:, None])).to(DTYPE)
            if HAS_KEY:
                d_query_QC += multiply(d_logits_QP, key_PC, ACCUMULATOR, PRECISION)
            if HAS_POSITIONS:
                d_table_QT += multiply(d_logits_QP, tl.trans(mark_TP), ACCUMULATOR, PRECISION)
        if HAS_POSITIONS:
            d_products_QT = tl.where(reached_QT, tl.gather(d_table_QT.to(DTYPE), window_QT, 1), 0.0).to(DTYPE)
            d_query_QC += multiply(d_products_QT, tl.trans(embedding_CT), ACCUMULATOR, PRECISION)
            d_embedding_TC += multiply(tl.trans(d_products_QT), query_QC, ACCUMULATOR, PRECISION)
        tl.store(
            d_query + image * d_query_strides[0] + d_query_offset_Q[:, None] + place_C[None, :],
            d_query_QC,
            mask=own_QC,
        )
    if HAS_POSITIONS:
        program = (tl.program_id(2) * tl.num_programs(0) + tl.program_id(0)).to(tl.int64)
        channel_C = tl.arange(0, HEADS * D) % D
        of_half_TC = is_row_T[:, None] == (channel_C < CHANNELS // 2)[None, :]
        known_TC = (term_T % SIDE < EXTENT)[:, None] & known_C[None, :] & of_half_TC
        place_TC = (
            ((tl.program_id(1) * HEADS + head_C) * EXTENT)[None, :] + (term_T % SIDE)[:, None]
        ) * CHANNELS + channel_C[None, :]
        tl.store(parts + program * heads * EXTENT * CHANNELS + place_TC, d_embedding_TC, mask=known_TC)


@triton.jit
def attend_backward_keys(
    query, key, value, row_NKd, column_NKd, log_sum, gradient, delta, d_key, d_value,
    query_strides, key_strides, value_strides, d_key_strides, d_value_strides, height, width, images,
    heads: tl.constexpr, CHANNELS: tl.constexpr, EXTENT: tl.constexpr,
    HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr,
    HEADS: tl.constexpr, PIXELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    WINDOW_ROWS: tl.constexpr, WINDOW_COLUMNS: tl.constexpr, WHOLE_WIDTH: tl.constexpr, SIDE: tl.constexpr,
    P: tl.constexpr, UNROLLED: tl.constexpr, D: tl.constexpr,
    OFFSETS: tl.constexpr, TERMS: tl.constexpr,
    WIDE: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Writes the gradients of keys and values. A block of keys meets the queries of the window around it, which are the
    rows here: (P, Q) are the pairs. Of a table of each query (TERMS for each head) these keys' rows and columns are.
    """
    DTYPE: tl.constexpr = query.dtype.element_ty
    IS_FLOAT16: tl.constexpr = query.dtype.element_ty == tl.float16
    REACH: tl.constexpr = EXTENT // 2
    NEEDED: tl.constexpr = WINDOW_ROWS * WINDOW_COLUMNS
    CHUNKS: tl.constexpr = (NEEDED + P - 1) // P
    REACHED: tl.constexpr = WINDOW_COLUMNS if WHOLE_WIDTH else COLUMNS + EXTENT - 1
    Q: tl.constexpr = HEADS * PIXELS
    first_row, first_column, window_row, window_column = program_block(
        ROWS, COLUMNS, WINDOW_ROWS, WHOLE_WIDTH, EXTENT, width
    )
    head_Q, row_Q, column_Q, inside_Q = query_rows(
        first_row, first_column, height, width, heads, HEADS, PIXELS, ROWS, COLUMNS
    )
    head_C, place_C, known_C = row_channels(heads, HEADS, CHANNELS, D)
    own_QC = (head_Q[:, None] == head_C[None, :]) & inside_Q[:, None] & known_C[None, :]
    key_offset_Q = memory_offsets(row_Q, column_Q, key_strides[1], key_strides[2], WIDE)
    value_offset_Q = memory_offsets(row_Q, column_Q, value_strides[1], value_strides[2], WIDE)
    # The products of a query with its heads' embeddings, of a head those of rows before those of columns.
    product_J = tl.arange(0, HEADS * 2 * OFFSETS)
    embedding_CJ = tl.zeros([HEADS * D, HEADS * 2 * OFFSETS], DTYPE)
    if HAS_POSITIONS:
        embedding_CJ = load_embeddings(
            row_NKd, column_NKd, head_C, tl.arange(0, HEADS * D) % D, heads,
            product_J % OFFSETS, product_J % (2 * OFFSETS) < OFFSETS, HEADS, CHANNELS, EXTENT,
        ).to(DTYPE)  # fmt: skip
        own_CJ = head_C[:, None] == (product_J // (2 * OFFSETS))[None, :]
        embedding_CJ = tl.where(own_CJ, embedding_CJ, 0.0).to(DTYPE)
    # The terms of a query: for each head the block's rows, and then its columns.
    term_T = tl.arange(0, HEADS * TERMS)
    own_T = term_T % TERMS
    is_row_T = own_T < ROWS
    at_T = tl.where(is_row_T, first_row + own_T, first_column + own_T - ROWS)
    pixel_Q = tl.arange(0, Q) % PIXELS
    marked_QT = head_Q[:, None] == (term_T // TERMS)[None, :]
    marked_QT = marked_QT & tl.where(
        is_row_T[None, :],
        (pixel_Q // COLUMNS)[:, None] == own_T[None, :],
        (pixel_Q % COLUMNS)[:, None] == (own_T - ROWS)[None, :],
    )
    mark_QT = marked_QT.to(tl.int32).to(DTYPE)
    sum_head = tl.program_id(1) * HEADS + tl.arange(0, HEADS)
    for image_index in range(tl.program_id(2), images, tl.num_programs(2)):
        image = tl.cast(image_index, tl.int64)
        image_pixels = image * height * width * heads
        value_QC = tl.load(
            value + image * value_strides[0] + value_offset_Q[:, None] + place_C[None, :], mask=own_QC, other=0.0
        )
        key_QC = value_QC
        if HAS_KEY:
            key_QC = tl.load(
                key + image * key_strides[0] + key_offset_Q[:, None] + place_C[None, :], mask=own_QC, other=0.0
            )
        d_key_QC = tl.zeros([Q, HEADS * D], ACCUMULATOR)
        d_value_QC = tl.zeros([Q, HEADS * D], ACCUMULATOR)
        for chunk in tl.range(0, CHUNKS, loop_unroll_factor=UNROLLED):
            # Queries beyond the image count nothing: they, their gradient and their delta are loaded as zeros.
            _, row_P, column_P, inside_P = window_pixels(
                chunk * P, window_row, window_column, height, width, WINDOW_ROWS, WINDOW_COLUMNS, REACHED, P
            )
            there_PC = inside_P[:, None] & known_C[None, :]
            pixel_P = memory_offsets(row_P, column_P, width, 1, WIDE)
            query_PC = load_features(query, query_strides, image, row_P, column_P, inside_P, place_C, known_C, WIDE)
            gradient_offset_PC = (pixel_P * (heads * CHANNELS))[:, None] + place_C[None, :]
            gradient_PC = tl.load(gradient + image_pixels * CHANNELS + gradient_offset_PC, mask=there_PC, other=0.0)
            sum_place_PN = image_pixels + (pixel_P * heads)[:, None] + sum_head[None, :]
            there_PN = inside_P[:, None] & (sum_head < heads)[None, :]
            log_sum_NP = tl.trans(tl.load(log_sum + sum_place_PN, mask=there_PN, other=0.0))
            delta_NP = tl.trans(tl.load(delta + sum_place_PN, mask=there_PN, other=0.0))

            offset_PT = at_T[None, :] - tl.where(is_row_T[None, :], row_P[:, None], column_P[:, None]) + REACH
            near_PT = (offset_PT >= 0) & (offset_PT < EXTENT)
            table_PT = tl.zeros([P, HEADS * TERMS], DTYPE)
            if HAS_POSITIONS:
                products_PJ = multiply(query_PC, embedding_CJ, ACCUMULATOR, PRECISION).to(DTYPE)
                index_PT = tl.where(is_row_T, 0, OFFSETS)[None, :]
                index_PT += offset_PT & (OFFSETS - 1)
                terms = tl.gather(
                    tl.reshape(products_PJ, [P * HEADS, 2 * OFFSETS]), tl.reshape(index_PT, [P * HEADS, TERMS]), 1
                )
                table_PT = tl.reshape(terms, [P, HEADS * TERMS])
            logits_QP = tl.zeros([Q, P], ACCUMULATOR)
            if HAS_KEY:
                logits_QP = multiply(key_QC, tl.trans(query_PC), ACCUMULATOR, PRECISION)
            if IS_FLOAT16:
                mask_PT = tl.where(near_PT, 0.0, LEAST_HALF).to(DTYPE)
                logits_QP += multiply((mark_QT * LARGEST_HALF).to(DTYPE), tl.trans(mask_PT), ACCUMULATOR, PRECISION)
                if HAS_POSITIONS:
                    table_PT = tl.where(near_PT, table_PT, 0.0).to(DTYPE)
                    logits_QP += multiply(mark_QT, tl.trans(table_PT), ACCUMULATOR, PRECISION)
            else:
                table_PT = tl.where(near_PT, table_PT, MASKED).to(DTYPE)
                logits_QP += multiply(mark_QT, tl.trans(table_PT), ACCUMULATOR, PRECISION)
            log_sum_QP = tl.reshape(tl.broadcast_to(log_sum_NP[:, None, :], [HEADS, PIXELS, P]), [Q, P])
            weights_QP = tl.exp2(logits_QP * LOG2E - log_sum_QP)
            d_value_QC += multiply(weights_QP.to(DTYPE), gradient_PC, ACCUMULATOR, PRECISION)
            if HAS_KEY:
                delta_QP = tl.reshape(tl.broadcast_to(delta_NP[:, None, :], [HEADS, PIXELS, P]), [Q, P])
                d_weights_QP = multiply(value_QC, tl.trans(gradient_PC), ACCUMULATOR, PRECISION)
                d_logits_QP = (weights_QP * (d_weights_QP - delta_QP)).to(DTYPE)
                d_key_QC += multiply(d_logits_QP, query_PC, ACCUMULATOR, PRECISION)
        d_value_offset_Q = memory_offsets(row_Q, column_Q, d_value_strides[1], d_value_strides[2], WIDE)
        tl.store(
            d_value + image * d_value_strides[0] + d_value_offset_Q[:, None] + place_C[None, :],
            d_value_QC,
            mask=own_QC,
        )
        if HAS_KEY:
            d_key_offset_Q = memory_offsets(row_Q, column_Q, d_key_strides[1], d_key_strides[2], WIDE)
            tl.store(
                d_key + image * d_key_strides[0] + d_key_offset_Q[:, None] + place_C[None, :],
                d_key_QC,
                mask=own_QC,
            )
