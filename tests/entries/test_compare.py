"""Fully trained networks beside each other: one table and one figure, by one command."""

import csv
import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from scipy import stats

from search_spaces.architecture import Architecture, Attention, Convolution
from tests.support.bundles import SUMMARY, provenance
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.bundle.provenance import PaperProvenance, Provenance
from trainers.bundle.trained import read_trained
from trainers.compare import main
from trainers.data.config import DATA_DEFAULTS
from trainers.data.digits_source import digits_fingerprint
from trainers.epoch_result import EpochResult
from trainers.history import write_history
from trainers.recipe_files import full_training

RECIPE = full_training("digits")


def network(*operators: Convolution | Attention, width: int = 8) -> Architecture:
    return Architecture("convolution", width, tuple((operator,) for operator in operators))


C, A = Convolution(), Attention(3, 2, "relative")
PLAIN, ATTENTION = network(C, C, C, C), network(A, A, A, A)
HYBRIDS = [network(C, C, C, A), network(C, C, A, A), network(C, A, A, A)]


def trained(
    out: Path, architecture: Architecture, test: float | None, *, promised: float | None = 0.9, seed: int = 0,
    **changes: Any,
) -> str:  # fmt: skip
    """The output directory of a full training, or what is left to read of it."""
    result = {"test_accuracy": test, "val_accuracy": 0.9, "epochs": 40, "seed": seed}
    source: Provenance | PaperProvenance = PaperProvenance("resnet26", "96e04f6db345", "2.13.0", 1, 1, result)
    if promised is not None:
        source = provenance(epochs=40, val_accuracy=promised, full_training=result)
    bundle = Bundle(architecture, RECIPE, DATA_DEFAULTS["digits"], SUMMARY, source, digits_fingerprint())
    write_bundle(out / "bundle", dataclasses.replace(bundle, **changes), {})
    write_history(out / "history.csv", [EpochResult(epoch, 1.0, 1.0, 0.1 * epoch, 0.1, 2.0) for epoch in (1, 2, 3)])
    return str(out)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_one_table_and_one_figure_of_searched_networks_and_baselines(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = [0.9, 0.96, 0.93]
    directories = [
        trained(here / f"plain-{seed}", PLAIN, test, promised=0.85, seed=seed) for seed, test in enumerate(seeds)
    ]
    reached = [0.95, 0.96, 0.91]
    for index, (hybrid, test) in enumerate(zip(HYBRIDS, reached, strict=True)):
        directories.append(trained(here / f"hybrid-{index}", hybrid, test, promised=0.88 + 0.02 * index))
    directories.append(trained(here / "attention", ATTENTION, 0.8, promised=None))
    assert main([*directories[::-1], "--out", "found"]) == 0
    output = capsys.readouterr().out

    table = list(csv.DictReader((here / "found" / "comparison.csv").read_text(encoding="utf-8").splitlines()))
    assert [int(row["flops"]) for row in table] == sorted(int(row["flops"]) for row in table) and len(table) == 5
    rows = {row["network"]: row for row in table}
    plain = rows[PLAIN.label]
    assert plain["seeds"] == "0 1 2" and float(plain["accuracy"]) == pytest.approx(statistics.fmean(seeds))
    low, high = stats.t.interval(0.95, 2, loc=0, scale=stats.sem(seeds))
    assert float(plain["margin"]) == pytest.approx((high - low) / 2)
    assert rows[ATTENTION.label]["search_accuracy"] == "" and rows[ATTENTION.label]["made_of"] == "attention"
    assert "resnet26, the paper's" in output and "trial 42 of näs-1" in output

    expected = stats.spearmanr([0.85, 0.88, 0.9, 0.92], [statistics.fmean(seeds), *reached]).statistic
    assert f"accuracy reached: {expected:.2f}, 95% interval" in output and "4 networks" in output
    ratio = SUMMARY.cost(HYBRIDS[0]).flops / SUMMARY.cost(PLAIN).flops
    line = next(line for line in output.splitlines() if line.startswith(f"{HYBRIDS[0].label}: +2.00 ± "))
    assert f"{ratio:.2f} times the FLOPs of {PLAIN.label} (convolution)" in line
    assert "not of as many seeds each" in output and "not the same recipe" not in output

    page = (here / "found" / "comparison.md").read_text(encoding="utf-8")
    assert page.startswith("| network | made of | FLOPs |") and page.count("\n| ") == 6 and line in page
    with Image.open(here / "found" / "comparison.png") as picture:
        assert picture.width > 1200 and len(picture.convert("RGB").getcolors(1 << 24) or []) > 100
    # Again, of the bundles themselves and in the same place.
    bundles = [f"{directory}/bundle" for directory in directories]
    assert main([*bundles, "--out", "found"]) == 0
    again = capsys.readouterr().out
    replaces = "in the place of an earlier comparison"
    assert replaces in again and replaces not in output


def test_what_differs_between_the_trainings_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = trained(here / "one", PLAIN, None, recipe=dataclasses.replace(RECIPE, epochs=7, mixup=0.2))
    other = trained(here / "other", PLAIN, 0.9)
    # A trial that was stopped early was promised nothing.
    stopped = trained(here / "stopped", HYBRIDS[0], 0.9, provenance=provenance(full_training={
        "test_accuracy": 0.9, "val_accuracy": 0.9, "epochs": 40, "seed": 0}))  # fmt: skip
    # Nor was one that the search has trained on other images.
    searched = dataclasses.replace(SUMMARY, name="image_folder").to_json()
    on_others = trained(here / "on others", PLAIN, 0.9, provenance=provenance(
        epochs=40, search_data=searched, full_training={
            "test_accuracy": 0.9, "val_accuracy": 0.9, "epochs": 40, "seed": 0}))  # fmt: skip
    assert [read_trained(Path(each)).promised for each in (other, stopped, on_others)] == [0.9, None, None]
    assert main([one, other, stopped]) == 0
    output = capsys.readouterr().out
    assert "not the same recipe: epochs is 7 and 40" in output
    # The rows of one network are told apart, by no more than that takes.
    rows = [line.split("  ")[0] for line in output.splitlines()[1:4]]
    assert sorted(rows) == sorted([f"{PLAIN.label} (epochs 7)", f"{PLAIN.label} (epochs 40)", HYBRIDS[0].label])
    assert "not the same recipe: mixup is 0.2 and 0.0" in output
    assert "rank correlation: none" in output and "reached (validation)" in output.splitlines()[0]
    assert (here / "comparison" / "comparison.csv").is_file()


def test_seeds_that_come_to_the_same_are_no_surer_than_their_images(here: Path) -> None:
    same = [trained(here / f"same-{seed}", PLAIN, 0.9, seed=seed) for seed in range(2)]
    alone = trained(here / "alone", HYBRIDS[0], 0.9)
    assert main([*same, alone]) == 0
    text = (here / "comparison" / "comparison.csv").read_text(encoding="utf-8")
    margins = {row["seeds"]: float(row["margin"]) for row in csv.DictReader(text.splitlines())}
    # Wilson's interval lies within that of Agresti and Coull, and has nearly its width.
    wilson = stats.binomtest(round(0.9 * SUMMARY.test_images), SUMMARY.test_images).proportion_ci(method="wilson")
    assert margins["0 1"] == margins["0"] == pytest.approx((wilson.high - wilson.low) / 2, rel=0.02)


def test_trainings_that_differ_in_more_than_one_setting_are_told_apart_by_as_many(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    several: list[dict[str, Any]] = [{}, {"epochs": 7}, {"epochs": 7, "mixup": 0.2}]
    found = [
        trained(here / str(index), PLAIN, 0.9, recipe=dataclasses.replace(RECIPE, **changes))
        for index, changes in enumerate(several)
    ]
    assert main(found) == 0
    rows = {line.split("  ")[0].removeprefix(PLAIN.label) for line in capsys.readouterr().out.splitlines()[1:4]}
    assert rows == {" (epochs 40, mixup 0.0)", " (epochs 7, mixup 0.0)", " (epochs 7, mixup 0.2)"}


def test_the_directory_of_several_trainings_stands_for_none_and_a_training_for_itself(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one = trained(here / "full" / "one", PLAIN, 0.9, promised=None)
    assert main(["full"]) == 2
    assert "'full' holds several full trainings: expected each of them, as full/*." in capsys.readouterr().err
    monkeypatch.chdir(one)
    # Nobody has promised anything, and nothing is said of that but in words.
    assert main([".", "--out", str(here / "found")]) == 0
    assert "rank correlation: none" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "DIR is missing"),
        (["nothing"], "is no bundle"),
        (["untrained"], "was not trained fully"),
        (["running"], "has not ended yet"),
        (["plain", "plain-again"], "are the same training, of seed 0"),
        (["plain", "cifar"], "was trained on digits and"),
        (["plain", "others"], "on other images than 'others' now: 1 files then, 3 now"),
        (["torn"], "expected columns epoch, train_loss"),
        (["plain", "--ou", "x"], "Did you mean '--out'"),
        (["plain", "--out", "torn/history.csv"], "'torn/history.csv' is a file, expected a directory"),
        (["plain", "--out", "/proc/there"], "--out '/proc/there': '/proc' is not writable"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    here: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("plain", "plain-again", "torn"):
        trained(here / name, PLAIN, 0.9)
    (here / "torn" / "history.csv").write_text("epoch\n1\n")
    write_bundle(here / "untrained", Bundle(PLAIN, RECIPE, DATA_DEFAULTS["digits"], SUMMARY, provenance()), None)
    (here / "running").mkdir()
    (here / "running" / "settings.json").write_text(json.dumps({}))
    summary = dataclasses.replace(SUMMARY, name="cifar10", in_channels=3)
    trained(here / "cifar", PLAIN, 0.9, data=DATA_DEFAULTS["cifar10"], data_summary=summary)
    trained(here / "others", PLAIN, 0.9, data_fingerprint=dataclasses.replace(digits_fingerprint(), files=3))
    assert main(arguments) == 2
    output, error = capsys.readouterr()
    assert output == "" and error.startswith("error: ") and error.count("\n") == 1
    assert message in error
    assert not (here / "comparison").exists()
