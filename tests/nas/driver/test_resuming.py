"""What a command may change of a search that it goes on with, and how it is told what it may not."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.driver.checks import check_ledger
from nas.driver.command_line import read_command
from nas.driver.open_ledger import search_ledger
from nas.ledger.database import ledger_url, new_study
from nas.settings.changes import shared_stages, space_changes
from nas.settings.command import Command
from nas.settings.header import SearchHeader
from nas.settings.run_directory import run_directory
from nas.settings.space_files import space_mapping
from search_spaces.errors import UserError
from search_spaces.space_reading import space_from_mapping
from tests.support.searches import DIGITS, shipped_space
from trainers.data.datasets import examine_data

MINE: dict[str, Any] = {
    "stem": ["convolution"],
    "depth": [14, 26],
    "width": [0.125],
    "stages": {
        "operator": ["convolution", "attention"],
        "spatial_extent": [3, 5, 7],
        "heads": [1, 2],
        "positional_encoding": ["none"],
    },
    "stage1": {"operator": ["convolution"]},
}


def begin(directory: Path, *arguments: str) -> Command:
    """Begins a search as its driver does, up to its ledger."""
    command = read_command([*arguments, "--name", "one", "--runs-dir", str(directory)])
    search_ledger(command, run_directory(str(directory), "one"), examine_data(command.data), 1)
    return command


def asked(command: Command) -> SearchHeader:
    """What a command asks for, as a ledger keeps it."""
    return command.header(DIGITS, 1, "unknown")


def again(directory: Path, *arguments: str) -> Command:
    return read_command(["--resume", "one", "--runs-dir", str(directory), *arguments])


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs directory of a search of the defaults, which the tests only look at."""
    directory = tmp_path_factory.mktemp("begun")
    begin(directory, "--space", "resnet_stages", "data=digits", "training.epochs=18")
    return directory


def write(path: Path, space: Mapping[str, Any]) -> str:
    path.write_text(yaml.safe_dump(dict(space)), encoding="utf-8")
    return str(path)


def test_a_search_goes_on_as_it_was_started(tmp_path: Path) -> None:
    begun = begin(
        tmp_path, "--space", "resnet_stages", "data=digits", "training.epochs=3", "space.depth=[14]", "--seed", "4"
    )
    command = again(tmp_path)
    assert (command.resume, command.fork_of, command.name) == (True, None, "one")
    assert asked(command) == asked(begun)


def test_the_whole_command_may_be_repeated_with_resume(tmp_path: Path) -> None:
    arguments = ["--space", "resnet_stages", "data=digits", "training.epochs=3", "space.depth=[14]", "--seed", "4"]
    begun = begin(tmp_path, *arguments)
    assert asked(again(tmp_path, *arguments)) == asked(begun)


def test_a_search_by_another_recipe_goes_on_by_it(tmp_path: Path) -> None:
    arguments = ["--space", "resnet_stages", "data=digits", "recipe=digits_muon", "recipe.epochs=3"]
    begun = begin(tmp_path, *arguments)
    assert (begun.training.optimizer, begun.training.epochs) == ("muon", 3)
    assert asked(again(tmp_path)) == asked(again(tmp_path, *arguments)) == asked(begun)


def test_limits_may_be_raised_and_the_data_may_move(begun: Path) -> None:
    overrides = ["data.root=moved", "data.loader_workers=2", "search.keep_checkpoints=all"]
    command = again(begun, "--trials", "90", "--time-budget", "2h", *overrides)
    assert (command.search.trials, command.search.time_budget) == (90, "2h")
    assert command.search.keep_checkpoints == "all"
    assert (command.data.root, command.data.loader_workers) == (str(Path("moved").resolve()), 2)


@pytest.mark.parametrize(
    ("arguments", "difference"),
    [
        (["space.stages.spatial_extent=[3,7]"], "space.stages.spatial_extent: [3, 5, 7, 9, 11] -> [3, 7]"),
        (
            ["--space", "resnet_stages", "space.depth=[26]", "space.stage2.heads=[1]"],
            "space.depth: [26, 38, 50] -> [26]; space.stage2.heads: [1, 2, 4, 8] -> [1]",
        ),
        (["--space", "resnet_blocks"], "space.granularity: stage -> block"),
        (["search.sampler=tpe"], "search.sampler: ehvi -> tpe"),
        (["--seed", "3"], "search.seed: 0 -> 3"),
    ],
)
def test_another_space_is_refused_with_the_difference_and_the_way_out(
    arguments: list[str], difference: str, begun: Path
) -> None:
    with pytest.raises(UserError) as caught:
        again(begun, *arguments)
    message = str(caught.value)
    assert difference in message and "`--resume one --fork NEW`" in message and "\n" not in message
    fork = again(begun, *arguments, "--fork", "two")
    assert (fork.name, fork.resume, fork.fork_of) == ("two", False, "one")


