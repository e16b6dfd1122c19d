"""Compiled local attention for the CPU: the backward pass. It recomputes the weights of each pixel.

Tasks, lanes and workspace are those of the forward pass. With p the weights, g the output's gradient:

    dp_j = g·v_j    ds_j = p_j (dp_j − Σ p dp)    dv_j += p_j g    dk_j += ds_j q    dq = Σ_j ds_j (k_j + r_j)

and r's gradient, split into rows and columns, sums ds over the other axis first. Keys and values are reached from K − 1
rows beyond a band, so the even bands run first and the odd bands add to what these left: no two tasks of a phase
touch one place, and the order of every sum is fixed by the shape alone.
"""

from typing import Any

from search_spaces.attention.kernels import (
    SOURCES,
    Pointer,
    add_weighted,
    clear,
    jit,
    read_embedding,
    read_rows,
    row_products,
    row_softmax,
    set_starts,
    write_rows,
)
from search_spaces.attention.simd import (
    LANES,
    add,
    broadcast,
    load,
    multiply,
    multiply_add,
    offset,
    pointer,
    store,
    subtract,
)


@jit
def softmax_gradient(weights: Pointer, gradients: Pointer, count: int) -> None:
    """Turns the weights' gradients dp into the logits' gradients p (dp − Σ p dp)."""
    mean = broadcast(weights, 0.0)
    for j in range(0, count * LANES, LANES):
        mean = multiply_add(load(weights, j), load(gradients, j), mean)
    for j in range(0, count * LANES, LANES):
        store(gradients, j, multiply(load(weights, j), subtract(load(gradients, j), mean)))


@jit
def sums_by_axis(numbers: Pointer, rows: int, columns: int, result: Pointer) -> None:
    """Sums of a (rows, columns) array over columns, and after these over rows."""
    clear(offset(result, rows * LANES), columns * LANES)
    for a in range(rows):
        total = broadcast(numbers, 0.0)
        for b in range(columns):
            number = load(numbers, (a * columns + b) * LANES)
            total = add(total, number)
            place = (rows + b) * LANES
            store(result, place, add(number, load(result, place)))
        store(result, a * LANES, total)


@jit
def embedding_gradient(
    sums: Pointer, query: Pointer, embedding: Pointer, count: int, half: int, query_gradient: Pointer, gradient: Pointer
) -> None:
    """gradient[a] += sums[a] · query and query_gradient = Σ_a sums[a] · embedding[a], on half of the channels."""
    for d in range(0, half * LANES, LANES):
        number = load(query, d)
        total = broadcast(query, 0.0)
        for a in range(count):
            factor = load(sums, a * LANES)
            place = a * half * LANES + d
            total = multiply_add(factor, load(embedding, place), total)
            store(gradient, place, multiply_add(factor, number, load(gradient, place)))
        store(query_gradient, d, total)


@jit
def add_outer(factors: Pointer, features: Pointer, step: int, channels: int, count: int, gradient: Pointer) -> None:
    """gradient[j, d] += factors[j] · features[d]. Four channels at a time; the last one repeats."""
    for d in range(0, channels, 4):
        d0, d1 = d * LANES, min(d + 1, channels - 1) * LANES
        d2, d3 = min(d + 2, channels - 1) * LANES, min(d + 3, channels - 1) * LANES
        number0, number1 = load(features, d0), load(features, d1)
        number2, number3 = load(features, d2), load(features, d3)
        for j in range(count):
            factor = load(factors, j * LANES)
            place = j * step
            # All are read before any is written, since the last may repeat.
            new0 = multiply_add(factor, number0, load(gradient, place + d0))
            new1 = multiply_add(factor, number1, load(gradient, place + d1))
            new2 = multiply_add(factor, number2, load(gradient, place + d2))
            new3 = multiply_add(factor, number3, load(gradient, place + d3))
            store(gradient, place + d0, new0)
            store(gradient, place + d1, new1)
            store(gradient, place + d2, new2)
            store(gradient, place + d3, new3)


