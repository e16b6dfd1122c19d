"""Tables of which a part cannot be trained, as for want of memory or by divergence: a search sees no result of it."""

import zlib
from dataclasses import replace

import numpy as np

from nas.records.pareto import Point
from search_spaces.errors import UserError, unknown_name
from tests.benchmarks.table import Table

# What fails, in words for `--failing`.
KINDS = ("large", "combined", "any")


def failing(table: Table, reference: Point, kind: str) -> Table:
    """The table of which the networks of a kind diverge, and are worth nothing: "large", the 40 % of the most FLOPs;
    "combined", those whose first and last choice both have one of the better half of their values, as the best tenth of
    the table has them; "any", a fourth, by chance. Raises UserError where `kind` is none, or nothing would be left to
    find over `reference`."""
    if kind not in KINDS:
        raise unknown_name("--failing", kind, KINDS)
    if table.replay is not None:
        raise UserError("--failing takes tables of results, whose trainings have one epoch each.")
    fails = {"large": _large, "combined": _combined, "any": _any}[kind](table)
    if not fails.any():
        raise UserError(f"--failing {kind}: none of the networks would fail.")
    left = replace(
        table, observed=np.where(fails, np.nan, table.observed), accuracy=np.where(fails, 0.0, table.accuracy)
    )
    if left.hypervolume(reference) <= 0:
        raise UserError(
            f"--failing {kind}: of what does not fail nothing is more accurate than {100 * reference[0]:g} % at less "
            f"than {reference[1]:g} FLOPs: expected a reference that leaves something to be found."
        )
    return left


def _large(table: Table) -> np.ndarray:
    return np.asarray(table.flops > np.quantile(table.flops, 0.6))


def _combined(table: Table) -> np.ndarray:
    best = np.argsort(-table.accuracy, kind="stable")[: max(1, len(table.rows) // 10)]
    fails = np.ones(len(table.rows), dtype=bool)
    for choice, values in ((0, next(iter(table.domains.values()))), (-1, list(table.domains.values())[-1])):
        of_best = [table.rows[index][choice] for index in best]
        better = sorted(values, key=lambda value: -of_best.count(value))[: (len(values) + 1) // 2]
        fails &= [row[choice] in better for row in table.rows]
    return fails


def _any(table: Table) -> np.ndarray:
    return np.array([zlib.crc32(repr(row).encode()) % 4 == 0 for row in table.rows])
