from dataclasses import replace
from pathlib import Path

import pytest

from nas.driver.command_line import read_command
from nas.settings.command import Command
from nas.settings.config_file import config_text
from nas.settings.search_arguments import argument_parser
from nas.settings.space_files import SPACE_DIRECTORY, space_names
from search_spaces.errors import UserError
from trainers.data.config import DATA_DEFAULTS
from trainers.recipe_files import named_recipe


def read(*arguments: str) -> Command:
    return read_command(["--space", "resnet_stages", *arguments])


def test_defaults_are_the_embedded_data_and_the_shipped_space() -> None:
    command = read()
    assert command.data.name == "cluttered_digits" and command.space.name == "resnet_stages"
    assert command.search.trials == 20 and read("data=digits").search.trials == 24
    assert command.cluster.address is None
    words = " ".join(argument_parser([]).format_help().split())
    assert "architectures to train (default 24, and 20 of cluttered_digits)" in words
    assert command.name.startswith("resnet_stages-2") and not command.resume and not command.plan


def test_the_first_rung_suits_the_data_and_can_be_chosen() -> None:
    found = [read(*arguments).search.minimum_epochs for arguments in ([], ["data=digits"], ["search.minimum_epochs=3"])]
    assert found == [6, 2, 3]


def test_widths_suit_the_data_where_the_space_is_not_a_file_of_the_users(tmp_path: Path) -> None:
    of_the_space = read("data=digits").space.width
    assert read().space.width == of_the_space[1:] and read("data=cifar10").space.width == of_the_space
    assert read("space.width=[0.5]").space.width == (0.5,)
    own = tmp_path / "own.yaml"
    own.write_bytes((SPACE_DIRECTORY / "resnet_stages.yaml").read_bytes())
    assert read_command(["--space", str(own)]).space.width == of_the_space
    printed = tmp_path / "config.yaml"
    printed.write_text(config_text(read("space.width=[0.25]")), encoding="utf-8")
    assert read_command(["--config", str(printed)]).space.width == (0.25,)
    assert read_command(["--config", str(printed), "--space", "resnet_stages"]).space.width == of_the_space[1:]


@pytest.mark.parametrize("name", DATA_DEFAULTS)
@pytest.mark.parametrize("space", space_names())
def test_every_data_set_composes_with_every_space(name: str, space: str) -> None:
    command = read_command(["--space", space, f"data={name}"])
    assert command.data.name == name and command.space.granularity in space.removesuffix("s")


@pytest.mark.parametrize("name", DATA_DEFAULTS)
def test_a_data_set_is_read_as_full_training_reads_it(name: str) -> None:
    expected = DATA_DEFAULTS[name]
    root = None if expected.root is None else str(Path(expected.root).resolve())
    assert read(f"data={name}").data == replace(expected, root=root)


@pytest.mark.parametrize("name", DATA_DEFAULTS)
def test_trials_are_trained_by_the_recipe_of_their_data_or_by_another(name: str) -> None:
    # Images are trained on alike in folders and in tar files.
    suiting = {"tar_shards": "image_folder"}.get(name, name)
    assert read(f"data={name}").training == named_recipe(f"{suiting}_search")
    changed = read("recipe.epochs=3", f"data={name}", "recipe=cifar10_muon", "training.momentum=0.8").training
    assert changed == replace(named_recipe("cifar10_muon"), epochs=3, momentum=0.8)


def test_overrides_stand_on_both_sides_of_flags() -> None:
    command = read_command(
        ["training.epochs=3", "--trials", "7", "data=cifar10", "--space", "resnet_stages", "search.seed=5"]
    )
    assert (command.training.epochs, command.search.trials, command.data.name, command.search.seed) == (
        3,
        7,
        "cifar10",
        5,
    )


