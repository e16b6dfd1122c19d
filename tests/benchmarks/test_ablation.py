"""Searches without a part: every part is really left out, and is there again afterwards."""

import csv
import random
import re
import statistics
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from nas.strategy import posterior, proposals
from nas.strategy.features import FeatureEncoder
from nas.strategy.gaussian_process import GaussianProcess
from nas.strategy.posterior import Posterior
from tests.benchmarks.ablation import FAILING, HALVING, PROPOSALS, WHOLE, main
from tests.benchmarks.failing_tables import KINDS, failing
from tests.benchmarks.search_quality import one_run
from tests.benchmarks.table import named_table
from tests.benchmarks.table_source import TableSource


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 networks of two choices of numbers, of the same four values, and one of names."""
    rng = random.Random(0)
    found = tmp_path_factory.mktemp("table") / "table.csv"
    with found.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["choice_stage1.width", "choice_stage2.width", "choice_operator", "flops", "accuracy_run1"])
        for one, two, operator in product((1, 2, 3, 4), (1, 2, 3, 4), ("a", "b", "c", "d")):
            flops = 1000 * one * two + 10 * "abcd".index(operator)
            accuracy = 60 + 2 * one + 4 * two + 3 * (operator == "c") + rng.gauss(0, 3)
            writer.writerow([one, two, operator, flops, f"{accuracy:.3f}"])
    return found


def features(path: Path, part: str) -> np.ndarray:
    """[64, 22] of all networks: 5 columns a choice, a rank of each width, counts of four values, two costs."""
    source = TableSource(named_table(str(path), None, None, None).table)
    candidates = [source.candidate(row) for row in range(64)]
    encoder = FeatureEncoder(source.domains, candidates)
    with PROPOSALS[part].without():
        return encoder.encode(candidates)


def test_columns_are_left_out(path: Path) -> None:
    whole = features(path, WHOLE)
    assert whole.shape == (64, 3 * 5 + 2 + 4 + 2)
    without_costs, without_ranks = (
        features(path, part)
        for part in ("FLOPs and parameters as features", "ranks, and values over all stages, as features")
    )
    assert (without_costs[:, :-2] == whole[:, :-2]).all() and not without_costs[:, -2:].any()
    assert (without_ranks[:, :15] == whole[:, :15]).all() and (without_ranks[:, -2:] == whole[:, -2:]).all()
    assert whole[:, 15:-2].any(axis=0).all() and not without_ranks[:, 15:-2].any()
    assert (features(path, WHOLE) == whole).all()


@pytest.mark.parametrize("part", [*PROPOSALS, *HALVING])
def test_a_search_without_a_part_is_another_one(path: Path, part: str) -> None:
    """Of some seed, and of the same seed the same again once the part is there."""
    named = named_table(f"{path}@50/2e4", None, None, None)
    left_out = (PROPOSALS | HALVING)[part]

    def searched(seed: int) -> list[tuple[int, int]]:
        run = one_run(named.table, named.reference, "ehvi+pareto", seed, 6, named.table.schedule, 15 * 54)
        return run.finished

    def searched_without(seed: int) -> list[tuple[int, int]]:
        method = f"{left_out.sampler}+{left_out.scheduler}"
        with left_out.without():
            return one_run(named.table, named.reference, method, seed, 6, named.table.schedule, 15 * 54).finished

    differ = []
    for seed in range(2 if part == WHOLE else 12):
        whole = searched(seed)
        differ.append(searched_without(seed) != whole)
        assert searched(seed) == whole
        if differ[-1]:
            break
    assert any(differ) == (part != WHOLE)


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_has_no_result_and_is_worth_nothing(path: Path, kind: str) -> None:
    named = named_table(f"{path}@50/2e4", None, None, None)
    table = failing(named.table, named.reference, kind)
    fails = np.isnan(table.observed)
    assert 0.1 < fails.mean() < 0.6 and not table.accuracy[fails].any()
    assert (table.accuracy[~fails] == named.table.accuracy[~fails]).all()
    if kind == "large":
        assert table.flops[fails].min() > table.flops[~fails].max()
    run = one_run(table, named.reference, "ehvi", 0, 1, table.schedule.of_results(), 25)
    assert not fails[[row for _, row in run.finished]].any() and len(run.finished) < 25


def test_chances_of_success_keep_a_search_from_what_fails(path: Path) -> None:
    named = named_table(f"{path}@50/2e4", None, None, None)
    table = failing(named.table, named.reference, "large")

    def results() -> int:
        runs = [one_run(table, named.reference, "ehvi", seed, 1, table.schedule.of_results(), 25) for seed in range(3)]
        return sum(len(run.finished) for run in runs)

    whole = results()
    with FAILING["chances of success"].without():
        assert results() < whole - 5
    assert results() == whole


def test_parts_are_there_again_after_an_error() -> None:
    owners = {
        "uncertainty: improvement by the mean alone": (posterior, "expected_hypervolume_improvement"),
        "smoothing: results at their word": (GaussianProcess, "observed_means"),
        "changes of the front as candidates": (proposals, "MUTANTS"),
        "fantasies of what runs": (Posterior, "__init__"),
    }
    for name, (owner, attribute) in owners.items():
        before = getattr(owner, attribute)
        with pytest.raises(ZeroDivisionError), (PROPOSALS | HALVING)[name].without():
            assert getattr(owner, attribute) is not before
            raise ZeroDivisionError
        assert getattr(owner, attribute) is before


def test_what_is_printed(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pairs of two tables and three seeds, beside the same searches one by one."""
    part = "the model: random networks"
    tables = [str(path), f"{path}@50/2e4"]
    assert main(["--table", *tables, "--seeds", "3", "--first-seed", "5", "--evaluations", "12", "--parts", part]) == 0
    lines = capsys.readouterr().out.splitlines()
    shares: dict[str, list[float]] = {"ehvi": [], "random": []}
    for text, method, seed in product(tables, shares, (5, 6, 7)):
        named = named_table(text, None, None, None)
        run = one_run(named.table, named.reference, method, seed, 1, named.table.schedule.of_results(), 12)
        found = run.hypervolume_after(12, named.table, named.reference)
        shares[method].append(100 * found / named.table.hypervolume(named.reference))
    differences = [random - ours for ours, random in zip(shares["ehvi"], shares["random"], strict=True)]
    error = statistics.stdev(differences) / 6**0.5
    expected = [statistics.fmean(differences), error, statistics.median(shares["random"]), min(shares["random"])]
    printed = next(line for line in lines if line.startswith(part)).removeprefix(part)
    assert [float(number) for number in re.findall(r"[+-]?\d+\.\d", printed)] == pytest.approx(expected, abs=0.051)
    whole = next(line for line in lines if line.startswith(WHOLE))
    assert f"+0.0 ± 0.0, {statistics.median(shares['ehvi']):.1f}, {min(shares['ehvi']):.1f}" in whole


def test_an_unknown_part_is_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--table", str(path), "--parts", "stoping", "--curves"]) == 2
    assert "Did you mean 'stopping'?" in capsys.readouterr().err


def test_parts_and_seeds_that_tell_nothing_are_refused(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--table", str(path), "--parts", "stopping"]) == 2
    assert "--parts 'stopping' needs --curves" in capsys.readouterr().err
    assert main(["--table", str(path), "--parts", "chances of success"]) == 2
    assert "--parts 'chances of success' needs --failing" in capsys.readouterr().err
    assert main(["--table", str(path), "--failing", "larg"]) == 2
    assert "Did you mean 'large'?" in capsys.readouterr().err
    assert main(["--table", f"{path}@84/2e4", "--failing", "large"]) == 2
    assert "of what does not fail nothing is more accurate than 84 %" in capsys.readouterr().err
    assert main(["--table", str(path), "--seeds", "1"]) == 2
    assert "expected 2 or more" in capsys.readouterr().err
