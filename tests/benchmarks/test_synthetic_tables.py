"""Synthetic tables have the traits that they were drawn with, and are read as any other."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.benchmarks.synthetic_tables import (
    LEAST_NETWORKS,
    MOST_NETWORKS,
    SyntheticTable,
    Traits,
    drawn_traits,
    main,
    synthetic_table,
)
from tests.benchmarks.table import read_table

PLAIN = Traits(
    sizes=(5, 4, 3, 6, 4), ordered=(True, False, False, True, False), cost_levels=None, cost_choices=3, failing=0.0,
    cliff=0.0, interactions=0.0, partners=2, rarity=0.0, steepness=1.5, easiness=0.5, cost_worth=0.0, best_error=0.05,
    noise=0.0, trainings=1, absent=0.0,
)  # fmt: skip


def made(seed: int = 0, **traits: object) -> SyntheticTable:
    return synthetic_table(replace(PLAIN, **traits), np.random.default_rng(seed))  # type: ignore[arg-type]


def unexplained(table: SyntheticTable) -> float:
    """The share of the variance of quality that no sum over choices explains, by ordinary least squares."""
    error = table.errors[:, 0]
    logits = np.log((0.9 - error) / (error - 0.05))
    columns = [np.ones(len(logits))]
    for values in table.values.T:
        columns += [(values == value).astype(float) for value in np.unique(values)]
    design = np.column_stack(columns)
    fitted = design @ np.linalg.lstsq(design, logits, rcond=None)[0]
    return float(((logits - fitted) ** 2).sum() / ((logits - logits.mean()) ** 2).sum())


@pytest.mark.parametrize("seed", range(3))
def test_interactions_are_what_no_sum_over_choices_explains(seed: int) -> None:
    assert unexplained(made(seed)) < 1e-9
    shares = [unexplained(made(seed, interactions=share)) for share in (0.3, 0.9)]
    # What acts together has main effects of its own, so that less than the stated share is left.
    assert 0.02 < shares[0] < 0.3 < shares[1] < 0.9


@pytest.mark.parametrize("levels", [3, 7, 10])
def test_costs_have_so_many_levels(levels: int) -> None:
    costs = np.unique(made(cost_levels=levels, cost_choices=5).costs)
    assert 1 < len(costs) <= levels and costs[0] > 0
    assert len(np.unique(made(cost_choices=5).costs)) > 100


@pytest.mark.parametrize("failing", [0.05, 0.5])
@pytest.mark.parametrize("cliff", [0.0, 0.7])
def test_so_many_fail(failing: float, cliff: float) -> None:
    table = made(failing=failing, cliff=cliff, best_error=0.005, steepness=0.5, easiness=3.0)
    failed = table.errors[:, 0] > 0.87
    assert failed.mean() == pytest.approx(failing, abs=2 / len(failed))


def test_absent_combinations_and_no_row_twice() -> None:
    table = made(absent=0.4)
    assert len(table.values) == len(np.unique(table.values, axis=0)) == round(0.6 * 5 * 4 * 3 * 6 * 4)


def test_trainings_scatter_about_the_same_mean() -> None:
    table = made(trainings=3, noise=0.08)
    logarithms = np.log(table.errors)
    assert logarithms.std(axis=1, ddof=1).mean() == pytest.approx(0.08 * 0.886, rel=0.1)
    quiet = made(trainings=3, noise=0.0)
    assert np.ptp(quiet.errors, axis=1).max() == 0 and np.corrcoef(quiet.errors[:, 0], table.errors[:, 0])[0, 1] > 0.9


def test_cost_is_worth_something_where_it_should_be() -> None:
    def correlation(worth: float) -> float:
        table = made(3, cost_worth=worth)
        return float(np.corrcoef(np.log(table.costs), -table.errors[:, 0])[0, 1])

    assert correlation(20.0) > 0.8 > correlation(0.0)


def test_the_good_ones_are_rare_where_they_should_be() -> None:
    def good(rarity: float) -> float:
        errors = made(3, rarity=rarity).errors[:, 0]
        return float((errors < errors.min() + 0.3 * np.ptp(errors)).mean())

    assert good(1.5) < 0.5 * good(0.0)


def test_drawn_traits_differ_and_are_within_what_is_stated() -> None:
    drawn = [drawn_traits(np.random.default_rng(seed)) for seed in range(200)]
    for traits in drawn:
        assert np.prod(traits.sizes) * (1 - traits.absent) >= LEAST_NETWORKS and 0 <= traits.failing <= 0.6
        assert len(traits.sizes) == len(traits.ordered) and 1 <= traits.cost_choices <= len(traits.sizes)
    few = [traits for traits in drawn if traits.cost_levels is not None]
    assert 70 < len(few) < 130 and {traits.cost_levels for traits in few} == set(range(3, 11))
    assert sum(traits.failing == 0 for traits in drawn) < 100 < sum(traits.failing > 0 for traits in drawn)


def test_the_program_writes_the_same_tables_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("one", "two"):
        main(["--out", str(tmp_path / folder), "--first-seed", "18", "--count", "2"])
    assert "synthetic-0019.csv: sizes=" in capsys.readouterr().out
    for name in ("synthetic-0018.csv", "synthetic-0019.csv"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    random = np.random.default_rng(18)
    traits = drawn_traits(random)
    expected = synthetic_table(traits, random)
    table = read_table(tmp_path / "one" / "synthetic-0018.csv")
    assert LEAST_NETWORKS <= len(table.rows) <= MOST_NETWORKS
    assert table.accuracy == pytest.approx(1 - expected.errors.mean(axis=1), abs=1e-6)
    assert table.flops.tolist() == expected.costs.tolist()
    for values, ordered in zip(table.domains.values(), expected.ordered, strict=True):
        assert all(isinstance(value, int if ordered else str) for value in values)