def test_a_space_file_that_has_changed_since_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.yaml", MINE)
    begun = begin(tmp_path, "--space", path, "space.depth=[26]")
    assert asked(again(tmp_path)) == asked(begun)
    # Written otherwise, it is the same space; what an override replaces may change, too.
    write(tmp_path / "mine.yaml", MINE | {"depth": [14], "stage2": {"heads": [1, 2]}})
    assert again(tmp_path).space == begun.space
    write(tmp_path / "mine.yaml", MINE | {"width": [0.25]})
    with pytest.raises(UserError, match=r"space.width: \[0.125\] -> \[0.25\].*--fork NEW"):
        again(tmp_path)
    fork = again(tmp_path, "--fork", "two")
    assert (fork.space.width, fork.space.depth) == ((0.25,), (26,))
    # A file that is gone says nothing: the ledger has it all.
    (tmp_path / "mine.yaml").unlink()
    assert again(tmp_path).space == begun.space


@pytest.mark.parametrize(
    ("override", "difference"),
    [
        ("training.epochs=4", "training.epochs: 18 -> 4"),
        ("recipe.mixup=0.2", "training.mixup: 0.0 -> 0.2"),
        ("recipe=digits_muon", "training.optimizer: sgd -> muon"),
        ("data.image_size=8", "data.image_size: 16 -> 8"),
        ("data=cifar10", "data.name: digits -> cifar10"),
    ],
)
@pytest.mark.parametrize("fork", [[], ["--fork", "two"]])
def test_results_that_would_not_compare_are_never_mixed(
    override: str, difference: str, fork: list[str], begun: Path
) -> None:
    with pytest.raises(UserError) as caught:
        again(begun, override, *fork)
    message = str(caught.value)
    assert difference in message and "cannot be compared" in message and "--fork" not in message


def test_no_fork_is_advised_of_a_search_on_latency(tmp_path: Path) -> None:
    begin(tmp_path, "--space", "resnet_stages", "data=digits", "search.objectives=[val_accuracy,latency_ms]")
    with pytest.raises(UserError, match=r"max_latency_ms: .* -> 3.*\. Start a new search, by --space\.$"):
        again(tmp_path, "search.max_latency_ms=3")


def test_other_objectives_are_refused_in_a_line(begun: Path) -> None:
    with pytest.raises(
        UserError, match=r"search.objectives: \[val_accuracy, flops\] -> \[val_accuracy, flops, params\]"
    ):
        again(begun, "search.objectives=[val_accuracy,flops,params]")
    assert again(begun, "--max-params", "200k").search.max_params == 200_000


@pytest.mark.parametrize("override", ["search=null", "training=[1]", "data.rot=x", "space=other", "search.sampler=tp"])
def test_other_mistakes_are_refused_as_in_a_new_search(override: str, begun: Path) -> None:
    for fork in ([], ["--fork", "two"]):
        with pytest.raises(UserError):
            again(begun, override, *fork)


def test_images_that_have_changed_are_refused(begun: Path) -> None:
    command, directory = again(begun), run_directory(str(begun), "one")
    found = examine_data(command.data)
    check_ledger(command, directory, found)
    images = found.summary.train_images
    more = replace(found, summary=replace(found.summary, train_images=images + 1))
    with pytest.raises(UserError, match=rf"data.train_images: {images} -> {images + 1}"):
        check_ledger(command, directory, more)


def test_changed_code_is_a_warning_with_both_revisions(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.driver.open_ledger.code_revision", lambda: "0123456789ab")
    begin(tmp_path, "--space", "resnet_stages")
    for revision, lines in (("0123456789ab", 0), ("fedcba987654+", 1)):
        monkeypatch.setattr("nas.driver.open_ledger.code_revision", lambda revision=revision: revision)
        command = again(tmp_path)
        search_ledger(command, run_directory(str(tmp_path), "one"), examine_data(command.data), 1)
        error = capsys.readouterr().err
        assert error.count("\n") == lines
    assert error.startswith("warning: ") and "0123456789ab" in error and "fedcba987654+" in error


def test_a_setting_that_the_ledger_does_not_know_has_its_default(tmp_path: Path) -> None:
    begun = begin(tmp_path, "--space", "resnet_stages")
    header = asked(begun).to_json()
    header["search"] = {key: value for key, value in header["search"].items() if key != "keep_checkpoints"}
    (tmp_path / "old").mkdir()
    with new_study(ledger_url(tmp_path / "old" / "ledger.db"), "old", header, 1):
        pass
    command = read_command(["--resume", "old", "--runs-dir", str(tmp_path)])
    assert command.search == begun.search


@pytest.mark.parametrize("name", ["resnet_stages", "resnet_blocks"])
def test_the_shared_form_of_a_space_is_the_space(name: str) -> None:
    for space in (shipped_space(name), space_from_mapping("mine", MINE)):
        assert space_from_mapping(space.name, shared_stages(space.to_json())) == space
        assert space_changes(space, space) == []


def test_an_override_of_all_stages_reaches_those_without_values_of_their_own(tmp_path: Path) -> None:
    begin(tmp_path, "--space", "resnet_stages", "space.stage3.heads=[8]")
    fork = again(tmp_path, "--fork", "two", "space.stages.heads=[2]")
    assert [stage.heads for stage in fork.space.stages] == [(2,), (2,), (8,), (2,)]
    assert space_mapping("resnet_stages")[0] == fork.space.name