def test_flags_are_overrides_by_another_name() -> None:
    flags = [
        "--trials=9",
        "--max-flops=2e9",
        "--time-budget=1h",
        "--seed=3",
        "--gpus-per-trial=0.5",
        "--cpus-per-trial=2",
    ]
    overrides = [
        "search.trials=9", "search.max_flops=2e9", "search.time_budget=1h", "search.seed=3",
        "cluster.gpus_per_trial=0.5", "cluster.cpus_per_trial=2",
    ]  # fmt: skip
    by_flag, by_override = read(*flags), read(*overrides)
    assert by_flag.search == by_override.search and by_flag.cluster == by_override.cluster
    assert by_flag.search.max_flops == 2e9 and by_flag.cluster.gpus_per_trial == 0.5


def test_a_limit_that_may_be_none_is_lifted_by_its_flag() -> None:
    limits = ("max_flops", "max_params", "min_accuracy", "epochs", "time_budget")
    given = [f"search.{name}={value}" for name, value in zip(limits, ("2M", "1M", "0.5", "9", "1h"), strict=True)]
    lifted = read(*given, *(f"--{name.replace('_', '-')}=none" for name in limits))
    assert {getattr(lifted.search, name) for name in limits} == {None} and lifted.search == read().search


def test_every_list_of_a_space_can_be_overridden() -> None:
    command = read(
        "space.stem=[attention]", "space.depth=[14,50]", "space.width=[0.5]", "space.stages.operator=[attention]",
        "space.stages.spatial_extent=[13]", "space.stages.heads=[16]", "space.stage2.heads=[2]",
        "space.stages.positional_encoding=[relative_only]",
    )  # fmt: skip
    space = command.space
    assert (space.stem, space.depth, space.width) == (("attention",), (14, 50), (0.5,))
    assert [stage.heads for stage in space.stages] == [(16,), (2,), (16,), (16,)]
    assert {stage.spatial_extent for stage in space.stages} == {(13,)}


def test_a_copied_space_file_is_searched_without_code(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        "stem: [convolution]\ndepth: [14]\nwidth: [0.5]\nstages: {operator: [convolution]}\n", encoding="utf-8"
    )
    command = read_command(["--space", str(path)])
    assert command.space.name == "mine" and command.space.size() == 1


