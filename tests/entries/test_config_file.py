"""`nas/search.py --print-config`, and the same file given back by `--config`."""

import dataclasses
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from nas.driver.command_line import read_command
from nas.search import main
from trainers.recipe_files import named_recipe

BEGIN = [
    "--space", "resnet_blocks", "data=digits", "--max-flops", "2M", "--trials", "7", "training.epochs=3",
    "space.depth=[26]", "space.stage1.operator=[convolution]", "search.sampler=tpe", "tracking.experiment=my own: #1",
]  # fmt: skip


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main([*arguments, "--print-config"]) == 0
    return capsys.readouterr().out


def test_what_is_printed_means_the_same_when_it_is_given_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = printed(capsys, *BEGIN)
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    assert printed(capsys, "--config", "mine.yaml") == text
    before, after = read_command(BEGIN), read_command(["--config", "mine.yaml"])
    for name in ("space", "data", "training", "search", "cluster", "tracking", "ledger"):
        assert getattr(after, name) == getattr(before, name), name
    assert after.search.max_flops == 2e6 and after.space.name == "resnet_blocks"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]


def test_flags_and_overrides_lie_on_top_of_a_file_and_defaults_below(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("data: {name: digits}\nsearch: {trials: 5, seed: 9}\n", encoding="utf-8")
    command = read_command(["--config", str(file), "--space", "resnet_stages", "--trials", "6"])
    assert (command.search.trials, command.search.seed, command.data.name) == (6, 9, "digits")
    assert (
        command.search.minimum_epochs == read_command(["--space", "resnet_stages", "data=digits"]).search.minimum_epochs
    )
    file.write_text(printed(capsys, *BEGIN), encoding="utf-8")
    changed = read_command(["--config", str(file), "space.stages.heads=[2]"])
    assert {heads for stage in changed.space.stages for heads in stage.heads} <= {2}


def test_a_recipe_on_the_command_line_takes_the_place_of_that_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = printed(capsys, *BEGIN, "recipe=digits_adamw")
    assert yaml.safe_load(text)["training"] == dataclasses.asdict(replace(named_recipe("digits_adamw"), epochs=3))
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    found = read_command(["--config", str(file), "recipe=digits_muon", "recipe.epochs=4"])
    assert found.training == replace(named_recipe("digits_muon"), epochs=4)


def test_secrets_are_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, *BEGIN, "ledger.url=postgresql://me:s3cret@host/db")
    assert "s3cret" not in text and "# ledger.url has secrets and is left out" in text
    settings: dict[str, Any] = yaml.safe_load(text)
    assert settings["ledger"]["url"] is None


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("serch: {}", [], "Did you mean 'search'?"),
        ("search: {trails: 3}", [], "Did you mean 'trials'?"),
        ("search: {trials: many}", [], "search.trials is 'many': expected a whole number"),
        ("search: 3", [], "search: expected KEY: VALUE, a line each, found 3"),
        ("[1, 2]", [], "expected KEY: VALUE, a line each, found a list"),
        ("a: b: c", [], "is not YAML"),
        ("data: {name: digit}", [], "Did you mean 'digits'?"),
        ("data: {name: digits}", ["data=cifar10"], "has the settings of 'digits'"),
        ("space: {stem: [convolution]}", [], "space: expected a name"),
        ("recipe: {epochs: 3}", [], "all settings of a full training, in sections, which trainers/train.py takes"),
        ("search: {trials: 3}", ["--resume", "x"], "leave"),
        ("search: {}", ["--max-flops", "2X"], "expected a number, as 2M, 1.5G or 3e6 (see --help)."),
        (
            "search: {}",
            ["--max-params", "2m"],
            "expected a number, as 2M, 1.5G or 3e6. Did you mean '2M'? (see --help).",
        ),
        ("search: {}", ["search.max_flops=1.5g"], "a number or null, as 2M, 1.5G or 3e6. Did you mean '1.5G'?"),
        *(
            ("search: {}", [word.format(number)], f"search.max_{word[6:11].strip('-=.')}")
            for word in ("--max-flops={}", "--max-params={}")
            for number in ("inf", "nan", "-1", "1e400", "0")
        ),
    ],
)
def test_a_mistake_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, arguments: list[str], message: str
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    space = [] if "--resume" in arguments or "space" in text else ["--space", "resnet_stages"]
    assert main(["--config", str(file), *space, *arguments, "--print-config"]) == 2
    output, error = capsys.readouterr()
    assert output == "" and error.startswith("error: ") and message in error and error.count("\n") == 1


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(tmp_path / "nowhere.yaml")]) == 2
    assert "nowhere.yaml' cannot be read: No such file or directory" in capsys.readouterr().err
