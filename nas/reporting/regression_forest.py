"""A random forest of regression trees as the boxes of its leaves (Breiman 2001): every column is asked at every split.

Columns hold few different values, so that the sums on either side of a split are read from histograms, of all nodes of
one depth in all trees at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Shapes: N points, C columns, T trees, K nodes of one depth, R points in the nodes of one depth, V values of a column,
# L leaves.
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Leaves:
    """The leaves of the trees of a forest. A leaf predicts `value` between `low` and `high`.

    Together those of a tree fill the box that all points lie in.
    """

    tree_L: Integers
    value_L: Floats
    low_LC: Floats
    high_LC: Floats


@dataclass(frozen=True, slots=True)
class _Column:
    """The different values of a column, rising, and which of them each point has."""

    values_V: Floats
    place_N: Integers


@dataclass(frozen=True, slots=True)
class _Splits:
    """The best split of each node: the column, the place of the highest value below, and the threshold.

    `gain` is minus infinity where all points of a node are the same.
    """

    gain_K: Floats
    column_K: Integers
    place_K: Integers
    threshold_K: Floats


def regression_forest(points_NC: Floats, targets_N: Floats, trees: int, depth: int, seed: int) -> Leaves:
    """Grows trees of at most `depth` splits in a row, each on as many points as there are, drawn with replacement."""
    columns = [_Column(*np.unique(column_N, return_inverse=True)) for column_N in points_NC.T]
    count = len(targets_N)
    drawn = np.random.default_rng(seed).integers(0, count, (trees, count))
    times_TN = np.stack([np.bincount(points, minlength=count) for points in drawn])
    node_R, point_R = np.nonzero(times_TN)
    times_R = times_TN[node_R, point_R].astype(np.float64)
    tree_K = np.arange(trees)
    low_KC = np.repeat(points_NC.min(axis=0)[None], trees, axis=0)
    high_KC = np.repeat(points_NC.max(axis=0)[None], trees, axis=0)
    place_NC = np.stack([column.place_N for column in columns], axis=1)
    leaves: list[Leaves] = []
    for left in range(depth, -1, -1):
        total_R = times_R * targets_N[point_R]
        times_K, sums_K = _sums(node_R, times_R, len(tree_K)), _sums(node_R, total_R, len(tree_K))
        splits = _best_splits(columns, node_R, point_R, times_R, total_R, times_K, sums_K)
        is_split_K = (splits.gain_K > -np.inf) & (left > 0)
        end_K = ~is_split_K
        leaves.append(Leaves(tree_K[end_K], (sums_K / times_K)[end_K], low_KC[end_K], high_KC[end_K]))
        parents = np.nonzero(is_split_K)[0]
        if not len(parents):
            break
        # The child below the threshold comes first, that above it right after.
        first_child_K = np.full(len(tree_K), -1)
        first_child_K[parents] = 2 * np.arange(len(parents))
        goes_on_R = is_split_K[node_R]
        node_R, point_R, times_R = node_R[goes_on_R], point_R[goes_on_R], times_R[goes_on_R]
        is_above_R = place_NC[point_R, splits.column_K[node_R]] > splits.place_K[node_R]
        node_R = first_child_K[node_R] + is_above_R
        tree_K, low_KC, high_KC = (
            np.repeat(of_parents[parents], 2, axis=0) for of_parents in (tree_K, low_KC, high_KC)
        )
        places = np.arange(0, len(tree_K), 2)
        high_KC[places, splits.column_K[parents]] = splits.threshold_K[parents]
        low_KC[places + 1, splits.column_K[parents]] = splits.threshold_K[parents]
    return Leaves(
        np.concatenate([part.tree_L for part in leaves]),
        np.concatenate([part.value_L for part in leaves]),
        np.concatenate([part.low_LC for part in leaves]),
        np.concatenate([part.high_LC for part in leaves]),
    )


def _best_splits(
    columns: Sequence[_Column],
    node_R: Integers,
    point_R: Integers,
    times_R: Floats,
    total_R: Floats,
    times_K: Floats,
    sums_K: Floats,
) -> _Splits:
    """The splits that leave the least variance on both their sides; of several alike the first."""
    nodes = np.arange(len(times_K))
    best = _Splits(np.full(len(nodes), -np.inf), np.zeros_like(nodes), np.zeros_like(nodes), np.zeros(len(nodes)))
    for index, column in enumerate(columns):
        values = len(column.values_V)
        cell_R = node_R * values + column.place_N[point_R]
        times_KV = _sums(cell_R, times_R, len(nodes) * values).reshape(-1, values)
        sums_KV = _sums(cell_R, total_R, len(nodes) * values).reshape(-1, values)
        below_KV, sums_below_KV = times_KV.cumsum(axis=1), sums_KV.cumsum(axis=1)
        above_KV, sums_above_KV = times_K[:, None] - below_KV, sums_K[:, None] - sums_below_KV
        # Times are whole numbers, so that this is exact. Where nothing is on a side there is no split.
        is_split_KV = (times_KV > 0) & (above_KV > 0)
        gain_KV = sums_below_KV**2 / np.maximum(below_KV, 1) + sums_above_KV**2 / np.maximum(above_KV, 1)
        gain_KV = np.where(is_split_KV, gain_KV, -np.inf)
        place_K = gain_KV.argmax(axis=1)
        is_better_K = gain_KV[nodes, place_K] > best.gain_K
        # The threshold lies midway to the next value that the node's own points have.
        next_K = ((times_KV > 0) & (np.arange(values) > place_K[:, None])).argmax(axis=1)
        threshold_K = (column.values_V[place_K] + column.values_V[next_K]) / 2
        best.gain_K[is_better_K] = gain_KV[nodes, place_K][is_better_K]
        best.column_K[is_better_K] = index
        best.place_K[is_better_K] = place_K[is_better_K]
        best.threshold_K[is_better_K] = threshold_K[is_better_K]
    return best


def _sums(place_R: Integers, summands_R: Floats, places: int) -> Floats:
    return np.bincount(place_R, summands_R, places).astype(np.float64, copy=False)