def test_a_relative_root_is_taken_from_where_the_user_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert read("data=imagenet", "data.root=images").data.root == str(tmp_path / "images")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--space is missing: expected one of resnet_blocks, resnet_stages"),
        (["--space", "resnet_stage"], "Did you mean 'resnet_stages'"),
        (["--space", "none.yaml"], "'none.yaml' cannot be read"),
        (["--space", "resnet_stages", "--trails", "4"], "unknown flag '--trails'.*Did you mean '--trials'"),
        (["--space", "resnet_stages", "--trials", "four"], "'four': expected a whole number"),
        (["--space", "resnet_stages", "--trials"], "expected one argument"),
        (["--space", "resnet_stages", "--tri", "4"], "unknown flag '--tri'"),
        (["--space", "resnet_stages", "training.epoch=3"], "Did you mean 'training.epochs'"),
        (
            ["--space", "resnet_stages", "trainin.epochs=3"],
            "unknown setting 'trainin.epochs'.*Did you mean 'training.epochs'",
        ),
        (["--space", "resnet_stages", "training.epochs=x"], "epochs is 'x': expected a whole number"),
        (["--space", "resnet_stages", "recipe=digits_muo"], "unknown recipe 'digits_muo'.*Did you mean 'digits_muon'"),
        (["--space", "resnet_stages", "recipe.epoch=3"], "Did you mean 'training.epochs'"),
        (["--space", "resnet_stages", "training.optimizer=muon"], "optimizer is 'muon'.*expected a learning_rate, too"),
        (["--space", "resnet_stages", "training.epochs=0"], r"training.epochs of a search"),
        (["--space", "resnet_stages", "data=image_folder", "data.name=digits"], "unknown setting 'data.name'"),
        (["--space", "resnet_stages", "--seed", "9" * 30], "seed is 9+: expected 0 to"),
        (["--space", "resnet_stages", "data.split_seed=" + "9" * 30], "split_seed is 9+: expected 0 to"),
        (["--space", "resnet_stages", "space.depth=['26']"], "space.depth is '26', a str: expected one of 14, 26"),
        (["--space", "resnet_stages", "data=cifar"], "Did you mean 'cifar10'"),
        (["--space", "resnet_stages", "space=other"], "named by --space"),
        (["--space", "resnet_stages", "space.depth=26,50"], r"space.depth is '26,50': expected a list"),
        (["--space", "resnet_stages", "space.depth=[26"], r"space.depth is '\[26': expected a list"),
        (["--space", "resnet_stages", "space.stages.operator=[conv]"], "unknown space.stages.operator 'conv'"),
        (["--space", "resnet_stages", "+training.extra=1"], "unexpected argument"),
        (["--space", "resnet_stages", "~training.epochs"], "unexpected argument"),
        (["--space", "resnet_stages", "epochs"], "unexpected argument 'epochs'"),
        (["--space", "resnet_stages", "search.sampler=tp"], "Did you mean 'tpe'"),
        (["--space", "resnet_stages", "training=[1]"], "expected training.KEY=VALUE"),
        (["--space", "resnet_stages", "search=null"], "expected search.KEY=VALUE"),
        (
            ["--space", "resnet_stages", "data=image_folder", "data.root="],
            "data.root is empty: expected a path",
        ),
        (["--space", "resnet_stages", "data.root=''"], "data.root is empty"),
        (
            ["--space", "resnet_stages", "data.root=photos"],
            "the images of data=cluttered_digits come with scikit-learn",
        ),
        (["--space", "resnet_stages", "tracking.experiment="], "tracking.experiment is empty: expected text"),
        (["--space", "resnet_stages", "tracking.uri="], "tracking.uri is empty"),
        (["--space", "resnet_stages", "ledger.url="], "ledger.url is empty"),
        (["--space", "resnet_stages", "--address", ""], "--address: is empty: expected ADDRESS"),
        (["--space", "resnet_stages", "--name", ""], "--name: is empty: expected NAME"),
        (["--space", "resnet_stages", "--fork="], "--fork: is empty: expected NEW"),
        (["--space", "resnet_stages", "data=DIGITS"], "Did you mean 'digits'"),
        (["--space", "resnet_stages", "space.depth=26"], r"as in \[26\]"),
        (["--resume", "x", "--name", "y"], "leave out --name"),
        (["--space", "resnet_stages", "--fork", "y"], "--fork y begins with .*: expected --resume NAME"),
        (["--resume", "nowhere", "--runs-dir", "nowhere"], "unknown search 'nowhere'"),
    ],
)
def test_mistakes_are_one_line_that_helps(arguments: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        read_command(arguments)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["- a list", "a: [1", "!!python/object/apply:os.system ['true']", "stem: [convolution]"]
)
def test_a_space_file_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError):
        read_command(["--space", str(path)])


def test_the_environment_cannot_be_read_into_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "secret")
    command = read("tracking.experiment=${oc.env:CANARY}")
    assert command.tracking.experiment == "${oc.env:CANARY}" and "secret" not in repr(command)


@pytest.mark.parametrize("text", ["Bögen und Räume", "a=b", "what?", "[x] {y}", "a, b", "it's", "50 %", "null value"])
def test_text_is_text(text: str) -> None:
    assert read(f"tracking.experiment={text}").tracking.experiment == text
    assert read("data=imagenet", f"data.root=/images/{text}").data.root == f"/images/{text}"


def test_a_home_is_expanded_where_a_directory_is_meant(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read("data=imagenet", "data.root=~/images").data.root == str(tmp_path / "images")
    assert read("tracking.experiment=~/images").tracking.experiment == "~/images"


def test_of_what_is_given_twice_the_last_counts() -> None:
    """So that what is added to a command line of a script has its say."""
    command = read(
        "--trials", "3", "--trials", "4", "data=digits", "data=cifar10", "training.epochs=5", "training.epochs=6"
    )
    assert (command.search.trials, command.data.name, command.training.epochs) == (4, "cifar10", 6)


def test_a_key_that_a_space_file_has_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("stem: [convolution]\ndepth: [14]\nwidth: [1]\ndepth: [26]\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"is not YAML: line 4: 'depth' is given twice\.$"):
        read_command(["--space", str(path)])
