"""The recipe: what it refuses, its schedule in closed form, and the paper's training."""

import dataclasses
import itertools
import json
import math
from typing import Any

import pytest

from search_spaces.errors import UserError
from tests.support.present import present
from trainers.data.config import DATA_DEFAULTS
from trainers.recipe import SCHEDULES, Recipe, check_optimizer
from trainers.recipe_files import FULL_TRAINING_RECIPES, full_training, named_recipe, recipe_names
from trainers.schedule import (
    ema_decay_at,
    learning_rate_at,
    nearest_norm_batch,
    open_norm_batch,
    scaled_learning_rate,
    train_image_size_at,
)

RECIPE = Recipe(10, 64, 0.4, 0.9, 1e-4, 0.1, 2.0, 0.99, "shift", "float32")


@pytest.mark.parametrize("recipe", [RECIPE, *map(named_recipe, recipe_names())])
def test_json_brings_the_recipe_back(recipe: Recipe) -> None:
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe


def test_every_data_set_has_a_full_training() -> None:
    assert tuple(FULL_TRAINING_RECIPES) == tuple(DATA_DEFAULTS)
    assert set(FULL_TRAINING_RECIPES.values()) <= set(recipe_names())


def test_imagenet_is_trained_as_in_the_paper() -> None:
    recipe = full_training("imagenet")
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (130, 4096, 1.6)
    assert (recipe.warmup_epochs, recipe.ema_decay, recipe.momentum) == (10, 0.9999, 0.9)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1),
        ("learning_rate", 0.0),
        ("learning_rate", math.nan),
        ("learning_rate", math.inf),
        ("momentum", 1.0),
        ("weight_decay", -1e-4),
        ("weight_decay", math.nan),
        ("label_smoothing", 1.0),
        ("warmup_epochs", -1.0),
        ("ema_decay", 1.0),
        ("ema_decay", math.nan),
        ("augment", "flip"),
        ("precision", "float16"),
        ("optimizer", "adam"),
        ("schedule", "step"),
        ("policy", "randaugment"),
        ("policy_magnitude", 31),
        ("random_erasing", 1.5),
        ("mixup", -0.1),
        ("cutmix", math.nan),
        ("repeats", 33),
        ("train_image_size", 7),
        ("first_image_size", 128),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=name) as caught:
        dataclasses.replace(RECIPE, **{name: value})
    assert str(value) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epoch": 3}, "unknown key of recipe 'epoch'. Did you mean 'epochs'"),
        ({"epochs": "3"}, "recipe.epochs is '3': expected a whole number"),
        ({"epochs": 3.0}, "recipe.epochs is 3.0: expected a whole number"),
        ({"epochs": True}, "recipe.epochs is True: expected a whole number"),
        ({"learning_rate": None}, "recipe.learning_rate is None: expected a number"),
        ({"augment": 1}, "recipe.augment is 1: expected a string"),
    ],
)
def test_reading_is_strict(change: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Recipe.from_json(RECIPE.to_json() | change)


def test_a_missing_key_is_named() -> None:
    data = RECIPE.to_json()
    del data["momentum"]
    with pytest.raises(UserError, match="recipe: missing momentum"):
        Recipe.from_json(data)
    with pytest.raises(UserError, match="recipe: expected an object"):
        Recipe.from_json([1])


def test_learning_rate_warms_up_linearly_and_falls_as_a_cosine() -> None:
    steps = [learning_rate_at(RECIPE, step, 5) for step in range(50)]
    assert steps[:10] == pytest.approx([0.4 * (step + 1) / 10 for step in range(10)])
    # The cosine at its start, a quarter, half and three quarters of the 40 steps that are left.
    half = math.sqrt(0.5)
    assert [steps[step] for step in (10, 20, 30, 40)] == pytest.approx([0.4, 0.2 * (1 + half), 0.2, 0.2 * (1 - half)])
    assert steps[10:] == sorted(steps[10:], reverse=True)
    assert 0 < steps[-1] < 0.001


def test_learning_rate_may_fall_linearly() -> None:
    steps = [learning_rate_at(dataclasses.replace(RECIPE, schedule="linear"), step, 5) for step in range(50)]
    assert steps[:10] == [learning_rate_at(RECIPE, step, 5) for step in range(10)]
    assert steps[10:] == pytest.approx([0.4 * (40 - step) / 40 for step in range(40)])


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps_per_epoch", [1, 3, 50])
def test_learning_rate_never_jumps(schedule: str, steps_per_epoch: int) -> None:
    """Not at the end of an epoch, nor at that of the warm-up: it goes a step at a time."""
    recipe = dataclasses.replace(RECIPE, schedule=schedule, warmup_epochs=2.5)
    steps = [learning_rate_at(recipe, step, steps_per_epoch) for step in range(10 * steps_per_epoch)]
    most = max(recipe.learning_rate / round(2.5 * steps_per_epoch), 0.5 * math.pi * 0.4 / (7 * steps_per_epoch))
    assert max(abs(after - before) for before, after in itertools.pairwise([0.0, *steps])) <= most + 1e-12


def test_images_grow_evenly_in_whole_strides_and_end_at_their_full_size() -> None:
    recipe = dataclasses.replace(RECIPE, epochs=41, train_image_size=224, first_image_size=128)
    sizes = [present(train_image_size_at(recipe, epoch)) for epoch in range(1, 42)]
    assert sizes[0] == 128 and sizes[30:] == [224] * 11 and sizes == sorted(sizes)
    assert {size % 32 for size in sizes} == {0} and set(sizes) == {128, 160, 192, 224}
    assert train_image_size_at(dataclasses.replace(recipe, epochs=1), 1) == 224
    assert train_image_size_at(dataclasses.replace(recipe, first_image_size=0), 1) == 224
    assert train_image_size_at(RECIPE, 1) is None


@pytest.mark.parametrize("warmup_epochs", [0.0, 0.5, 10.0, 30.0])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_step_has_a_positive_learning_rate(schedule: str, warmup_epochs: float) -> None:
    recipe = dataclasses.replace(RECIPE, schedule=schedule, warmup_epochs=warmup_epochs)
    assert all(0 < learning_rate_at(recipe, step, 3) <= 0.4 for step in range(30))


def test_average_forgets_where_it_began_and_ends_at_its_decay() -> None:
    decays = [ema_decay_at(RECIPE, updates) for updates in range(2000)]
    assert decays[0] == pytest.approx(0.1) and decays[-1] == 0.99
    assert decays == sorted(decays)
    # After 100 updates the first weights count for less than a millionth.
    assert math.prod(decays[:100]) < 1e-6
    assert ema_decay_at(dataclasses.replace(RECIPE, ema_decay=0.0), 5) == 0.0


def test_what_was_added_in_time_is_left_out_of_json_where_it_changes_nothing() -> None:
    """So that what is written is what earlier code wrote, and what that wrote is read."""
    assert list(RECIPE.to_json()) == [
        "epochs", "batch_size", "learning_rate", "momentum", "weight_decay", "label_smoothing", "warmup_epochs",
        "ema_decay", "augment", "precision",
    ]  # fmt: skip
    changed = dataclasses.replace(RECIPE, optimizer="muon", mixup=0.2)
    assert changed.to_json() == RECIPE.to_json() | {"optimizer": "muon", "mixup": 0.2}
    assert Recipe.from_json(changed.to_json()) == changed


def test_another_optimizer_needs_a_learning_rate_of_its_own() -> None:
    before = dataclasses.asdict(RECIPE)
    with pytest.raises(UserError, match=r"optimizer is 'adamw', and the learning rate of 0.4 is for sgd"):
        check_optimizer(before, before | {"optimizer": "adamw"}, rate_given=False)
    check_optimizer(before, before | {"optimizer": "adamw"}, rate_given=True)
    check_optimizer(before, before | {"epochs": 3}, rate_given=False)


def test_groups_of_batch_norm_are_left_out_of_json_where_there_are_none() -> None:
    assert "norm_batch" not in RECIPE.to_json() and Recipe.from_json(RECIPE.to_json()).norm_batch == 0
    with pytest.raises(UserError, match=r"recipe\.norm_batch is 24: expected 0, or at least 2 that divide the batch"):
        dataclasses.replace(RECIPE, norm_batch=24)


def test_another_batch_has_a_learning_rate_in_proportion() -> None:
    """The paper's 1.6 at 4096 is the 0.1 at 256 that ResNets were always trained with."""
    paper = full_training("imagenet")
    assert scaled_learning_rate(paper, 256) == pytest.approx(0.1)
    for optimizer in ("adamw", "muon"):
        assert scaled_learning_rate(dataclasses.replace(paper, optimizer=optimizer), 1024) == pytest.approx(0.8)


@pytest.mark.parametrize(("batch_size", "found"), [(64, 16), (100, 20), (24, 12), (8, 8), (101, 101), (48, 16)])
def test_groups_of_batch_norm_divide_any_batch(batch_size: int, found: int) -> None:
    assert nearest_norm_batch(16, batch_size) == found


def test_open_groups_of_batch_norm_follow_the_batch_alone() -> None:
    sizes = (4096, 256, 128, 64, 32, 8, 2)
    assert [open_norm_batch(size, 224) for size in sizes] == [32, 32, 32, 16, 16, 8, 2]
    assert [open_norm_batch(size, 64) for size in sizes] == list(sizes)
