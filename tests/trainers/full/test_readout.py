"""What a full training says of a recipe that cannot be followed as it is written."""

import dataclasses

import pytest

from tests.support.tiny_training import RECIPE
from trainers.batch_layout import layout_of
from trainers.full.readout import doubtful_lines


@pytest.mark.parametrize(("images", "lines"), [(256, 0), (1000, 0), (255, 1)])
def test_fewer_images_than_a_batch_are_said_as_the_learning_rate_is_not_theirs(images: int, lines: int) -> None:
    recipe = dataclasses.replace(RECIPE, batch_size=256)
    said = doubtful_lines(recipe, layout_of(256, images))
    line = "a batch of 256 is more than there is to train on: one step an epoch, of 255 images, at the learning rate of"
    assert said == [f"{line} 256"] * lines


@pytest.mark.parametrize(("epochs", "warmup", "reached"), [(3, 5.0, "0.03"), (1, 4.0, "0.0125"), (5, 5.0, None)])
def test_a_warm_up_that_is_not_over_at_the_end_is_said(epochs: int, warmup: float, reached: str | None) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=epochs, warmup_epochs=warmup, learning_rate=0.05)
    said = doubtful_lines(recipe, layout_of(recipe.batch_size, 10_000))
    assert len(said) == (reached is not None)
    assert all(f"a warm-up of {warmup:g} epochs is not over after {epochs}: " in line for line in said)
    assert all(f"gets no higher than {reached}, and" in line for line in said)
