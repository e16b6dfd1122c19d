import dataclasses
from pathlib import Path

import pytest

from search_spaces.errors import UserError
from tests.support.bundles import provenance
from tests.support.tiny_training import DATA, RECIPE, TINY
from trainers.bundle.contents import Bundle
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import check_data
from trainers.full.train_settings import as_begun, difference, settings_of
from trainers.recipe_files import full_training, named_recipe

BUNDLE = Bundle(TINY, RECIPE, DATA, check_data(DATA), provenance(trial=42))


def test_the_bundles_own_recipe_is_for_its_own_data_set() -> None:
    assert settings_of(BUNDLE, [], 0).recipe == RECIPE
    assert settings_of(BUNDLE, ["data=digits"], 0).data == DATA
    other = settings_of(BUNDLE, ["recipe.epochs=7", "data.root=/x", "data=cifar10"], 3)
    assert other.data == dataclasses.replace(DATA_DEFAULTS["cifar10"], root="/x")
    assert other.recipe == dataclasses.replace(full_training("cifar10"), epochs=7)
    assert (other.seed, other.recipe_source) == (3, "the full training of cifar10 with changes")


def test_settings_are_typed_by_what_they_set() -> None:
    written = ["data=imagenet", "data.root=/images/[2] a=b", "data.image_size=9", "recipe.learning_rate=1e-3"]
    found = settings_of(BUNDLE, [*written, "recipe.augment=none"], 0)
    assert (found.data.root, found.data.image_size) == ("/images/[2] a=b", 9)
    assert (found.recipe.learning_rate, found.recipe.augment) == (0.001, "none")
    assert settings_of(BUNDLE, ["data=imagenet", "data.root=/x", "data.root=null"], 0).data.root is None
    assert settings_of(BUNDLE, ["data=imagenet", "data=cifar10"], 0).data.name == "cifar10"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data=cifar", "unknown data set 'cifar': .* Did you mean 'cifar10'"),
        ("data.name=cifar10", "unknown setting 'data.name'"),
        ("epochs=3", "unknown setting 'epochs'"),
        ("recipe.epochs=3.5", "recipe.epochs is '3.5': expected a whole number"),
        ("recipe.epochs=0", "recipe.epochs is 0: .* recipe.epochs of a full training"),
        ("recipe.batch_size=" + "9" * 400, "recipe.batch_size is 9+: expected 2"),
        ("recipe.warmup_epochs=1e300", "recipe.warmup_epochs is 1e"),
        ("recipe.momentum=x", "recipe.momentum is 'x': expected a number"),
        ("recipe", "unexpected argument 'recipe'"),
    ],
)
def test_an_override_that_is_none_is_named(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        settings_of(BUNDLE, [override], 0)


def test_differences_are_named_and_loader_processes_are_none() -> None:
    settings = settings_of(BUNDLE, [], 0).to_json()
    assert difference(settings, settings) is None
    assert difference(settings, settings_of(BUNDLE, ["data.loader_workers=4"], 0).to_json()) is None
    assert difference(settings, settings_of(BUNDLE, [], 1).to_json()) == "seed is 0 there and 1 here"
    assert difference(settings | {"extra": 1}, settings) == "extra is 1 there and None here"
    assert difference([], settings) is not None
    mixed = settings_of(BUNDLE, ["recipe.mixup=0.2"], 0).to_json()
    assert difference(settings, mixed) == "recipe.mixup is 0.0 there and 0.2 here"


def test_a_relative_root_is_taken_from_where_the_user_stands(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """So the same command from another folder means other images, and what earlier code kept as typed still fits."""
    monkeypatch.chdir(tmp_path)
    settings = settings_of(BUNDLE, ["data=imagenet", "data.root=images"], 0)
    assert settings.data.root == str(tmp_path / "images")
    typed = settings.to_json() | {"data": settings.data.to_json() | {"root": "images"}}
    assert difference(typed, settings.to_json()) is None
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    elsewhere = settings_of(BUNDLE, ["data=imagenet", "data.root=images"], 0)
    assert difference(settings.to_json(), elsewhere.to_json()) is not None


GROUPED = dataclasses.replace(BUNDLE, recipe=dataclasses.replace(RECIPE, norm_batch=32))


def test_another_batch_alone_changes_the_learning_rate_in_proportion() -> None:
    assert (RECIPE.batch_size, RECIPE.learning_rate) == (256, 0.1)
    scaled = settings_of(BUNDLE, ["recipe.batch_size=64"], 0)
    assert scaled.recipe.learning_rate == pytest.approx(0.025) and scaled.unscaled == (256, 0.1)
    named = settings_of(BUNDLE, ["recipe.learning_rate=0.3", "recipe.batch_size=64"], 0)
    assert named.recipe.learning_rate == 0.3 and named.unscaled is None
    assert settings_of(GROUPED, ["recipe.batch_size=100"], 0).recipe.norm_batch == 25
    assert settings_of(GROUPED, ["recipe.norm_batch=256"], 0).norm_batch == 256


def test_a_training_that_was_begun_by_earlier_code_keeps_its_rules() -> None:
    wanted = settings_of(BUNDLE, ["recipe.batch_size=64"], 0)
    assert (wanted.norm_batch, wanted.recipe.norm_batch) == (64, 0)
    saved = wanted.to_json() | {"format": "full-training/1", "recipe": RECIPE.to_json() | {"batch_size": 64}}
    del saved["norm_batch"]
    assert difference(saved, wanted.to_json()) is not None
    begun = as_begun(wanted, saved)
    assert difference(saved, begun.to_json()) is None and begun.norm_batch == 64
    assert as_begun(wanted, wanted.to_json()) == wanted


def test_the_conduct_is_no_part_of_what_is_trained() -> None:
    plain, other = settings_of(BUNDLE, [], 0), settings_of(BUNDLE, ["recipe.micro_batch=8"], 0)
    assert (plain.conduct.micro_images, other.conduct.micro_images) == (None, 8)
    assert plain.to_json() == other.to_json() and other.recipe_source == "the bundle's"
    with pytest.raises(UserError, match=r"recipe.micro_batch is 'few': expected auto, or a whole number of at least 2"):
        settings_of(BUNDLE, ["recipe.micro_batch=few"], 0)
    compiled = settings_of(BUNDLE, ["recipe.compile=reduce-overhead"], 0)
    assert compiled.conduct.compile == "reduce-overhead" and compiled.to_json() == plain.to_json()
    with pytest.raises(UserError, match=r"unknown recipe.compile 'defualt': .*Did you mean 'default'"):
        settings_of(BUNDLE, ["recipe.compile=defualt"], 0)


def test_a_recipe_is_taken_by_its_name_and_any_of_its_fields_changed() -> None:
    found = settings_of(BUNDLE, ["recipe.epochs=7", "recipe=digits_adamw"], 0)
    assert found.recipe == dataclasses.replace(named_recipe("digits_adamw"), epochs=7)
    assert (found.data, found.recipe_source) == (DATA, "digits_adamw with changes")
    assert settings_of(BUNDLE, ["recipe=digits", "recipe=digits_muon"], 0).recipe == named_recipe("digits_muon")
    other = settings_of(BUNDLE, ["data=cifar10", "recipe=cifar10_short"], 0)
    assert (other.data.name, other.recipe, other.recipe_source) == (
        "cifar10", named_recipe("cifar10_short"), "cifar10_short",
    )  # fmt: skip
    with pytest.raises(UserError, match=r"unknown recipe 'digits_muo'.*Did you mean 'digits_muon'"):
        settings_of(BUNDLE, ["recipe=digits_muo"], 0)


def test_of_another_optimizer_the_learning_rate_has_to_be_given_and_follows_the_batch_by_its_root() -> None:
    with pytest.raises(UserError, match=r"recipe.optimizer is 'muon'.*expected a learning_rate, too"):
        settings_of(BUNDLE, ["recipe.optimizer=muon"], 0)
    found = settings_of(BUNDLE, ["recipe.optimizer=muon", "recipe.learning_rate=0.004"], 0).recipe
    assert (found.optimizer, found.learning_rate) == ("muon", 0.004)
    scaled = settings_of(BUNDLE, ["recipe=digits_muon", "recipe.batch_size=256"], 0)
    assert scaled.recipe.learning_rate == pytest.approx(2 * named_recipe("digits_muon").learning_rate)
    assert scaled.unscaled == (64, named_recipe("digits_muon").learning_rate)
