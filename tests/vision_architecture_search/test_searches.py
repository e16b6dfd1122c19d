"""A search from Python: the same numbers as the commands say, and the same program that runs it."""

import csv
import dataclasses
import functools
import io
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

import vision_architecture_search as vas
from nas.export import main as export
from nas.status import main as status
from tests.support.exported_search import ACCURACIES, finished_search
from vision_architecture_search.running import run_search, words_of

SMALL = {
    "data": "digits", "space.depth": [14], "space.width": [0.125], "space.stages.spatial_extent": [3],
    "training.epochs": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs directory with the finished search `found`."""
    directory = tmp_path_factory.mktemp("face") / "runs"
    finished_search(directory)
    return directory


@pytest.fixture
def found(runs: Path) -> vas.Search:
    return vas.open_search("found", runs)


def test_the_front_and_the_trials_are_those_of_the_commands(
    found: vas.Search, runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trials, front = found.trials(), found.front()
    assert list(trials.index) == [0, 1, 2, 3] and list(front.index) == [1, 0, 3]
    assert tuple(trials["val_accuracy"]) == ACCURACIES and list(front["flops"]) == [1000, 2000, 4000]
    assert list(trials["on_front"]) == [True, True, False, True]
    page = found.report(tmp_path / "report")
    assert page.is_file()
    rows = list(csv.DictReader(io.StringIO((page.parent / "trials.csv").read_text(encoding="utf-8"))))
    assert [int(row["flops"]) for row in rows] == list(trials["flops"])
    assert export(["found", "--list", "--runs-dir", str(runs)]) == 0
    said = capsys.readouterr().out
    assert all(label in said for label in front["label"])
    assert found.summary().front[-1].number == 3


def test_the_front_is_drawn_as_in_the_report(found: vas.Search) -> None:
    figure = found.draw_front()
    assert isinstance(figure, Figure) and figure.axes[0].get_title() == "found"
    # What a notebook asks the last value of a cell for.
    assert Image.open(io.BytesIO(figure._repr_png_())).size == (960, 600)


def test_a_home_is_meant_by_a_tilde_and_what_is_open_stays_open(
    runs: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(runs.parent))
    monkeypatch.chdir(runs.parent)
    searches = [vas.open_search("found", place) for place in ("runs", "~/runs", runs)]
    monkeypatch.chdir(tmp_path)
    assert searches[0] == searches[1] == searches[2] and len(searches[0].trials()) == 4
    assert searches[0].report("~/a report").is_file() and (runs.parent / "a report/front.html").is_file()
    assert searches[0].export("knee", "~/knee").directory == runs.parent / "knee"


def test_a_status_is_that_of_the_command(found: vas.Search, runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status(["found", "--json", "--runs-dir", str(runs)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert found.status().to_json()["counts"] == said["counts"] == {**said["counts"], "finished": 4}


def test_a_member_is_exported_and_its_network_built(found: vas.Search, tmp_path: Path) -> None:
    bundle = found.export("accuracy", tmp_path / "best")
    assert isinstance(bundle, vas.OpenBundle) and bundle.architecture == found.architecture(3)
    assert bundle.classes is not None and len(bundle.classes) == 10
    assert not bundle.network().training and (found.directory / "ledger.db").is_file()
    with pytest.raises(vas.UserError, match="exists already"):
        found.export("accuracy", tmp_path / "best")
    with pytest.raises(vas.UserError, match="has no trial 9: expected 0 to 3"):
        found.architecture(9)
    assert found.architecture(np.int64(1)) == found.architecture(1)  # type: ignore[arg-type]
    other: Any
    for other in (True, 1.0, -1, "3", None, [1]):
        with pytest.raises(vas.UserError, match=r"^trial is .*: expected a whole number of 0 or more\.$"):
            found.architecture(other)
    for other in ("no", 1, None):
        with pytest.raises(vas.UserError, match=r"^onnx is .*: expected True or False\.$"):
            found.export("knee", tmp_path / "not there", onnx=other)


def test_a_search_that_is_not_there_is_named(runs: Path) -> None:
    with pytest.raises(vas.UserError, match="Did you mean 'found'"):
        vas.open_search("foun", runs)


@pytest.mark.parametrize("value", [None, 3, b"found", ["found"], object()])
def test_what_is_of_another_type_is_named_with_what_was_expected(
    value: Any, found: vas.Search, runs: Path, tmp_path: Path
) -> None:
    new = functools.partial(vas.start_search, runs_dir=tmp_path / "runs")
    calls: list[tuple[Callable[[], object], str]] = [
        (lambda: vas.open_search(value, runs), "name .* expected text"),
        (lambda: vas.open_search("found", value), "runs_dir .* expected a path"),
        (lambda: found.export(value), "pick .* expected text"),
        (
            lambda: found.extend("3" if value == 3 else value),  # type: ignore[arg-type]
            "trials .* expected a whole number of 1 or more",
        ),
        (lambda: new(value), "space .* expected a path"),
        (lambda: vas.start_search(runs_dir=value), "runs_dir .* expected a path"),
        (lambda: new(settings={"data": {"name": value}}), "a setting .* expected text, a number"),
        (lambda: vas.open_bundle(value), "directory .* expected a path"),
        (lambda: vas.cost(value, image_size=32), "architecture .* expected an architecture"),
        (lambda: vas.build("resnet26", image_size=value if value != 3 else "3"), "image_size .* expected a whole"),  # type: ignore[arg-type]
    ]
    if value is not None:
        calls += [
            (lambda: vas.open_search("found", runs, value), "ledger_url .* expected text"),
            (lambda: found.export("knee", value), "out .* expected a path"),
            (lambda: found.report(value), "out .* expected a path"),
            (lambda: found.resume(value), "settings .* expected a mapping"),
            (lambda: found.resume(progress=value), "progress .* expected a function"),
            (lambda: new(settings=value), "settings .* expected a mapping"),
            (lambda: new(name=value), "name .* expected text"),
            (lambda: new(output=value), "output .* expected a function"),
        ]
    for call, message in calls:
        with pytest.raises(vas.UserError, match=message):
            call()


@pytest.mark.parametrize("flag", ["--name", "--trials", "--plan"])
def test_flags_are_no_settings(flag: str, tmp_path: Path) -> None:
    with pytest.raises(vas.UserError, match=f"^'{flag}' is a flag of the command line: expected a setting's name"):
        vas.start_search(settings={flag: "1"}, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("settings", ["data=digits", ["data=digits"], {3: 4}])
def test_settings_are_a_mapping_of_names(settings: Any, tmp_path: Path) -> None:
    with pytest.raises(vas.UserError, match=r"^(settings|the name of a setting) is .*: expected "):
        vas.start_search(settings=settings, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_one_that_does_not_run_is_neither_changed_nor_ended(found: vas.Search) -> None:
    with pytest.raises(vas.UserError, match="does not run"):
        found.change_limits(trials=9)
    with pytest.raises(vas.UserError, match="does not run"):
        found.stop()
    with pytest.raises(vas.UserError, match=r"unknown limit 'trails': expected one of .* Did you mean 'trials'"):
        found.change_limits(trails=9)
    with pytest.raises(vas.UserError, match="no limit is given: expected one of trials, epochs, time_budget"):
        found.change_limits()
    with pytest.raises(vas.UserError, match="trials is 0: expected a whole number of 1 or more"):
        found.extend(0)


def test_settings_are_words_of_the_command_line() -> None:
    lists = ([14, 26], (14, 26), range(14, 27, 12), np.array([14, 26]))
    assert [words_of({"space.depth": depths}) for depths in lists] == [["space.depth=[14,26]"]] * 4
    settings = {"space.depth": [14, 26], "search.deterministic": True, "search.epochs": None, "data": "digits"}
    words = ["space.depth=[14,26]", "search.deterministic=true", "search.epochs=null", "data=digits"]
    assert words_of(settings) == words


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"data": "digit"}, "Did you mean 'digits'"),
        ({"search.trials": 0}, "expected at least 1"),
        ({"serch.trials": 3}, "Did you mean"),
    ],
)
def test_a_mistake_raises_before_anything_is_started(settings: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(vas.UserError, match=message):
        vas.start_search(settings=settings, runs_dir=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_what_the_program_refuses_is_raised(runs: Path) -> None:
    with pytest.raises(vas.UserError, match="a search named 'found' exists already"):
        vas.start_search(name="found", settings={"data": "digits"}, runs_dir=runs)


def test_what_the_program_prints_is_handed_on_and_a_failure_of_the_caller_goes_on(tmp_path: Path) -> None:
    lines: list[str] = []
    words = ["--space", "resnet_stages", "data=digits", "--runs-dir", str(tmp_path / "runs"), "--plan"]
    run_search(words, None, lines.append)
    assert any("1,079 to train" in line for line in lines)

    def fails(line: str) -> None:
        raise LookupError(line)

    with pytest.raises(LookupError):
        run_search(words, None, fails)


def test_how_far_a_search_is(runs: Path) -> None:
    from nas.ledger.location import read_ledger
    from nas.settings.run_directory import run_directory
    from vision_architecture_search.running import progress_of

    progress = progress_of(read_ledger(run_directory(str(runs), "found"), None), "found", 61.0)
    assert dataclasses.asdict(progress)["outcomes"] == {"finished": 4}
    assert (progress.architectures, progress.epochs, progress.front, progress.best_accuracy) == (4, 8, 3, 0.95)
    assert str(progress).startswith("61 s: 4 of 8 architectures, 8 epochs, front of 3, best 95.00%, hypervolume 0.")


@pytest.mark.slow
def test_a_search_is_begun_gone_on_with_and_extended(tmp_path: Path) -> None:
    heard: list[vas.SearchProgress] = []
    runs = tmp_path / "runs"

    class Enough(Exception):
        pass

    def hear(progress: vas.SearchProgress) -> None:
        heard.append(progress)
        if progress.epochs >= 1:
            raise Enough

    with pytest.raises(Enough):
        vas.start_search(settings={**SMALL, "search.trials": 2}, name="mine", runs_dir=runs, progress=hear)
    search = vas.open_search("mine", runs)
    driver = search.status().driver
    assert driver is not None and driver.ended_at is not None and driver.host == socket.gethostname()
    assert driver.process != os.getpid()
    heard.clear()
    assert search.resume(progress=heard.append) == search
    assert heard[-1].architectures == 2 and heard[-1].outcomes == {"finished": 2}
    lines: list[str] = []
    search.extend(1, output=lines.append)
    assert len(search.trials()) >= 3 and any("the front:" in line for line in lines)
