"""`nas/report.py A B …`: several searches in one page and one picture, against one box."""

import csv
import dataclasses
import errno
import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from matplotlib.image import imread

from nas.driver.lock import driver_lock
from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.trial import TrialRecord
from nas.report import main
from nas.settings.run_directory import run_directory
from nas.settings.store_settings import TrackingSettings
from tests.support.reports import Page
from tests.support.searches import DIGITS, epoch_result, search_header, search_settings, tiny_space
from trainers.data.config import DATA_DEFAULTS
from trainers.data.fingerprint import DataFingerprint

FINGERPRINT = DataFingerprint(tuple("0123456789"), 1, 10, "paths", "contents")
# Of each search the accuracies of its architectures, which cost more and more.
BETTER, WORSE = (0.6, 0.8, 0.9), (0.5, 0.6, 0.7)


def make_search(
    runs: Path, name: str, accuracies: Sequence[float], *, replicates: int = 1, seed: int = 0, **changes: Any
) -> None:
    """A search of architectures that were all trained to the end, `replicates` times with a little less each."""
    path = runs / name
    path.mkdir(parents=True)
    fields = {"data_fingerprint": FINGERPRINT} | changes
    search = search_settings(**{"seed": seed, "replicates": replicates, **fields.pop("search", {})})
    ledger = Ledger.create(ledger_url(path / "ledger.db"), name, search_header(search=search, **fields))
    anchors = tiny_space().anchors()
    for index, accuracy in enumerate(accuracies):
        stages = tuple(anchors[index >> stage & 1].stages[stage] for stage in range(4))
        architecture = dataclasses.replace(anchors[0], stages=stages)
        cost = DIGITS.cost(architecture)
        for replicate in range(replicates):
            number = ledger.next_number
            record = TrialRecord(
                number, architecture, cost.flops + index, cost.params, number, "running",
                anchor=not index and not replicate, replicate=replicate,
                cost_names=search.cost_names, latency_ms=1.0 if search.on_latency else None,
            )  # fmt: skip
            ledger.register(record, tiny_space())
            for epoch in (1, 2):
                ledger.record_epoch(number, epoch_result(epoch, accuracy - 0.01 * replicate))
            ledger.end(number, "finished")


def report(runs: Path, *arguments: str) -> int:
    return main([*arguments, "--runs-dir", str(runs)])


