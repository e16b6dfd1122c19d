"""What a search finds that knows nine tenths of a table: what may be hoped for of one that begins with nothing.

    .venv/bin/python tests/benchmarks/informed_search.py --table arxiv.csv.gz nas-bench-macro.csv@85/90e6

Each network is predicted from the nine tenths of the table that it is not in: the log error by the mean of boosted
trees over its choices and FLOPs, and of a ridge regression on these and on all pairs of choices. Trained is then, one
after another, what is expected to add most to the front by these predictions, whose scatter is that of the tenth of the
networks for which they are best. It learns nothing from what it trains, which a search does; but no search knows as
much of what it has not trained, after a hundred networks. Tables are those of tests/benchmarks/search_quality.py.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.preprocessing import OneHotEncoder, PolynomialFeatures

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nas.records.pareto import Point, hypervolume
from nas.strategy.expected_improvement import expected_hypervolume_improvement, regions_of
from search_spaces.arguments import ArgumentParser
from search_spaces.errors import UserError
from search_spaces.standard_streams import run_program
from tests.benchmarks.table import Table, named_table

Array = np.ndarray

PARTS, TREES = 10, 600
LEAST_ROWS = 2 * PARTS
PENALTIES = np.logspace(-3, 4, 8)
LEAST_ERROR = 1e-4
CHECKPOINTS = (10, 25, 50, 100, 200)


def main(arguments: Sequence[str]) -> int:
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", nargs="+", required=True, metavar="FILE.csv[.gz][@PER_CENT/FLOPS]")
    try:
        options = parser.parse_args(list(arguments))
        tables = [named_table(text, None, None, None) for text in options.table]
        for named in tables:
            if len(named.table.rows) < LEAST_ROWS:
                raise UserError(f"{named.name} has {len(named.table.rows)} networks: expected at least {LEAST_ROWS}.")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for named in tables:
        log_errors = np.log(np.maximum(1 - named.table.accuracy, LEAST_ERROR))
        predicted = predicted_log_errors(named.table, log_errors)
        explained = 1 - (log_errors - predicted).var() / log_errors.var()
        best = best_predicted(predicted)
        among = np.corrcoef(*(values[best].argsort().argsort() for values in (log_errors, predicted)))[0, 1]
        rows = trained_rows(named.table, named.reference, log_errors, predicted, max(CHECKPOINTS))
        true = named.table.hypervolume(named.reference)
        shares = [
            f"{100 * hypervolume(named.table.points(rows[:count]), named.reference) / true:.1f} after {count}"
            for count in CHECKPOINTS
            if count <= len(rows)
        ]
        print(
            f"{named.name}: explains {100 * explained:.0f} % of the variance; rank correlation in the tenth that it "
            f"takes for best {among:.2f}; share of the hypervolume in % {', '.join(shares)}"
        )
    return 0


def predicted_log_errors(table: Table, log_errors: Array) -> Array:
    """[N] predictions of log errors [N], each from the parts of the table that its row is not in."""
    # What does not apply is one more category.
    domains = [(*values, None) for values in table.domains.values()]
    categories = np.array(
        [[values.index(value) for values, value in zip(domains, row, strict=True)] for row in table.rows]
    )
    log_flops = np.log(table.flops)[:, None]
    plain = np.hstack([categories, log_flops])
    columns = np.hstack([OneHotEncoder(sparse_output=False).fit_transform(categories), log_flops])
    pairs = PolynomialFeatures(2, interaction_only=True, include_bias=False).fit_transform(columns)
    predicted = np.empty(len(log_errors))
    for known, asked in KFold(PARTS, shuffle=True, random_state=0).split(plain):
        trees = HistGradientBoostingRegressor(
            max_iter=TREES,
            learning_rate=0.08,
            max_leaf_nodes=63,
            categorical_features=list(range(categories.shape[1])),
            random_state=0,
        ).fit(plain[known], log_errors[known])
        ridge = RidgeCV(PENALTIES).fit(pairs[known], log_errors[known])
        predicted[asked] = (trees.predict(plain[asked]) + ridge.predict(pairs[asked])) / 2
    return predicted


def best_predicted(predicted: Array) -> Array:
    """The rows of the tenth of [N] predictions that is least."""
    return predicted.argsort()[: max(2, len(predicted) // 10)]


def trained_rows(table: Table, reference: Point, log_errors: Array, predicted: Array, count: int) -> list[int]:
    """The rows that are trained, in their order, by predictions that are taken for normal."""
    residuals = (log_errors - predicted)[best_predicted(predicted)]
    mean, variance = predicted + residuals.mean(), np.full(len(predicted), max(residuals.var(), 1e-12))
    rows: list[int] = []
    for _ in range(min(count, len(predicted))):
        regions = regions_of(table.points(rows), reference)
        gains = expected_hypervolume_improvement(mean, variance, table.flops[:, None], regions)
        gains[rows] = -1.0
        rows.append(int(gains.argmax()))
    return rows


if __name__ == "__main__":
    sys.exit(run_program(main))
