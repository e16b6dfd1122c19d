"""What a full training says of a set that is smaller than a batch."""

import dataclasses

import pytest

from tests.support.tiny_training import RECIPE
from trainers.batch_layout import layout_of
from trainers.full.readout import small_set_lines


@pytest.mark.parametrize(("images", "lines"), [(256, 0), (1000, 0), (255, 1)])
def test_fewer_images_than_a_batch_are_said_as_the_learning_rate_is_not_theirs(images: int, lines: int) -> None:
    recipe = dataclasses.replace(RECIPE, batch_size=256)
    said = small_set_lines(recipe, layout_of(256, images))
    assert (
        said
        == ["a batch of 256 is more than there is to train on: one step an epoch, at the learning rate of 256"] * lines
    )
