"""Compiled local attention for the CPU: the forward pass, and the steps that the backward pass shares with it.

A lane is one head of one image, and 16 lanes, a group, are computed side by side in one vector. All lanes of a group
look at the same pixel, so neighbours outside the image are skipped rather than masked, sums over channels need no
shuffling, and the same compiled code serves every height, width, spatial extent and number of channels. Lanes beyond
the last repeat their group's first lane and so write the same numbers twice.

A task is one group on one band of rows. It copies its part of the inputs into a workspace in the order (row, column,
channel, lane) and computes there, one row of pixels after the other. Nothing of K² size outlives a row.

Offsets count elements. Shapes: (B, H, W, N, D) of images, height, width, heads and channels a head; K spatial extent.
"""

import contextlib
import hashlib
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from numba import njit
from numba.core.caching import FunctionCache

from search_spaces.attention.simd import (
    LANES,
    add,
    broadcast,
    divide,
    exponential,
    gather,
    load,
    maximum,
    multiply,
    multiply_add,
    offset,
    pointer,
    scatter,
    store,
    subtract,
)

# Inside a kernel: an address of numbers.
Pointer = Any


class _KernelCache(FunctionCache):
    """Compiled kernels on disk, as Numba keeps them. What cannot be read or kept there is compiled by each process."""

    @contextlib.contextmanager
    def _guard_against_spurious_io_errors(self) -> Iterator[None]:
        with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError):
            yield


def jit(kernel: Callable[..., Any]) -> Any:
    """The kernel, compiled for the types that it is called with."""
    compiled: Any = njit(nogil=True, error_model="numpy")(kernel)
    # No place can be written, as in a container whose files are read-only.
    with contextlib.suppress(RuntimeError):
        compiled._cache = _KernelCache(kernel)  # type: ignore[no-untyped-call]
    return compiled


def _source_digest() -> int:
    names = ("simd.py", "kernels.py", "kernels_backward.py")
    sources = b"".join(Path(__file__).with_name(name).read_bytes() for name in names)
    return int.from_bytes(hashlib.sha256(sources).digest()[:7])


# A default argument of the entry points, and so part of their signature. Numba's cache on disk compares only the entry
# point's own file; with this a change of any file above compiles anew.
SOURCES = _source_digest()


@jit
def set_starts(starts: Pointer, strides: tuple[int, ...], group: int, images: int, heads: int) -> None:
    """Where each lane of a group begins in a tensor with these strides."""
    for lane in range(LANES):
        index = group * LANES + lane
        if index >= images * heads:
            index = group * LANES
        starts[lane] = index // heads * strides[0] + index % heads * strides[3]


@jit
def read_rows(
    tensor: Pointer,
    starts: Pointer,
    strides: tuple[int, ...],
    first: int,
    last: int,
    width: int,
    channels: int,
    tile: Pointer,
) -> None:
    """Copies rows `first` to `last` of the group's lanes into a tile (row, column, channel, lane)."""
    for y in range(first, last):
        for d in range(channels):
            for x in range(width):
                numbers = gather(tensor, starts, y * strides[1] + x * strides[2] + d * strides[4])
                store(tile, (((y - first) * width + x) * channels + d) * LANES, numbers)


@jit
def write_rows(
    tile: Pointer,
    starts: Pointer,
    strides: tuple[int, ...],
    first: int,
    last: int,
    width: int,
    channels: int,
    tensor: Pointer,
    set_from: int,
    set_to: int,
) -> None:
    """Copies a tile back. Rows outside `set_from` to `set_to` are added to what the tensor holds."""
    for y in range(first, last):
        adds = y < set_from or y >= set_to
        for d in range(channels):
            for x in range(width):
                place = y * strides[1] + x * strides[2] + d * strides[4]
                numbers = load(tile, (((y - first) * width + x) * channels + d) * LANES)
                if adds:
                    numbers = add(numbers, gather(tensor, starts, place))
                scatter(tensor, starts, place, numbers)


@jit
def read_embedding(embedding: Pointer, group: int, images: int, heads: int, size: int, tile: Pointer) -> None:
    """Copies the embedding (heads, size) of each lane's head into a tile (size, lane)."""
    for lane in range(LANES):
        index = group * LANES + lane
        if index >= images * heads:
            index = group * LANES
        for i in range(size):
            tile[i * LANES + lane] = embedding[index % heads * size + i]


