import numpy as np
import pytest
import torch
from torch.nn import functional as F

from tests.support.images import all_of
from trainers.data.augmentation import Augmentation, augment_batch, crop_box
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import load_train_validation
from trainers.data.random_draws import uniform_draws
from trainers.recipe import AUGMENTS

DIGITS = DATA_DEFAULTS["digits"]


@pytest.mark.parametrize("augment", AUGMENTS)
def test_augmentation_depends_on_seed_epoch_and_index_alone(augment: str) -> None:
    train = load_train_validation(DIGITS)[0]
    whole, _ = all_of(train, Augmentation(augment, 3, 2), batch=500)
    in_fives, _ = all_of(train, Augmentation(augment, 3, 2), batch=5)
    assert torch.equal(whole, in_fives)
    for other in (Augmentation(augment, 4, 2), Augmentation(augment, 3, 3)):
        assert torch.equal(whole, all_of(train, other)[0]) == (augment == "none")


def test_shift_and_flip_crop_are_translations_of_the_image() -> None:
    image = torch.arange(1, 2 * 16 * 16 + 1).reshape(1, 2, 16, 16)
    draws = uniform_draws(0, 1, np.arange(400), 5)
    for augment, flips in (("shift", (False,)), ("flip_crop", (False, True))):
        seen = set()
        for result in augment_batch(image.expand(400, -1, -1, -1), augment, draws):
            for flip in flips:
                source = image[0].flip(-1) if flip else image[0]
                for down in range(-2, 3):
                    for right in range(-2, 3):
                        shifted = torch.zeros_like(source)
                        rows, columns = slice(max(down, 0), 16 + min(down, 0)), slice(max(right, 0), 16 + min(right, 0))
                        from_rows = slice(max(-down, 0), 16 + min(-down, 0))
                        from_columns = slice(max(-right, 0), 16 + min(-right, 0))
                        shifted[:, rows, columns] = source[:, from_rows, from_columns]
                        if torch.equal(shifted, result):
                            seen.add((flip, down, right))
        assert len(seen) == 25 * len(flips)


def test_resized_crop_of_a_box_is_that_box_resized() -> None:
    # Draws that give the left upper quarter of the image: half of its height and width, not mirrored.
    area_draw = (0.25 - 0.08) / 0.92
    draws = np.array([[area_draw, 0.5, 0.0, 0.0, 0.9], [area_draw, 0.5, 1.0, 1.0, 0.1]])
    assert crop_box(32, 32, draws) == pytest.approx(np.array([[0, 0, 16, 16], [16, 16, 16, 16]]))
    image = F.avg_pool2d(torch.rand(1, 3, 40, 40), 9, 1)
    upper, lower = augment_batch(image.expand(2, -1, -1, -1), "resized_crop", draws)
    for found, box in ((upper, image[:, :, :16, :16]), (lower, image[:, :, 16:, 16:].flip(-1))):
        expected = F.interpolate(box, (32, 32), mode="bilinear", align_corners=False)[0]
        # Inside; at the box's own edge its neighbours in the image take part.
        torch.testing.assert_close(found[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2])


def test_crop_boxes_lie_inside_with_the_stated_areas() -> None:
    boxes = crop_box(100, 200, uniform_draws(0, 1, np.arange(5000), 5))
    top, left, height, width = boxes.T
    assert top.min() >= 0 and left.min() >= 0
    assert (top + height).max() <= 100 + 1e-9 and (left + width).max() <= 200 + 1e-9
    assert 0.08 <= (height * width / 20_000).min() < 0.1 and (height * width / 20_000).max() <= 1
    assert (height / width)[height < 99].min() >= 9 / 16 - 1e-9
