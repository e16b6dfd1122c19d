"""The benchmark of searches as a program, on a small table made here."""

import csv
import gzip
import json
import math
import random
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from nas.records.pareto import hypervolume
from tests.benchmarks.baselines import baseline_of, read_baselines, write_baselines
from tests.benchmarks.raw_runs import read_runs
from tests.benchmarks.search_quality import main
from tests.benchmarks.table import read_table

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


def test_curves_with_every_scheduler(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.json"
    runs = tmp_path / "runs.jsonl"
    methods = ["ehvi+pareto", "random+none", "tpe-multivariate+asha"]
    call = ["--table", str(table), "--methods", *methods, "--seeds", "1", "--runs", str(runs)]
    assert main([*call, "--evaluations", "25", "--workers", "4", "--curves", "--json", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "epochs of tpe-multivariate+asha to 90 % against ehvi+pareto" in printed
    assert "epochs of 54 a full training, rungs at 2, 6, 18;" in printed
    scored = {run.method: run.scores for run in read_runs(runs)}
    assert [method for method, scores in scored.items() if scores] == ["ehvi+pareto"]
    (score,) = scored["ehvi+pareto"]
    assert score.crps > 0 and 0 <= score.coverage <= 1
    assert f"90 % intervals: {score.crps:.3f} and {score.coverage:.0%} at 25" in printed
    results = json.loads(out.read_text(encoding="utf-8"))
    for result in results.values():
        (volume,), (cheap,) = result["hypervolume_at"]["25"], result["cheap_third"]
        assert 0 < volume <= 1 + 1e-9 and 0 <= cheap <= 1 + 1e-9
        (epochs,) = result["epochs_to_0.90"]
        assert (epochs is not None) == (volume >= 0.9) and (epochs is None or 54 <= epochs <= 25 * 54)


def test_several_tables_and_methods_as_raw_runs(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every figure can be worked out again from the runs; each table has its own reference."""
    packed, lines, baseline = tmp_path / "packed.csv.gz", tmp_path / "runs.jsonl", tmp_path / "baseline.json"
    packed.write_bytes(gzip.compress(table.read_bytes()))
    call = ["--table", f"{table}@70/2e5", str(packed), "--methods", "ehvi", "local-search", "--seeds", "4"]
    call += ["--evaluations", "25"]
    assert main([*call, "--runs", str(lines), "--write-baseline", str(baseline)]) == 0
    printed = capsys.readouterr().out
    assert "table.csv: 64 networks, reference 70.00 % and 200,000 FLOPs" in printed and "packed.csv.gz: 64" in printed
    assert printed.count("CRPS of the log error") == 2

    runs = read_runs(lines)
    assert [(run.problem.table, run.method, run.seed) for run in runs] == [
        (name, method, seed)
        for name in ("table.csv", "packed.csv.gz")
        for method in ("ehvi", "local-search")
        for seed in range(4)
    ]
    known = read_table(table)
    for run in runs:
        assert len(set(run.rows)) == len(run.rows) == 25 and run.spent == tuple(range(1, 26))
        found, full = (known.points(rows) for rows in (run.rows[:9], range(64)))
        share = hypervolume(found, run.problem.reference) / hypervolume(full, run.problem.reference)
        assert run.shares[8] == pytest.approx(share) == run.share_after(9)
        reached = run.evaluations_to(share)
        assert reached is not None and reached <= 9
        scores = [(score.evaluations, score.crps > 0, 0 <= score.coverage <= 1) for score in run.scores]
        assert scores == ([(25, True, True)] if run.method == "ehvi" else [])

    # The same again is no change; seeds that all reached more before are.
    assert main([*call, "--baseline", str(baseline)]) == 0
    assert "p = 1.000" in capsys.readouterr().out
    before = read_baselines(baseline)
    assert [one.method for one in before] == ["ehvi", "local-search"] * 2
    better = [replace(one, shares={25: tuple(2 + seed / 10 for seed in range(9))}) for one in before]
    write_baselines(baseline, better)
    assert read_baselines(baseline) == better
    assert main([*call, "--methods", "ehvi", "--baseline", str(baseline)]) == 1
    assert capsys.readouterr().out.count("WORSE") == 2
    others = [replace(baseline_of(runs[:4], [25]), problem=replace(before[0].problem, workers=7))]
    write_baselines(baseline, others)
    other = ["--table", str(packed), "--methods", "random", "--seeds", "1", "--evaluations", "9"]
    assert main([*other, "--baseline", str(baseline)]) == 2
    assert "--evaluations is 9: a baseline has shares from 25 on" in capsys.readouterr().err
    other[-1] = "25"
    assert main([*other, "--baseline", str(baseline)]) == 2
    said = capsys.readouterr().err
    assert "no baseline is of a problem and a method of this call" in said
    assert "ehvi on table.csv@70/200000, 25 epochs, 7 at a time; this call is of random on packed.csv.gz" in said


def test_the_baselines_that_are_kept_can_be_read() -> None:
    kept = [one for path in PROGRAM.parent.glob("baselines/*.json") for one in read_baselines(path)]
    assert len(kept) >= 3 and all({len(shares) for shares in one.shares.values()} == {12} for one in kept)


@pytest.mark.parametrize("content", ["", "[]", '{"format": "search-quality-baseline/0"}', '{"format": 1'])
def test_what_is_no_baseline_is_named(
    table: Path, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "no-baseline.json"
    path.write_text(content, encoding="utf-8")
    assert main(["--table", str(table), "--baseline", str(path)]) == 2
    assert "no-baseline.json': expected search-quality-baseline/1" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--methods", "ehvy"], "Did you mean 'ehvi'"),
        (["--methods", "ehvi+parreto", "--curves"], "Did you mean 'pareto'"),
        (["--methods", "ehvi+pareto"], "a scheduler needs --curves"),
        (["--observe", "accuracy_run3"], "expected one of accuracy_run1, accuracy_run2"),
        (["--table", "missing.csv"], "'missing.csv' cannot be read"),
        (["--table", "table.csv@85"], "expected FILE@PER_CENT/FLOPS"),
        (["--baseline", "missing.json"], "'missing.json' cannot be read"),
        (["--curves", "--evaluations", "24"], "expected at least 25"),
        (["--curves", "--methods", "ehvi"], "expected SAMPLER+SCHEDULER"),
        (["--json", "nowhere/out.json"], "--json is 'nowhere/out.json': expected a file in a folder that is there"),
        (["--write-baseline", "."], "--write-baseline is '.': expected a file in a folder that is there"),
        (["--write-baseline", "out.json", "--evaluations", "5"], "a baseline has shares from 25 on"),
        (["--runs", __file__], "which has runs already"),
        (["--reference-accuracy", "99.9"], "no network of it is more accurate than 99.9 %"),
        (["--reference-flops", "-3"], "FLOPs above 0"),
        (["--reference-accuracy", "150"], "expected an accuracy from 0 to 100 per cent"),
        (["--seeds", "0"], "argument --seeds: is 0: expected at least 1"),
        (["--workers", "0"], "argument --workers: is 0: expected at least 1"),
        (["--first-seed", "-1"], "argument --first-seed: is -1: expected at least 0"),
        (["--evaluations", "x"], "argument --evaluations: is 'x': expected a whole number"),
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


GOOD = "choice_0,choice_1,flops,params,accuracy_run1\na,1,10,5,70\nb,1,20,6,80\na,2,30,7,90\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("80", "", "row 3: accuracy_run1 is '': expected a number from 0 to 100"),
        ("80", "101", "row 3: accuracy_run1 is '101': expected a number from 0 to 100"),
        ("80", "-1", "row 3: accuracy_run1 is '-1'"),
        ("80", "nan", "row 3: accuracy_run1 is 'nan'"),
        ("20", "2k", "row 3: flops is '2k': expected a number above 0"),
        ("20", "0", "row 3: flops is '0': expected a number above 0"),
        ("20", "inf", "row 3: flops is 'inf'"),
        (",6,", ",-6,", "row 3: params is '-6': expected a number above 0"),
        ("b,1,20,6,80", "b,1,20", "row 3: expected a cell for each column"),
        ("b,1,20,6,80", "b,1,20,6,80,9", "row 3: expected a cell for each column"),
        ("b,1,20", "a,1,20", "rows 2 and 3 have the same choices"),
        ("choice_1", "choice_0", "has two columns 'choice_0'"),
        ("70\nb,1,20,6,80\na,2,30,7,90", "0.7\nb,1,20,6,0.8\na,2,30,7,0.9", "expected per cent, as 87 for 0.87"),
        ("6,80\na,2,30,7,90", "6,70\na,2,30,7,70", "no network of it is more accurate than 70 %"),
        ("b,1", "\udcff,1", "is no text in UTF-8"),
    ],
)
def test_a_table_that_cannot_be_used_is_named_with_the_row(
    tmp_path: Path, old: str, new: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "broken.csv"
    path.write_bytes(GOOD.replace(old, new, 1).encode("utf-8", "surrogateescape"))
    assert main(["--table", str(path), "--methods", "random"]) == 2
    printed = capsys.readouterr()
    assert message in printed.err and "broken.csv" in printed.err and printed.err.count("\n") == 1


def test_a_small_table_and_one_of_a_spreadsheet_are_searched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "small.csv"
    path.write_text(GOOD, encoding="utf-8-sig")
    call = ["--table", f"{path}@60/100", "--methods", "ehvi", "random", "--seeds", "2", "--evaluations", "3"]
    assert main(call) == 0
    assert len(read_table(path).domains) == 2 and "small.csv: 3 networks" in capsys.readouterr().out


def test_a_prior_is_of_the_same_choices_and_for_our_own_search(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.csv"
    other.write_text(GOOD, encoding="utf-8")
    assert main(["--table", str(table), "--methods", "ehvi", "--prior", f"{other}@60/100"]) == 2
    assert "expected the choices of table.csv" in capsys.readouterr().err
    assert main(["--table", str(table), "--methods", "random", "--prior", str(table)]) == 2
    assert "--prior informs ehvi alone" in capsys.readouterr().err
