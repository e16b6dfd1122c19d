"""Local attention on a GPU in Triton: the forward kernel, fused, with nothing of K² size in memory, and what those of
the backward (`triton_kernels_backward.py`) share with it.

A program has a block of pixels, in a few heads beside each other, and takes one image after another. Queries of all its
heads are the rows of one matrix, Q × C, in which each row has its own head's channels and zeros in those of the others;
so one product with the window of keys around the block, P × C, as they lie in memory, gives the logits of every head,
and nothing is filled up where heads have few channels.

Positions and borders cost products alone. A query has a table of T terms: for each row of the window what the row
embedding at that offset adds to a logit, and for each column the same; where a row or column is out of its reach, or
outside the image, a number so low that no weight is left. The table times a matrix of ones, which says what row and
what column each pixel of the window is in, adds them to the logits. Logits count in powers of two.

The gradient of the queries and embeddings is a pass over blocks of queries, that of keys and values one over blocks of
keys with the queries around them, so that every number is summed by one program, in one order: no atomics, and the same
bits every time.

Shapes: Q rows of a block, its M pixels in each of its N heads, C their channels, P pixels of a window at a time, D
channels a head, filled up, K spatial extent, J offsets at which an embedding is asked for, T terms of a table, rows of
the window before its columns, SIDE each.
"""

import triton
import triton.language as tl

LOG2E = tl.constexpr(1.4426950408889634)
# What a pair that is no pair of neighbours has for a logit; finite, so that rows beyond the image stay finite too.
MASKED = tl.constexpr(-1e30)
# What masks in float16, whose largest number is 65,504: the product of the two.
LEAST_HALF = tl.constexpr(-6e4)
LARGEST_HALF = tl.constexpr(6e4)
# What the largest logit begins with: more than what masks, in either way, and less than logits of neighbours. So a part
# of the window in which a query has no neighbour leaves no weight, and that by far: a GPU multiplies and subtracts in
# one step, and the rounding of what masks, which it does not undo, is by itself an exponent without bounds.
LOWEST = tl.constexpr(-1e20)
LOWEST_HALF = tl.constexpr(-1e9)


@triton.jit
def program_block(
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, WINDOW_ROWS: tl.constexpr, WHOLE_WIDTH: tl.constexpr,
    EXTENT: tl.constexpr, width,
):  # fmt: skip
    """The first row and column of this program's block, and of its window, which is the whole image along an axis on
    which it is no longer than that."""
    across = tl.cdiv(width, COLUMNS)
    first_row = tl.program_id(0) // across * ROWS
    first_column = tl.program_id(0) % across * COLUMNS
    window_row = first_row - EXTENT // 2
    window_column = first_column - EXTENT // 2
    # Zeros of the same type, which a constant has not.
    if WINDOW_ROWS < ROWS + EXTENT - 1:
        window_row = first_row * 0
    if WHOLE_WIDTH:
        window_column = first_column * 0
    return first_row, first_column, window_row, window_column