def test_two_fronts_are_in_one_page_one_picture_and_one_box(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    make_search(runs, "worse", WORSE)
    # A limit of its own makes its own box smaller; the larger one holds for both.
    make_search(runs, "better", BETTER, search={"min_accuracy": 0.4})
    assert report(runs, "worse", "better") == 0
    output = capsys.readouterr().out
    out = runs / "comparisons" / "worse-better"
    header, first, second, box, why, page = output.splitlines()
    assert header.split()[:3] == ["search", "seed", "members"]
    assert (first.split()[0], second.split()[0]) == ("better", "worse")
    assert box.startswith("Hypervolumes are shares of one box for all: above an accuracy of 10.0%")
    assert "takes several hypervolumes of each" in why and page == str(out / "comparison.html")
    assert {path.name for path in out.iterdir()} == {"comparison.html", "comparison.png", "comparison.csv"}
    assert imread(out / "comparison.png").std() > 0.01

    with (out / "comparison.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["search"]: row for row in csv.DictReader(file)}
    assert len({(row["reference_val_accuracy"], row["reference_flops"]) for row in rows.values()}) == 1
    assert float(rows["better"]["hypervolume"]) > float(rows["worse"]["hypervolume"])
    assert first.split()[-2] == f"{float(rows['better']['hypervolume']):.4f}"

    written = Page((out / "comparison.html").read_text(encoding="utf-8"))
    assert written.texts["title"] == "worse · better"
    assert [trace["name"] for trace in written.data["data"]] == ["worse", "better"]
    drawn = [max(trace["y"]) for trace in written.data["data"]]
    assert drawn == [max(WORSE), max(BETTER)]
    assert len({trace["line"]["color"] for trace in written.data["data"]}) == 2
    assert (out / "comparison.html").stat().st_size < 6_000_000


def test_seeds_say_whether_the_difference_is_real(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    names = []
    for seed in range(4):
        for name, accuracies, sampler in (("a", BETTER, "random"), ("b", WORSE, "tpe")):
            shifted = [accuracy - 0.001 * seed for accuracy in accuracies]
            make_search(runs, f"{name}{seed}", shifted, seed=seed, search={"sampler": sampler})
            names.append(f"{name}{seed}")
    assert report(runs, *names) == 0
    # Of 8 ranks the most extreme of 70 orders, on either side.
    assert "a0, a1, a2, a3 against b0, b1, b2, b3: +" in (output := capsys.readouterr().out)
    assert "(4 and 4 seeds), p = 0.029: real\n" in output
    assert "by the two-sided Mann-Whitney U test of hypervolumes (scipy.stats.mannwhitneyu), real at p < 0.05" in output
    assert report(runs, *(name for name in names if not name.endswith("3"))) == 0
    assert "p = 0.1: cannot be told: so few hypervolumes show p = 0.1 at best" in capsys.readouterr().out


def test_the_same_seed_again_is_no_other_sample(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two samples of each, however often one of them was searched again."""
    runs = tmp_path / "runs"
    names = []
    for place, seed in enumerate((0, 0, 1, 0)):
        for name, accuracies, sampler in (("a", BETTER, "random"), ("b", WORSE, "tpe")):
            make_search(runs, f"{name}{place}", accuracies, seed=seed, search={"sampler": sampler})
            names.append(f"{name}{place}")
    assert report(runs, *names) == 0
    output = capsys.readouterr().out
    assert "a0, a2 against b0, b2: +" in output
    assert "(2 and 2 seeds)" in output and "p = 0.33 at best" in output
    assert "no other sample, as another has their seed: a1, a3, b1, b3\n" in output
    assert report(runs, "a0", "a1", "b0") == 0
    output = capsys.readouterr().out
    assert "takes several hypervolumes of each" in output and "another has their seed: a1\n" in output


def test_replicates_say_how_much_trainings_differ(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    make_search(runs, "a", BETTER, replicates=4)
    make_search(runs, "b", WORSE, replicates=4, search={"sampler": "tpe"})
    assert report(runs, "a", "b") == 0
    output = capsys.readouterr().out
    assert "(4 and 4 replicates), p = 0.029: real" in output and "nothing of other seeds of a search" in output
    written = Page((runs / "comparisons/a-b/comparison.html").read_text(encoding="utf-8"))
    bars = written.data["data"][0]["error_y"]
    members = len(written.data["data"][0]["y"])
    assert bars["array"] == pytest.approx([0.015] * members) == bars["arrayminus"]
    # The report of one of them is of their means, too.
    assert report(runs, "a", "--out", str(tmp_path / "a")) == 0
    alone = Page((tmp_path / "a/front.html").read_text(encoding="utf-8"))
    assert alone.data["trials"][0]["trainings"] == pytest.approx([0.57, 0.6, 4])
    assert imread(tmp_path / "a/front.png").std() > 0.01


def test_searches_on_three_objectives_are_compared_in_one_box(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    three = {"objectives": ("val_accuracy", "flops", "params")}
    make_search(runs, "better", BETTER, search=three)
    make_search(runs, "worse", WORSE, search={**three, "max_params": 1e6})
    assert report(runs, "worse", "better") == 0
    output = capsys.readouterr().out
    assert re.search(r"above an accuracy of 10.0% and below [\d.]+ MFLOPs and 1,000,000 parameters\.", output)
    (out,) = (runs / "comparisons").iterdir()
    with (out / "comparison.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["search"]: row for row in csv.DictReader(file)}
    assert {(row["reference_flops"], row["reference_params"]) for row in rows.values()} == {
        (rows["worse"]["reference_flops"], rows["worse"]["reference_params"])
    }
    assert float(rows["better"]["hypervolume"]) > float(rows["worse"]["hypervolume"]) > 0
    two = {"objectives": ("val_accuracy", "flops")}
    make_search(runs, "two", WORSE, search=two)
    assert report(runs, "better", "two") == 2
    assert "the objectives of the one is ['val_accuracy', 'flops', 'params'], of the other" in capsys.readouterr().err


LATENCY = {"objectives": ("val_accuracy", "latency_ms")}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"data_fingerprint": dataclasses.replace(FINGERPRINT, files=2)},
            "images are not the same (one then, other now): 1 files then, 2 now",
        ),
        ({"search": LATENCY}, "the objectives of the one is"),
        ({"data": dataclasses.replace(DATA_DEFAULTS["digits"], split_seed=1)}, "(data.split_seed)"),
        ({"data": DATA_DEFAULTS["cluttered_digits"]}, "the data set of the one is 'digits'"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], reason: str
) -> None:
    runs = tmp_path / "runs"
    make_search(runs, "one", WORSE)
    make_search(runs, "other", (), **changes)
    assert report(runs, "one", "other") == 2
    output, error = capsys.readouterr()
    assert output == "" and error.count("\n") == 1 and reason in error
    assert error.startswith("error: searches 'one' and 'other' cannot be compared")
    assert not (runs / "comparisons").exists()


def test_mistakes_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    make_search(runs, "one", WORSE)
    make_search(runs, "other", WORSE, data_fingerprint=None)
    for arguments, message in (
        (("one", "othr"), "Did you mean 'other'?"),
        (("one", "one"), "is named twice"),
        (("one", "other", "--trained", "x"), "--trained is for the report of one search"),
        (("one", "other", "--serve"), "--serve is for the report of one search"),
    ):
        assert report(runs, *arguments) == 2
        output, error = capsys.readouterr()
        assert output == "" and error.count("\n") == 1 and message in error
    # What cannot be known is said, and the comparison made.
    assert report(runs, "one", "other", "--out", str(tmp_path / "out")) == 0
    assert "other kept no fingerprint of its images" in capsys.readouterr().out
    assert (tmp_path / "out" / "comparison.html").is_file()


def test_the_fronts_are_in_mlflow_at_one_address(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = tmp_path / "runs"
    make_search(runs, "one", WORSE)
    make_search(runs, "other", BETTER)
    tracking = TrackingSettings(None, "exp").without_secrets()
    Ledger.open(ledger_url(runs / "one" / "ledger.db"), "one").record_tracking(tracking)
    assert report(runs, "one", "other") == 0
    *_, page, server, fronts = capsys.readouterr().out.splitlines()
    assert page.endswith("comparison.html") and str(runs / "mlflow.db") in server
    assert fronts.split()[0] == "fronts" and "viewStateShareKey=fronts-" in fronts
    (runs / "mlflow.db").write_bytes(b"no store" * 1000)
    assert report(runs, "one", "other") == 1
    *_, page, said = capsys.readouterr().out.splitlines()
    assert page.endswith("comparison.html") and said.startswith("MLflow   could not be written (")
    # As it always was without MLflow.
    assert report(runs, "one", "other", "--out", str(tmp_path / "out")) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "out" / "comparison.html")


def test_one_that_still_runs_is_said_to_and_how_far_its_numbers_go(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = tmp_path / "runs"
    make_search(runs, "ended", WORSE)
    make_search(runs, "running", BETTER)
    directory = run_directory(str(runs), "running")
    Ledger.open(ledger_url(directory.ledger), "running").record_driver(socket.gethostname(), os.getpid())
    said = "running still runs: its numbers hold up to 3 finished trials and 6 epochs"
    with driver_lock(directory):
        assert report(runs, "ended", "running", "--out", str(tmp_path / "out")) == 0
    assert said in capsys.readouterr().out.splitlines()
    assert said in (tmp_path / "out" / "comparison.html").read_text(encoding="utf-8")
    assert report(runs, "ended", "running", "--out", str(tmp_path / "out")) == 0
    assert "still runs" not in capsys.readouterr().out


def test_a_full_disk_is_a_failure_and_a_place_that_is_not_to_be_written_a_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    for name in ("a", "b"):
        make_search(runs, name, WORSE)
    assert report(runs, "a", "b", "--out", "/proc/there") == 2
    assert "the comparison cannot be written: '/proc' is not writable" in capsys.readouterr().err

    def full(path: Path, content: bytes) -> None:
        raise OSError(errno.EFBIG, "File too large")

    monkeypatch.setattr("nas.reporting.comparison.replace_shared_file", full)
    assert report(runs, "a", "b", "--out", str(out)) == 1
    said = f"error: the comparison cannot be written: [Errno {errno.EFBIG}] File too large: '{out}'\n"
    assert capsys.readouterr() == ("", said)


def test_nothing_is_written_among_the_files_of_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs, out = tmp_path / "runs", tmp_path / "out"
    for name in ("a", "b"):
        make_search(runs, name, WORSE)
    out.mkdir()
    (out / "front.csv").write_text("mine", encoding="utf-8")
    for names, page in ((["a"], "front.html"), (["a", "b"], "comparison.html")):
        assert report(runs, *names, "--out", str(out)) == 2
        assert f"--out: '{out}' holds 'front.csv' and no {page}" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["front.csv"] and (out / "front.csv").read_text() == "mine"
