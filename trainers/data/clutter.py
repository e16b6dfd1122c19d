"""Small images in clutter: each at a random place of a larger canvas, over fragments of others.

As in the cluttered MNIST of Mnih et al. (arXiv 1406.6247). A pure function of the images and of uniform draws.

Shapes: S source images, I composed ones, H height, W width, R draws for each composed image, F side of a fragment.
"""

import numpy as np
from numpy.typing import NDArray

FRAGMENTS = 3
FRAGMENT_SIDE = 4
# Where the image goes, and for each fragment: which other image it is of, its place in that and on the canvas.
DRAWS = 2 + 5 * FRAGMENTS


def compose(
    sources_SHW: NDArray[np.uint8], source_I: NDArray[np.int64], draws_IR: NDArray[np.float64], canvas_side: int
) -> NDArray[np.uint8]:
    """Image `source_I[i]` of `sources_SHW` at its own size on a black canvas, over fragments of other sources.

    Returns (I, canvas_side, canvas_side). The image covers what it lies on; of fragments that overlap the last is seen.
    `draws_IR` holds `DRAWS` numbers in [0, 1) for each. There have to be two sources or more, and the canvas has to
    hold them.
    """
    count, height, width = sources_SHW.shape
    canvas_IHW = np.zeros((len(source_I), canvas_side, canvas_side), dtype=sources_SHW.dtype)
    free = canvas_side - FRAGMENT_SIDE + 1
    limits = np.array([count - 1, height - FRAGMENT_SIDE + 1, width - FRAGMENT_SIDE + 1, free, free])
    side_F = np.arange(FRAGMENT_SIDE)
    for first in range(2, DRAWS, 5):
        shift_I, row_I, column_I, top_I, left_I = _below(draws_IR[:, first : first + 5], limits).T
        other_I = (source_I + 1 + shift_I) % count
        rows_IF1 = (row_I[:, None] + side_F)[:, :, None]
        columns_I1F = (column_I[:, None] + side_F)[:, None, :]
        _put(canvas_IHW, sources_SHW[other_I[:, None, None], rows_IF1, columns_I1F], top_I, left_I)
    top_I, left_I = _below(draws_IR[:, :2], np.array([canvas_side - height + 1, canvas_side - width + 1])).T
    _put(canvas_IHW, sources_SHW[source_I], top_I, left_I)
    return canvas_IHW


def _below(draws_IR: NDArray[np.float64], limits_R: NDArray[np.int64]) -> NDArray[np.int64]:
    """Whole numbers from 0 and below the limits."""
    return (draws_IR * limits_R).astype(np.int64)


def _put(
    canvas_IHW: NDArray[np.uint8], patches_IHW: NDArray[np.uint8], top_I: NDArray[np.int64], left_I: NDArray[np.int64]
) -> None:
    """Puts a patch on each canvas, its upper left corner at (top, left)."""
    count, height, width = patches_IHW.shape
    rows_IH1 = (top_I[:, None] + np.arange(height))[:, :, None]
    columns_I1W = (left_I[:, None] + np.arange(width))[:, None, :]
    canvas_IHW[np.arange(count)[:, None, None], rows_IH1, columns_I1W] = patches_IHW
