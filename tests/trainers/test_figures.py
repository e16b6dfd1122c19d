"""The pictures of a full training, by their pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from trainers.epoch_result import EpochResult
from trainers.figures import confusion_png, curves_png


def opened(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


@pytest.mark.parametrize("count", [3, 60, 1000])
def test_a_class_that_is_always_taken_for_another_is_seen_among_any_number(count: int) -> None:
    confusion = np.diag([50] * count)
    other = confusion.copy()
    other[1, 1], other[1, count - 1] = 0, 50
    names = [f"class $ {index}" for index in range(count)]
    differing = np.abs(opened(confusion_png(confusion, names, "t")) - opened(confusion_png(other, names, "t"))).sum(2)
    # Of a dot of at least three pixels a side, above the diagonal at the right.
    rows, columns = np.nonzero(differing > 200)
    assert len(rows) >= 9
    right = columns > 0.6 * differing.shape[1]
    assert right.sum() >= 9 and rows[right].max() < 0.6 * differing.shape[0]


def test_curves_of_one_epoch_are_drawn_too() -> None:
    picture = opened(curves_png([EpochResult(1, 2.0, 2.1, 0.3, 0.1, 1.0)], "one"))
    assert picture.shape[1] > 1000 and (picture != 255).any(2).sum() > 3000
