"""The benchmark of searches as a program, on a small table made here."""

import csv
import json
import math
import random
import subprocess
import sys
from itertools import product
from pathlib import Path

import pytest

from tests.benchmarks.search_quality import main

PROGRAM = Path(__file__).resolve().with_name("search_quality.py")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """64 networks of three choices, in no order, with two noisy trainings each."""
    rng = random.Random(0)
    rows = []
    for width, kernel, operator in product((1, 2, 3, 4), (3, 5, 7, 9), ("a", "b", "c", "d")):
        flops = 1000 * width**2 * kernel + 10 * "abcd".index(operator)
        mean = 95 - 30 / math.log(flops / 500) - 2 * (operator == "b")
        runs = [mean + rng.gauss(0, 0.2) for _ in range(2)]
        rows.append([width, kernel, operator, flops, *(f"{run:.3f}" for run in runs)])
    rng.shuffle(rows)
    path = tmp_path_factory.mktemp("table") / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        columns = ["choice_width", "choice_kernel", "choice_operator", "flops", "accuracy_run1", "accuracy_run2"]
        csv.writer(file).writerows([columns, *rows])
    return path


def run(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(PROGRAM), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_evaluations_of_several_workers(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = run(
        "--table", table, "--methods", "ehvi", "random", "tpe-multivariate", "--seeds", 2, "--evaluations", 64,
        "--workers", 3, "--observe", "accuracy_run1", "--json", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "64 networks" in done.stdout and "evaluations of random against ehvi:" in done.stdout
    results = json.loads(out.read_text(encoding="utf-8"))
    assert list(results) == ["ehvi", "random", "tpe-multivariate"]
    for method, result in results.items():
        volumes = [result["hypervolume_at"][count] for count in ("25", "50")]
        assert all(0 < first <= second <= 1 + 1e-9 for first, second in zip(*volumes, strict=True)), method
        needed = [result["evaluations_to"][share] for share in ("0.95", "0.98", "0.99")]
        for counts in zip(*needed, strict=True):
            reached = [count for count in counts if count is not None]
            assert reached == sorted(reached) and all(1 <= count <= 64 for count in reached)
    # It never repeats itself and never gives up, so that in the end it has trained all 64.
    assert all(count is not None for count in results["ehvi"]["evaluations_to"]["0.99"])
    assert results["ehvi"]["duplicates"] == [0, 0]


def test_curves_with_every_scheduler(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    done = run(
        "--table", table, "--methods", "ehvi+pareto", "random+none", "tpe-multivariate+asha", "--seeds", 1,
        "--evaluations", 25, "--workers", 4, "--curves", "--json", out,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "epochs of tpe-multivariate+asha to 90 % against ehvi+pareto" in done.stdout
    results = json.loads(out.read_text(encoding="utf-8"))
    for result in results.values():
        (volume,), (cheap,) = result["hypervolume_at"]["25"], result["cheap_third"]
        assert 0 < volume <= 1 + 1e-9 and 0 <= cheap <= 1 + 1e-9
        (epochs,) = result["epochs_to_0.90"]
        assert (epochs is not None) == (volume >= 0.9) and (epochs is None or 54 <= epochs <= 25 * 54)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "ehvy"], "Did you mean 'ehvi'"),
        (["--methods", "ehvi+parreto", "--curves"], "Did you mean 'pareto'"),
        (["--methods", "ehvi+pareto"], "a scheduler needs --curves"),
        (["--observe", "accuracy_run3"], "expected one of accuracy_run1, accuracy_run2"),
        (["--table", "missing.csv"], "'missing.csv' cannot be read"),
    ],
)
def test_mistakes_are_one_line(
    table: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--table", str(table), *arguments]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and printed.err.count("\n") == 1 and printed.out == ""


def test_a_table_without_what_is_needed_is_named(tmp_path: Path) -> None:
    path = tmp_path / "half.csv"
    path.write_text("choice_0,flops\na,1\n", encoding="utf-8")
    done = run("--table", path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and not done.stdout
    assert "half.csv" in done.stderr and "expected rows with columns choice_*, flops and accuracy_*" in done.stderr
