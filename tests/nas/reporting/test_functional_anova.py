import itertools

import numpy as np
import pytest

from nas.reporting.functional_anova import variance_shares
from nas.reporting.regression_forest import Floats, Leaves, regression_forest

# A number, a choice of three words as a column for each, and another number.
CHOICES = ((0,), (1, 2, 3), (4,))
TREES, DEPTH = 5, 6


def searched(count: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(1)
    size, word, width = rng.integers(0, 3, count), rng.integers(0, 3, count), rng.choice([1, 2, 4], count)
    points = np.column_stack([size, word == 0, word == 1, word == 2, width]).astype(float)
    return points, 0.3 * size + (word == 1) * width / 4 + rng.normal(0, 0.05, count)


def cells(leaves: Leaves, tree: int) -> list[tuple[tuple[int, ...], float, float]]:
    """Each cell between all thresholds of a tree: its place in each column, its size, and what is predicted there."""
    own = leaves.tree_L == tree
    edges = [np.unique([leaves.low_LC[own, column], leaves.high_LC[own, column]]) for column in range(5)]
    found = []
    for place in itertools.product(*(range(len(of_column) - 1) for of_column in edges)):
        low = np.array([edges[column][index] for column, index in enumerate(place)])
        high = np.array([edges[column][index + 1] for column, index in enumerate(place)])
        middle = (low + high) / 2
        (leaf,) = np.nonzero(own & ((leaves.low_LC < middle) & (middle < leaves.high_LC)).all(axis=1))[0]
        found.append((place, float(np.prod(high - low)), float(leaves.value_L[leaf])))
    return found


def test_shares_are_those_of_the_sums_over_all_cells() -> None:
    points, targets = searched(40)
    leaves = regression_forest(points, targets, TREES, DEPTH, seed=0)
    parts = np.zeros((TREES, len(CHOICES)))
    for tree in range(TREES):
        of_tree = cells(leaves, tree)
        sizes, values = np.array([size for _, size, _ in of_tree]), np.array([value for *_, value in of_tree])
        mean = np.average(values, weights=sizes)
        for index, choice in enumerate(CHOICES):
            sums: dict[tuple[int, ...], list[float]] = {}
            for place, size, value in of_tree:
                of_choice = sums.setdefault(tuple(place[column] for column in choice), [0.0, 0.0])
                of_choice[0] += size
                of_choice[1] += size * value
            explained = sum(size * (total / size - mean) ** 2 for size, total in sums.values()) / sizes.sum()
            parts[tree, index] = explained / np.average((values - mean) ** 2, weights=sizes)
    expected = parts.mean(axis=0) / parts.mean(axis=0).sum()
    assert variance_shares(leaves, CHOICES) == pytest.approx(expected, abs=1e-9)


def test_what_explains_nothing_has_no_shares() -> None:
    points, _ = searched(40)
    assert variance_shares(regression_forest(points, np.full(40, 0.7), TREES, DEPTH, seed=0), CHOICES) == []
