"""Functional ANOVA of a forest (Hutter et al. 2014): how much of what its predictions vary is due to each choice alone.

A tree is constant on the boxes of its leaves, so the mean of what it predicts for one choice over all others is exact.
"""

import itertools
from collections.abc import Sequence

import numpy as np

from nas.reporting.regression_forest import Floats, Leaves

# Shapes: C columns, T trees, L leaves.

# Predictions that differ by less, as a share of them, are the same.
ROUNDING = 1e-12


def variance_shares(leaves: Leaves, choices: Sequence[Sequence[int]]) -> list[float]:
    """The shares (0 to 1, together 1) that the choices, each alone, have in what varies, as the mean over the trees.

    A choice is a column, or several that stand for it together. Where a point lies is taken to be equally probable all
    over the box that the leaves fill. Empty where no choice explains anything.
    """
    fraction_LC = (leaves.high_LC - leaves.low_LC) / (leaves.high_LC.max(axis=0) - leaves.low_LC.min(axis=0))
    volume_L = fraction_LC.prod(axis=1)
    mean_T = _of_trees(leaves, volume_L * leaves.value_L)
    # From the mean, without which less is lost by rounding.
    value_L = leaves.value_L - mean_T[leaves.tree_L]
    whole_T = _of_trees(leaves, volume_L * value_L**2)
    varies_T = whole_T > (ROUNDING * np.abs(leaves.value_L).max()) ** 2
    if not varies_T.any():
        return []
    parts = []
    for choice in choices:
        # What a leaf adds to the prediction for a value of the choice that lies in it, whatever the others are.
        added_L = value_L * volume_L / fraction_LC[:, choice].prod(axis=1)
        explained_T = _variance_T(leaves, choice, added_L)
        parts.append(float(np.mean(explained_T[varies_T] / whole_T[varies_T])))
    total = sum(parts)
    return [part / total for part in parts] if total > 0 else []


def _variance_T(leaves: Leaves, choice: Sequence[int], added_L: Floats) -> Floats:
    """The variance of what each tree predicts by one choice, over the cells between all thresholds of its columns."""
    edges = [np.unique([leaves.low_LC[:, column], leaves.high_LC[:, column]]) for column in choice]
    variance_T, total = 0.0 * _of_trees(leaves, added_L), 0.0
    for cell in itertools.product(*(itertools.pairwise(of_column) for of_column in edges)):
        is_inside_L = np.ones(len(added_L), dtype=bool)
        for column, (low, high) in zip(choice, cell, strict=True):
            is_inside_L &= (leaves.low_LC[:, column] <= low) & (high <= leaves.high_LC[:, column])
        size = float(np.prod([high - low for low, high in cell]))
        variance_T += size * _of_trees(leaves, added_L * is_inside_L) ** 2
        total += size
    return variance_T / total


def _of_trees(leaves: Leaves, summands_L: Floats) -> Floats:
    return np.bincount(leaves.tree_L, summands_L).astype(np.float64, copy=False)