@jit
def dot_products(left: Pointer, right: Pointer, step: int, channels: int, count: int, result: Pointer) -> None:
    """result[j] = left · right[j] for each j below `count`, in every lane. Four at a time; the last one repeats."""
    for j in range(0, count, 4):
        j1, j2, j3 = min(j + 1, count - 1), min(j + 2, count - 1), min(j + 3, count - 1)
        r0, r1 = offset(right, j * step), offset(right, j1 * step)
        r2, r3 = offset(right, j2 * step), offset(right, j3 * step)
        sum0 = broadcast(left, 0.0)
        sum1, sum2, sum3 = sum0, sum0, sum0
        for d in range(0, channels * LANES, LANES):
            number = load(left, d)
            sum0 = multiply_add(number, load(r0, d), sum0)
            sum1 = multiply_add(number, load(r1, d), sum1)
            sum2 = multiply_add(number, load(r2, d), sum2)
            sum3 = multiply_add(number, load(r3, d), sum3)
        store(result, j * LANES, sum0)
        store(result, j1 * LANES, sum1)
        store(result, j2 * LANES, sum2)
        store(result, j3 * LANES, sum3)


@jit
def softmax(
    query: Pointer,
    row: Pointer,
    column: Pointer,
    rows: int,
    columns: int,
    channels: int,
    has_key: bool,
    has_relative: bool,
    biases: Pointer,
    weights: Pointer,
) -> None:
    """Turns one pixel's products q·k with rows × columns neighbours into weights, q·r added."""
    half = channels // 2
    if has_relative:
        dot_products(query, row, half * LANES, half, rows, biases)
        dot_products(offset(query, half * LANES), column, half * LANES, half, columns, offset(biases, rows * LANES))
    largest = broadcast(weights, -3.0e38)
    for a in range(rows):
        logits = offset(weights, a * columns * LANES)
        row_bias = load(biases, a * LANES)
        for b in range(0, columns * LANES, LANES):
            logit = broadcast(weights, 0.0)
            if has_relative:
                logit = add(row_bias, load(biases, rows * LANES + b))
            if has_key:
                logit = add(logit, load(logits, b))
            store(logits, b, logit)
            largest = maximum(largest, logit)
    total = broadcast(weights, 0.0)
    for j in range(0, rows * columns * LANES, LANES):
        term = exponential(subtract(load(weights, j), largest))
        store(weights, j, term)
        total = add(total, term)
    scale = divide(broadcast(weights, 1.0), total)
    for j in range(0, rows * columns * LANES, LANES):
        store(weights, j, multiply(load(weights, j), scale))


@jit
def add_weighted(weights: Pointer, value: Pointer, step: int, channels: int, count: int, result: Pointer) -> None:
    """result[d] += Σ_j weights[j] value[j, d]. Four channels at a time; the last one repeats."""
    for d in range(0, channels, 4):
        d0, d1 = d * LANES, min(d + 1, channels - 1) * LANES
        d2, d3 = min(d + 2, channels - 1) * LANES, min(d + 3, channels - 1) * LANES
        sum0, sum1, sum2, sum3 = load(result, d0), load(result, d1), load(result, d2), load(result, d3)
        for j in range(count):
            weight = load(weights, j * LANES)
            place = j * step
            sum0 = multiply_add(weight, load(value, place + d0), sum0)
            sum1 = multiply_add(weight, load(value, place + d1), sum1)
            sum2 = multiply_add(weight, load(value, place + d2), sum2)
            sum3 = multiply_add(weight, load(value, place + d3), sum3)
        store(result, d0, sum0)
        store(result, d1, sum1)
        store(result, d2, sum2)
        store(result, d3, sum3)


@jit
def clear(numbers: Pointer, size: int) -> None:
    for i in range(0, size, LANES):
        store(numbers, i, broadcast(numbers, 0.0))


