"""How many images of a detector a CPU takes at a time."""

import pytest

from trainers.batch_layout import layout_of
from trainers.detection.cpu_passes import PIXELS_OF_PASS, images_of_cpu_pass, memory_line


@pytest.mark.parametrize(
    ("batch_size", "train_images", "world_size", "image_size", "expected"),
    [
        (16, 5_000, 1, 640, 2),
        (16, 5_000, 4, 640, 2),
        (16, 5_000, 1, 4_096, 2),
        (16, 5_000, 1, 320, 8),
        (16, 5_000, 1, 64, 16),
        (18, 5_000, 1, 400, 3),
        # No smaller part of a batch of 13 is equal to the others.
        (13, 5_000, 1, 640, 13),
        # Of 13 images in all one is left out of each epoch.
        (16, 13, 1, 640, 2),
        (16, 12, 1, 640, 2),
    ],
)
def test_a_pass_has_few_pixels_and_is_a_part_of_the_batch(
    batch_size: int, train_images: int, world_size: int, image_size: int, expected: int
) -> None:
    found = images_of_cpu_pass(batch_size, train_images, world_size, image_size)
    assert found == expected
    layout = layout_of(batch_size, train_images, world_size, found, found)
    assert layout.micro_batch == found and layout.batch_size >= min(batch_size, train_images) - 1
    assert found * image_size**2 <= PIXELS_OF_PASS or found in (2, batch_size)


def test_many_images_at_a_time_are_said_to_take_much_memory() -> None:
    assert memory_line(8, 640) is None and memory_line(512, 64) is None
    line = memory_line(16, 640)
    assert line is not None and line.startswith("16 images of 640 px at a time") and "some 14 to 61 GB" in line