@jit
def attend_backward(
    first: int,
    last: int,
    phase: int,
    tensors: tuple[int, ...],
    strides: tuple[tuple[int, ...], ...],
    shape: tuple[int, ...],
    extent: int,
    bands: int,
    parts: tuple[int, ...],
    workspace: int,
    starts: int,
    precision: Any,
    sources: int = SOURCES,
) -> None:
    """The gradients of tasks `first` to `last` of a phase (0: even bands, 1: odd bands).

    `tensors` are the addresses of query, key, value, row, column, the output's gradient, then the gradients of query,
    key, value, and of row and column, these one (K, D/2, lane) for each task; `strides` those of query, key, value, the
    output's gradient, and the gradients of query, key, value; `parts` the places in the workspace of query, key, value,
    row, column, biases, weights, the output's gradient, one row's gradient of the query, and the gradients of key,
    value and weights.
    """
    images, height, width, heads, channels = shape
    half = channels // 2
    reach, step, half_size = extent // 2, channels * LANES, extent * half * LANES
    line = width * step
    has_key, has_relative = tensors[1] != 0, tensors[3] != 0
    space, lanes = pointer(workspace, precision), pointer(starts, first)
    query, key, value = offset(space, parts[0]), offset(space, parts[1]), offset(space, parts[2])
    row, column = offset(space, parts[3]), offset(space, parts[4])
    biases, weights = offset(space, parts[5]), offset(space, parts[6])
    d_output, d_query = offset(space, parts[7]), offset(space, parts[8])
    d_key, d_value = offset(space, parts[9]), offset(space, parts[10])
    d_weights = offset(space, parts[11])
    phase_bands = (bands + 1 - phase) // 2
    for task in range(first, last):
        group, band = task // phase_bands, task % phase_bands * 2 + phase
        top, bottom = band * height // bands, (band + 1) * height // bands
        key_top, key_bottom = max(0, top - reach), min(height, bottom + reach)
        set_starts(lanes, strides[0], group, images, heads)
        read_rows(pointer(tensors[0], precision), lanes, strides[0], top, bottom, width, channels, query)
        if has_key:
            set_starts(lanes, strides[1], group, images, heads)
            read_rows(pointer(tensors[1], precision), lanes, strides[1], key_top, key_bottom, width, channels, key)
            clear(d_key, (key_bottom - key_top) * line)
        set_starts(lanes, strides[2], group, images, heads)
        read_rows(pointer(tensors[2], precision), lanes, strides[2], key_top, key_bottom, width, channels, value)
        clear(d_value, (key_bottom - key_top) * line)
        set_starts(lanes, strides[3], group, images, heads)
        read_rows(pointer(tensors[5], precision), lanes, strides[3], top, bottom, width, channels, d_output)
        part = (group * bands + band) * half_size
        d_row, d_column = pointer(tensors[9], precision), pointer(tensors[10], precision)
        if has_relative:
            read_embedding(pointer(tensors[3], precision), group, images, heads, extent * half, row)
            read_embedding(pointer(tensors[4], precision), group, images, heads, extent * half, column)
            d_row, d_column = offset(d_row, part), offset(d_column, part)
            clear(d_row, half_size)
            clear(d_column, half_size)
        for y in range(top, bottom):
            above = max(0, y - reach)
            rows = min(height, y + reach + 1) - above
            here, there = (y - top) * line, (above - key_top) * line
            queries, gradients = offset(query, here), offset(d_output, here)
            if has_key:
                row_products(queries, offset(key, there), rows, width, extent, line, channels, weights)
            row_start = (above + reach - y) * half * LANES
            offsets = offset(row, row_start)
            row_softmax(queries, offsets, column, rows, width, extent, channels, has_key, has_relative, biases, weights)
            row_products(gradients, offset(value, there), rows, width, extent, line, channels, d_weights)
            for x in range(width):
                left = max(0, x - reach)
                columns = min(width, x + reach + 1) - left
                pixel = x * extent * extent * LANES
                logit_gradients = offset(d_weights, pixel)
                softmax_gradient(offset(weights, pixel), logit_gradients, rows * columns)
                if has_relative:
                    sums_by_axis(logit_gradients, rows, columns, biases)
                    pixel_query, pixel_gradient = offset(queries, x * step), offset(d_query, x * step)
                    embedding_gradient(
                        biases, pixel_query, offsets, rows, half, pixel_gradient, offset(d_row, row_start)
                    )
                    column_start = (left + reach - x) * half * LANES
                    embedding_gradient(
                        offset(biases, rows * LANES), offset(pixel_query, half * LANES), offset(column, column_start),
                        columns, half, offset(pixel_gradient, half * LANES), offset(d_column, column_start),
                    )  # fmt: skip
            if not has_relative:
                clear(d_query, line)
            for a in range(rows):
                for x in range(width):
                    left = max(0, x - reach)
                    columns = min(width, x + reach + 1) - left
                    neighbours = there + a * line + left * step
                    pixel = (x * extent * extent + a * columns) * LANES
                    add_outer(
                        offset(weights, pixel), offset(gradients, x * step), step, channels, columns,
                        offset(d_value, neighbours),
                    )  # fmt: skip
                    if has_key:
                        factors = offset(d_weights, pixel)
                        add_outer(
                            factors, offset(queries, x * step), step, channels, columns, offset(d_key, neighbours)
                        )
                        add_weighted(
                            factors, offset(key, neighbours), step, channels, columns, offset(d_query, x * step)
                        )
            # The row's queries are read for the last time above: their gradients take the place.
            for i in range(0, line, LANES):
                store(queries, i, load(d_query, i))
        # Rows that a neighbouring band of the first phase has reached are added to.
        set_from = top + reach if phase else key_top
        set_to = bottom - reach if phase and bottom < height else key_bottom
        set_starts(lanes, strides[4], group, images, heads)
        d_queries = pointer(tensors[6], precision)
        write_rows(query, lanes, strides[4], top, bottom, width, channels, d_queries, top, bottom)
        if has_key:
            set_starts(lanes, strides[5], group, images, heads)
            d_keys = pointer(tensors[7], precision)
            write_rows(d_key, lanes, strides[5], key_top, key_bottom, width, channels, d_keys, set_from, set_to)
        set_starts(lanes, strides[6], group, images, heads)
        d_values = pointer(tensors[8], precision)
        write_rows(d_value, lanes, strides[6], key_top, key_bottom, width, channels, d_values, set_from, set_to)


@jit
def sum_embedding_gradients(
    parts: int,
    result: int,
    tasks_of_group: int,
    images: int,
    heads: int,
    size: int,
    precision: Any,
    sources: int = SOURCES,
) -> None:
    """Adds (task, size, lane) at the address `parts` up over tasks and images into (heads, size) at `result`."""
    source, target = pointer(parts, precision), pointer(result, precision)
    for i in range(heads * size):
        target[i] = 0
    groups = (images * heads + LANES - 1) // LANES
    for task in range(groups * tasks_of_group):
        start = task // tasks_of_group * LANES
        for i in range(size):
            for lane in range(min(LANES, images * heads - start)):
                target[(start + lane) % heads * size + i] += source[(task * size + i) * LANES + lane]
