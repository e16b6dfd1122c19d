"""Local attention on the CPU by the compiled kernels: what the operator of `operators.py` runs.

Shapes: B batch, H height, W width, N heads, D channels a head, K spatial extent.
"""

from itertools import accumulate
from typing import Any

import numpy as np
import torch
from torch import Tensor

from search_spaces.attention.inputs import Inputs, empty_gradients, spread
from search_spaces.attention.kernels import attend
from search_spaces.attention.kernels_backward import attend_backward, sum_embedding_gradients
from search_spaces.attention.openmp import run_in_threads
from search_spaces.attention.simd import LANES

# Tall images are cut into bands of at least this many rows, so that a few images still fill several threads. The cut
# follows from the shape alone, and so do the bits of the result.
MIN_BAND_ROWS = 8
WANTED_TASKS = 16


def numba_forward(inputs: Inputs, spatial_extent: int) -> Tensor:
    """Attention of every pixel over its neighbourhood, (B, H, W, N, D); all inputs float32 or all float64.

    The same bits for any number of threads.
    """
    query, key, value, row, column = _with_whole_embeddings(inputs)
    output = torch.empty_like(query)
    if not query.numel():
        return output
    plan = _Plan(query, spatial_extent)
    tensors = tuple(map(_address, (query, key, value, row, column, output)))
    strides = tuple(map(_strides, (query, key, value, output)))
    plan.run(attend, (), tensors, strides, plan.groups * plan.bands, plan.forward_sizes)
    return output


def numba_backward(gradient: Tensor, inputs: Inputs, spatial_extent: int) -> list[Tensor]:
    """The gradients of the inputs that are there."""
    gradients = empty_gradients(inputs)
    query, key, value, row, column = _with_whole_embeddings(inputs)
    if not query.numel():
        return [tensor.zero_() for tensor in gradients]
    plan = _Plan(query, spatial_extent)
    d_query, d_key, d_value, d_row, d_column = spread(gradients, inputs)
    row_parts, column_parts = (
        None if half is None else half.new_empty(plan.groups * plan.bands * half[0].numel() * LANES)
        for half in (row, column)
    )
    tensors = tuple(
        map(_address, (query, key, value, row, column, gradient, d_query, d_key, d_value, row_parts, column_parts))
    )
    strides = tuple(map(_strides, (query, key, value, gradient, d_query, d_key, d_value)))
    for phase in range(min(2, plan.bands)):
        tasks = plan.groups * ((plan.bands + 1 - phase) // 2)
        plan.run(attend_backward, (phase,), tensors, strides, tasks, plan.backward_sizes)
    for parts, total in ((row_parts, d_row), (column_parts, d_column)):
        if parts is not None and total is not None:
            images, _, _, heads, _ = plan.shape
            addresses = (parts.data_ptr(), total.data_ptr())
            sum_embedding_gradients(*addresses, plan.bands, images, heads, total[0].numel(), plan.precision)
    return gradients


def _with_whole_embeddings(inputs: Inputs) -> Inputs:
    """The same inputs, the embeddings in one piece: the kernels read these without strides."""
    query, key, value, row, column = inputs
    return query, key, value, None if row is None else row.contiguous(), None if column is None else column.contiguous()


class _Plan:
    """How one call is cut into tasks, and what each thread's workspace holds."""

    def __init__(self, query_BHWND: Tensor, spatial_extent: int) -> None:
        images, height, width, heads, channels = self.shape = tuple(query_BHWND.shape)
        self.spatial_extent = spatial_extent
        self.dtype = query_BHWND.dtype
        # Its type tells Numba which kernel to use.
        self.precision = np.float64(0) if self.dtype == torch.float64 else np.float32(0)
        self.groups = -(-images * heads // LANES)
        # Bands of K − 1 rows or more reach into their neighbours only.
        most_bands = height // max(MIN_BAND_ROWS, spatial_extent - 1)
        self.bands = max(1, min(most_bands, -(-WANTED_TASKS // self.groups)))
        band_rows = -(-height // self.bands)
        line = width * channels * LANES
        tile, tall_tile = band_rows * line, min(height, band_rows + spatial_extent - 1) * line
        embedding = spatial_extent * (channels // 2) * LANES
        biases, weights = 2 * spatial_extent * LANES, width * spatial_extent**2 * LANES
        self.forward_sizes = (tile, tall_tile, tall_tile, embedding, embedding, biases, weights)
        self.backward_sizes = (*self.forward_sizes, tile, line, tall_tile, tall_tile, weights)

    def run(
        self,
        kernel: Any,
        leading: tuple[int, ...],
        tensors: tuple[int, ...],
        strides: tuple[tuple[int, ...], ...],
        tasks: int,
        sizes: tuple[int, ...],
    ) -> None:
        """Runs the kernel's tasks in torch's threads, each with a workspace of its own."""
        places = tuple(accumulate(sizes, initial=0))
        threads = min(torch.get_num_threads(), tasks)
        workspace = torch.empty(threads, places[-1], dtype=self.dtype)
        starts = torch.empty(threads, LANES, dtype=torch.int64)

        def run(thread: int, first: int, last: int) -> None:
            kernel(
                first, last, *leading, tensors, strides, self.shape, self.spatial_extent, self.bands, places,
                workspace[thread].data_ptr(), starts[thread].data_ptr(), self.precision,
            )  # fmt: skip

        run_in_threads(run, tasks)


def _address(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _strides(tensor: Tensor | None) -> tuple[int, ...]:
    return (0,) * 5 if tensor is None else tensor.stride()
