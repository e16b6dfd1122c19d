import numpy as np
import pytest
from sklearn.tree import DecisionTreeRegressor

from nas.reporting.regression_forest import Floats, Leaves, regression_forest

TREES, SEED = 4, 3


def searched(count: int) -> tuple[Floats, Floats]:
    """Points of few different values, some twice, and a target that depends on several of them at once."""
    rng = np.random.default_rng(0)
    points = np.stack([rng.integers(0, 2, count), rng.integers(0, 5, count) ** 2, rng.integers(0, 7, count)], axis=1)
    return points.astype(float), points[:, 0] * points[:, 1] / 16 + np.sin(points[:, 2]) + rng.normal(0, 0.1, count)


def predicted(leaves: Leaves, tree: int, point: Floats) -> float:
    """What the only leaf predicts that a point lies in; a threshold belongs to what is below it."""
    is_in = (leaves.low_LC < point) | (leaves.low_LC == leaves.low_LC.min(axis=0))
    (leaf,) = np.nonzero((leaves.tree_L == tree) & (is_in & (point <= leaves.high_LC)).all(axis=1))[0]
    return float(leaves.value_L[leaf])


@pytest.mark.parametrize("depth", [1, 3, 20])
def test_the_trees_are_those_of_scikit_learn(depth: int) -> None:
    """For the points that they are grown on: what tells two points apart may be another column, where several do."""
    points, targets = searched(60)
    leaves = regression_forest(points, targets, TREES, depth, SEED)
    drawn = np.random.default_rng(SEED).integers(0, len(targets), (TREES, len(targets)))
    for tree, sample in enumerate(drawn):
        grown = DecisionTreeRegressor(max_depth=depth, random_state=0).fit(points[sample], targets[sample])
        assert grown.get_n_leaves() == (leaves.tree_L == tree).sum()
        found = [predicted(leaves, tree, point) for point in points[sample]]
        assert np.allclose(found, grown.predict(points[sample]), rtol=0, atol=1e-12)


def test_leaves_fill_the_box_of_the_points() -> None:
    points, targets = searched(60)
    leaves = regression_forest(points, targets, TREES, 5, SEED)
    volumes = np.bincount(leaves.tree_L, np.prod(leaves.high_LC - leaves.low_LC, axis=1))
    assert volumes == pytest.approx([np.prod(np.ptp(points, axis=0))] * TREES)