@jit
def row_products(
    left: Pointer, right: Pointer, rows: int, width: int, extent: int, line: int, channels: int, products: Pointer
) -> None:
    """left[x] · right[a, x + b] for the pixels x of one row and their neighbours: products[x, a, b], K² apart in x.

    A row of neighbours is met by all pixels before the next, so that it stays in the nearest cache.
    """
    reach, step = extent // 2, channels * LANES
    for a in range(rows):
        for x in range(width):
            first = max(0, x - reach)
            columns = min(width, x + reach + 1) - first
            neighbours = offset(right, a * line + first * step)
            result = offset(products, (x * extent * extent + a * columns) * LANES)
            dot_products(offset(left, x * step), neighbours, step, channels, columns, result)


@jit
def row_softmax(
    query: Pointer,
    row: Pointer,
    column: Pointer,
    rows: int,
    width: int,
    extent: int,
    channels: int,
    has_key: bool,
    has_relative: bool,
    biases: Pointer,
    weights: Pointer,
) -> None:
    """The weights of the pixels of one row. `row` begins at its first neighbour's offset."""
    reach = extent // 2
    for x in range(width):
        first = max(0, x - reach)
        columns = min(width, x + reach + 1) - first
        offsets = offset(column, (first + reach - x) * (channels // 2) * LANES)
        softmax(
            offset(query, x * channels * LANES), row, offsets, rows, columns, channels, has_key, has_relative,
            biases, offset(weights, x * extent * extent * LANES),
        )  # fmt: skip


@jit
def attend(
    first: int,
    last: int,
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
    """The output of tasks `first` to `last`.

    `tensors` are the addresses of query, key, value, row, column and output, 0 for what is missing; `parts` the places
    in the workspace of query, key, value, row, column, biases and weights; `starts` the address of 16 integers.
    """
    images, height, width, heads, channels = shape
    reach, step, half_size = extent // 2, channels * LANES, extent * (channels // 2)
    line = width * step
    has_key, has_relative = tensors[1] != 0, tensors[3] != 0
    space, lanes = pointer(workspace, precision), pointer(starts, first)
    query, key, value = offset(space, parts[0]), offset(space, parts[1]), offset(space, parts[2])
    row, column = offset(space, parts[3]), offset(space, parts[4])
    biases, weights = offset(space, parts[5]), offset(space, parts[6])
    for task in range(first, last):
        group, band = task // bands, task % bands
        top, bottom = band * height // bands, (band + 1) * height // bands
        key_top, key_bottom = max(0, top - reach), min(height, bottom + reach)
        set_starts(lanes, strides[0], group, images, heads)
        read_rows(pointer(tensors[0], precision), lanes, strides[0], top, bottom, width, channels, query)
        if has_key:
            set_starts(lanes, strides[1], group, images, heads)
            read_rows(pointer(tensors[1], precision), lanes, strides[1], key_top, key_bottom, width, channels, key)
        set_starts(lanes, strides[2], group, images, heads)
        read_rows(pointer(tensors[2], precision), lanes, strides[2], key_top, key_bottom, width, channels, value)
        if has_relative:
            read_embedding(pointer(tensors[3], precision), group, images, heads, half_size, row)
            read_embedding(pointer(tensors[4], precision), group, images, heads, half_size, column)
        for y in range(top, bottom):
            above = max(0, y - reach)
            rows = min(height, y + reach + 1) - above
            here, there = offset(query, (y - top) * line), (above - key_top) * line
            if has_key:
                row_products(here, offset(key, there), rows, width, extent, line, channels, weights)
            offsets = offset(row, (above + reach - y) * (channels // 2) * LANES)
            row_softmax(here, offsets, column, rows, width, extent, channels, has_key, has_relative, biases, weights)
            # The row's queries are read for the last time above: their outputs take the place.
            clear(here, line)
            for a in range(rows):
                for x in range(width):
                    left = max(0, x - reach)
                    columns = min(width, x + reach + 1) - left
                    values = offset(value, there + a * line + left * step)
                    factors = offset(weights, (x * extent * extent + a * columns) * LANES)
                    add_weighted(factors, values, step, channels, columns, offset(here, x * step))
        set_starts(lanes, strides[3], group, images, heads)
        output = pointer(tensors[5], precision)
        write_rows(query, lanes, strides[3], top, bottom, width, channels, output, top, bottom)
