"""The recipes by name: all that a file of them has to say, and mistakes that are named."""

import re
from pathlib import Path

import pytest

from search_spaces.errors import UserError
from trainers.recipe import OPTIMIZERS, Recipe
from trainers.recipe_files import DIRECTORY, named_recipe, recipe_names


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_says_its_source_its_command_and_what_it_costs(name: str) -> None:
    text = (DIRECTORY / f"{name}.yaml").read_text(encoding="utf-8")
    header = [line for line in text.splitlines() if line.startswith("#")]
    assert text.startswith("\n".join(header))
    for word in ("Source", "Command", "Cost"):
        assert any(line.startswith(f"# {word}: ") for line in header), word
    assert any(re.search(rf"\brecipe={name}\b", line) for line in header)
    assert isinstance(named_recipe(name), Recipe)


def test_each_optimizer_has_a_recipe_and_the_paper_its_own() -> None:
    found = {named_recipe(name).optimizer for name in recipe_names()}
    assert found == set(OPTIMIZERS)
    paper = named_recipe("imagenet_paper")
    assert (paper.epochs, paper.batch_size, paper.learning_rate, paper.warmup_epochs) == (130, 4096, 1.6, 10)
    assert (paper.optimizer, paper.momentum, paper.schedule, paper.ema_decay) == ("sgd", 0.9, "cosine", 0.9999)


# The values that searches and full trainings had before recipes were files.
BEFORE = {
    "digits": Recipe(40, 64, 0.1, 0.9, 5e-4, 0.1, 3.0, 0.99, "shift", "float32"),
    "cluttered_digits": Recipe(40, 64, 0.1, 0.9, 5e-4, 0.1, 3.0, 0.99, "none", "float32"),
    "cifar10": Recipe(200, 128, 0.1, 0.9, 5e-4, 0.1, 5.0, 0.999, "flip_crop", "float32"),
    "image_folder": Recipe(100, 64, 0.05, 0.9, 1e-4, 0.1, 5.0, 0.999, "resized_crop", "float32"),
    "imagenet_paper": Recipe(130, 4096, 1.6, 0.9, 1e-4, 0.1, 10.0, 0.9999, "resized_crop", "bfloat16"),
    "digits_search": Recipe(9, 32, 0.05, 0.9, 5e-4, 0.0, 0.5, 0.9, "shift", "float32"),
    "cluttered_digits_search": Recipe(15, 64, 0.15, 0.9, 5e-4, 0.0, 0.5, 0.9, "none", "float32"),
    "cifar10_search": Recipe(27, 128, 0.1, 0.9, 5e-4, 0.1, 2.0, 0.0, "flip_crop", "float32"),
    "image_folder_search": Recipe(27, 128, 0.1, 0.9, 1e-4, 0.1, 2.0, 0.0, "resized_crop", "bfloat16"),
    "imagenet_search": Recipe(27, 256, 0.1, 0.9, 5e-5, 0.1, 2.0, 0.0, "resized_crop", "bfloat16"),
}


@pytest.mark.parametrize("name", BEFORE)
def test_the_defaults_of_searches_and_full_trainings_are_what_they_were(name: str) -> None:
    assert named_recipe(name) == BEFORE[name]


def test_a_file_is_a_recipe_too(tmp_path: Path) -> None:
    text = (DIRECTORY / "digits.yaml").read_text(encoding="utf-8")
    file = tmp_path / "mine.yaml"
    # YAML 1.1 takes a number without a point for text.
    file.write_text(text.replace("5.0e-4", "5e-4") + "mixup: 0.2\n", encoding="utf-8")
    found = named_recipe(str(file))
    assert (found.weight_decay, found.mixup, found.epochs) == (5e-4, 0.2, 40)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 3\n", r"mine.yaml': recipe: missing batch_size"),
        ("- 3\n", "expected KEY: VALUE, a line each, found a list"),
        ("epochs: 3\nepochs: 4\n", "'epochs' is given twice"),
        ("{digits}mixupp: 0.2\n", "unknown key of recipe 'mixupp'. Did you mean 'mixup'"),
        (
            "recipe: {epochs: 3}\n",
            "it holds all settings of a full training, in sections, which trainers/train.py takes",
        ),
        ("{digits}mixup: much\n", "recipe.mixup is 'much': expected a number"),
    ],
)
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "mine.yaml"
    digits = (DIRECTORY / "digits.yaml").read_text(encoding="utf-8")
    file.write_text(text.replace("{digits}", digits), encoding="utf-8")
    with pytest.raises(UserError, match=message) as caught:
        named_recipe(str(file))
    assert "\n" not in str(caught.value)


def test_a_file_that_is_named_without_its_ending_is_hinted_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").touch()
    with pytest.raises(UserError, match=r"for the file of that name, recipe=mine\.yaml"):
        named_recipe("mine")


def test_an_unknown_name_comes_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"unknown recipe 'cifar10_muo'. Did you mean 'cifar10_muon'"):
        named_recipe("cifar10_muo")
    with pytest.raises(UserError, match=r"recipe 'none.yaml' cannot be read: No such file"):
        named_recipe("none.yaml")