@triton.jit
def block_pixels(pixel, first_row, first_column, height, width, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Of these pixels of the block: the image's row and column, and whether there is such."""
    row = first_row + pixel // COLUMNS
    column = first_column + pixel % COLUMNS
    return row, column, (pixel < ROWS * COLUMNS) & (row < height) & (column < width)


@triton.jit
def query_rows(
    first_row, first_column, height, width, heads,
    HEADS: tl.constexpr, PIXELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """Of the matrix's rows: the head within the program, the image's row and column, and whether there is such."""
    place_Q = tl.arange(0, HEADS * PIXELS)
    head_Q = place_Q // PIXELS
    row_Q, column_Q, inside_Q = block_pixels(place_Q % PIXELS, first_row, first_column, height, width, ROWS, COLUMNS)
    return head_Q, row_Q, column_Q, inside_Q & (tl.program_id(1) * HEADS + head_Q < heads)


@triton.jit
def row_channels(heads, HEADS: tl.constexpr, CHANNELS: tl.constexpr, D: tl.constexpr):
    """Of the matrix's columns: the head within the program, the place among a pixel's channels, and whether there is
    such."""
    column_C = tl.arange(0, HEADS * D)
    head_C = column_C // D
    first_head = tl.program_id(1) * HEADS
    if CHANNELS == D:
        # Said so that loads are as wide as they may be.
        place_C = first_head * CHANNELS + column_C
        known_C = place_C < heads * CHANNELS
    else:
        place_C = (first_head + head_C) * CHANNELS + column_C % D
        known_C = (first_head + head_C < heads) & (column_C % D < CHANNELS)
    return head_C, place_C, known_C


@triton.jit
def memory_offsets(row, column, row_stride, column_stride, WIDE: tl.constexpr):
    """Where pixels lie in an image, in 64 bits where 32 do not suffice."""
    if WIDE:
        row = row.to(tl.int64)
        column = column.to(tl.int64)
    return row * row_stride + column * column_stride


@triton.jit
def load_features(features, strides, image, row_P, column_P, inside_P, place_C, known_C, WIDE: tl.constexpr):
    """(P, C): the channels of these pixels of an image, zeros where there is no such pixel or channel."""
    offset_P = memory_offsets(row_P, column_P, strides[1], strides[2], WIDE)
    there_PC = inside_P[:, None] & known_C[None, :]
    return tl.load(features + image * strides[0] + offset_P[:, None] + place_C[None, :], mask=there_PC, other=0.0)


@triton.jit
def window_pixels(
    first, window_row, window_column, height, width,
    WINDOW_ROWS: tl.constexpr, WINDOW_COLUMNS: tl.constexpr, REACHED: tl.constexpr, P: tl.constexpr,
):  # fmt: skip
    """Of P pixels of the window: which, its row and column in the image, and whether there is such, among the REACHED
    columns. Rows of the window are filled up to a power of two."""
    place_P = first + tl.arange(0, P)
    row_P = window_row + place_P // WINDOW_COLUMNS
    column_P = window_column + place_P % WINDOW_COLUMNS
    inside_P = (place_P < WINDOW_ROWS * WINDOW_COLUMNS) & (row_P >= 0) & (row_P < height)
    inside_P = inside_P & (place_P % WINDOW_COLUMNS < REACHED) & (column_P >= 0) & (column_P < width)
    return place_P, row_P, column_P, inside_P


@triton.jit
def multiply(left, right, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr):
    return tl.dot(left, right, input_precision=PRECISION, out_dtype=ACCUMULATOR)


@triton.jit
def load_embeddings(
    row_NKd, column_NKd, head_C, channel_C, heads, offset_J, is_row_J,
    HEADS: tl.constexpr, CHANNELS: tl.constexpr, EXTENT: tl.constexpr,
):  # fmt: skip
    """(C, J): the embeddings at these offsets, of rows in the first half of a head's channels, of columns in the
    second; zero elsewhere."""
    HALF: tl.constexpr = CHANNELS // 2
    head_C = tl.program_id(1) * HEADS + head_C
    place_CJ = (head_C[:, None] * EXTENT + offset_J[None, :]) * HALF + channel_C[:, None]
    known_CJ = (head_C < heads)[:, None] & ((offset_J >= 0) & (offset_J < EXTENT))[None, :]
    of_rows_CJ = known_CJ & is_row_J[None, :] & (channel_C < HALF)[:, None]
    of_columns_CJ = known_CJ & ~is_row_J[None, :] & ((channel_C >= HALF) & (channel_C < CHANNELS))[:, None]
    row_CJ = tl.load(row_NKd + place_CJ, mask=of_rows_CJ, other=0.0)
    return row_CJ + tl.load(column_NKd + place_CJ - HALF, mask=of_columns_CJ, other=0.0)


@triton.jit
def window_marks(place_P, WINDOW_COLUMNS: tl.constexpr, SIDE: tl.constexpr, DTYPE: tl.constexpr):
    """(T, P): ones at the row and at the column of each pixel of the window."""
    term_T = tl.arange(0, 2 * SIDE)
    own_P = place_P[None, :]
    marked_TP = tl.where(
        (term_T < SIDE)[:, None],
        own_P // WINDOW_COLUMNS == term_T[:, None],
        own_P % WINDOW_COLUMNS == (term_T - SIDE)[:, None],
    )
    return marked_TP.to(tl.int32).to(DTYPE)


@triton.jit
def table_offsets(row_Q, column_Q, window_row, window_column, height, width, EXTENT: tl.constexpr, SIDE: tl.constexpr):
    """(Q, T): the offset of each row and column of the window from each query, and whether it is within its reach."""
    term_T = tl.arange(0, 2 * SIDE)
    is_row_T = term_T < SIDE
    at_T = tl.where(is_row_T, window_row + term_T, window_column + term_T - SIDE)
    limit_T = tl.where(is_row_T, height, width)
    offset_QT = at_T[None, :] - tl.where(is_row_T[None, :], row_Q[:, None], column_Q[:, None]) + EXTENT // 2
    near_QT = (offset_QT >= 0) & (offset_QT < EXTENT) & ((at_T >= 0) & (at_T < limit_T))[None, :]
    return offset_QT, near_QT


@triton.jit
def position_table(
    query_QC, embedding_CT, index_QT, near_QT,
    HAS_POSITIONS: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """(Q, T): what each row and column of the window adds to a query's logits."""
    if HAS_POSITIONS:
        products_QT = multiply(query_QC, embedding_CT, ACCUMULATOR, PRECISION).to(query_QC.dtype)
        terms_QT = tl.gather(products_QT, index_QT, 1)
    else:
        terms_QT = tl.zeros(near_QT.shape, query_QC.dtype)
    return terms_QT


@triton.jit
def window_logits(
    query_QC, key_PC, table_QT, mask_QT, mark_TP, place_P,
    HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr, LAST: tl.constexpr, NEEDED: tl.constexpr,
    WINDOW_COLUMNS: tl.constexpr, SIDE: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """(Q, P): q·k and what is in the table."""
    logits_QP = tl.zeros([mask_QT.shape[0], mark_TP.shape[1]], ACCUMULATOR)
    if HAS_KEY:
        logits_QP = multiply(query_QC, tl.trans(key_PC), ACCUMULATOR, PRECISION)
    if query_QC.dtype == tl.float16:
        logits_QP += multiply(mask_QT, (mark_TP * LARGEST_HALF).to(tl.float16), ACCUMULATOR, PRECISION)
        if HAS_POSITIONS:
            logits_QP += multiply(table_QT, mark_TP, ACCUMULATOR, PRECISION)
    else:
        logits_QP += multiply(table_QT, mark_TP, ACCUMULATOR, PRECISION)
    if LAST > SIDE * WINDOW_COLUMNS:
        # No row of the table is that of pixels so far beyond the window.
        logits_QP = tl.where((place_P < NEEDED)[None, :], logits_QP, MASKED)
    return logits_QP


@triton.jit
def attend(
    query, key, value, row_NKd, column_NKd, output, log_sum,
    query_strides, key_strides, value_strides, height, width, images,
    heads: tl.constexpr, CHANNELS: tl.constexpr, EXTENT: tl.constexpr,
    HAS_KEY: tl.constexpr, HAS_POSITIONS: tl.constexpr,
    HEADS: tl.constexpr, PIXELS: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
    WINDOW_ROWS: tl.constexpr, WINDOW_COLUMNS: tl.constexpr, WHOLE_WIDTH: tl.constexpr, SIDE: tl.constexpr,
    P: tl.constexpr, UNROLLED: tl.constexpr, D: tl.constexpr,
    WIDE: tl.constexpr, ACCUMULATOR: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Writes the output, (B, H, W, N, D), and the logarithm of each softmax's sum, (B, H, W, N)."""
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
    query_offset_QC = (
        memory_offsets(row_Q, column_Q, query_strides[1], query_strides[2], WIDE)[:, None] + place_C[None, :]
    )
    pixel_Q = memory_offsets(row_Q, column_Q, width, 1, WIDE)
    output_offset_QC = (pixel_Q * (heads * CHANNELS))[:, None] + place_C[None, :]
    offset_QT, near_QT = table_offsets(row_Q, column_Q, window_row, window_column, height, width, EXTENT, SIDE)
    is_row_T = tl.arange(0, 2 * SIDE) < SIDE
    index_QT = tl.where(is_row_T, 0, SIDE)[None, :] + (offset_QT & (SIDE - 1))
    embedding_CT = tl.zeros([HEADS * D, 2 * SIDE], DTYPE)
    if HAS_POSITIONS:
        embedding_CT = load_embeddings(
            row_NKd, column_NKd, head_C, tl.arange(0, HEADS * D) % D, heads, tl.arange(0, 2 * SIDE) % SIDE, is_row_T,
            HEADS, CHANNELS, EXTENT,
        ).to(DTYPE)  # fmt: skip
    mask_QT = tl.where(near_QT, 0.0, LEAST_HALF).to(DTYPE)
    for image_index in range(tl.program_id(2), images, tl.num_programs(2)):
        image = tl.cast(image_index, tl.int64)
        query_QC = tl.load(query + image * query_strides[0] + query_offset_QC, mask=own_QC, other=0.0)
        terms_QT = position_table(query_QC, embedding_CT, index_QT, near_QT, HAS_POSITIONS, ACCUMULATOR, PRECISION)
        table_QT = tl.where(near_QT, terms_QT, 0.0 if IS_FLOAT16 else MASKED).to(DTYPE)
        largest_Q = tl.full([HEADS * PIXELS], LOWEST_HALF if IS_FLOAT16 else LOWEST, ACCUMULATOR)
        sum_Q = tl.zeros([HEADS * PIXELS], ACCUMULATOR)
        mean_QC = tl.zeros([HEADS * PIXELS, HEADS * D], ACCUMULATOR)
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
            larger_Q = tl.maximum(largest_Q, tl.max(logits_QP, 1) * LOG2E)
            if CHUNKS > 1:
                shrink_Q = tl.exp2(largest_Q - larger_Q)
                sum_Q = sum_Q * shrink_Q
                mean_QC = mean_QC * shrink_Q[:, None]
            weights_QP = tl.exp2(logits_QP * LOG2E - larger_Q[:, None])
            sum_Q += tl.sum(weights_QP, 1)
            mean_QC += multiply(weights_QP.to(DTYPE), value_PC, ACCUMULATOR, PRECISION)
            largest_Q = larger_Q
        # Rows that are no query have no weights.
        sum_Q = tl.where(inside_Q, sum_Q, 1.0)
        log_sum_Q = largest_Q + tl.log2(sum_Q)
        image_pixels = image * height * width * heads
        place_Q = image_pixels + pixel_Q * heads + tl.program_id(1) * HEADS + head_Q
        tl.store(log_sum + place_Q, log_sum_Q, mask=inside_Q)
        tl.store(output + image_pixels * CHANNELS + output_offset_QC, mean_QC * (1.0 / sum_Q)[:, None], mask=own_QC)
