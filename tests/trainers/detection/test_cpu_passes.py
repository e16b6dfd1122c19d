"""How many images of a detector a CPU takes at a time, and what memory they take."""

import dataclasses

import pytest

from search_spaces.paper_models import ARCHITECTURES
from trainers.batch_layout import layout_of
from trainers.detection.cpu_passes import PIXELS_OF_PASS, bytes_of_pass, images_of_cpu_pass, memory_line
from trainers.detection.design import DetectorDesign

DESIGN = DetectorDesign(
    ARCHITECTURES["resnet26"], "retinanet", "convolution", "convolution", 224, (0.5,) * 3, (0.25,) * 3, True, 640,
    ("a", "b"), (3, 17),
)  # fmt: skip


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
    design = dataclasses.replace(DESIGN, image_size=image_size)
    found = images_of_cpu_pass(design, batch_size, train_images, world_size)
    assert found == expected
    layout = layout_of(batch_size, train_images, world_size, found, found)
    assert layout.micro_batch == found and layout.batch_size >= min(batch_size, train_images) - 1
    assert found * image_size**2 <= PIXELS_OF_PASS or found in (2, batch_size)


def test_a_stem_for_small_images_leaves_more_of_large_ones() -> None:
    for_small = dataclasses.replace(DESIGN, stem_image_size=16, image_size=160)
    assert images_of_cpu_pass(for_small, 16, 5_000, 1) == 2
    assert bytes_of_pass(for_small, 2) == 16 * bytes_of_pass(dataclasses.replace(DESIGN, image_size=160), 2)


@pytest.mark.parametrize(
    ("name", "stem_image_size", "images", "measured_gigabytes"),
    # At 640 pixels; without what a process takes before its first image, some 0.8 GB.
    [
        ("resnet26", 224, 2, 1.0),
        ("resnet50", 224, 4, 3.9),
        ("resnet50-attention", 224, 2, 7.7),
        ("resnet26", 16, 2, 11.2),
    ],
)
def test_the_memory_that_is_told_is_near_what_was_measured(
    name: str, stem_image_size: int, images: int, measured_gigabytes: float
) -> None:
    design = dataclasses.replace(DESIGN, architecture=ARCHITECTURES[name], stem_image_size=stem_image_size)
    assert 0.6 < bytes_of_pass(design, images) / 1e9 / measured_gigabytes < 1.6


def test_what_takes_more_than_half_of_the_free_memory_is_said() -> None:
    assert memory_line(DESIGN, 2, 4 * 10**9) is None
    line = memory_line(DESIGN, 16, 8 * 10**9)
    assert (
        line
        == "16 images of 640 px at a time take some 9 GB of memory, and 8 are free: data.image_size=320 takes a quarter"
    )
    for_small = dataclasses.replace(DESIGN, stem_image_size=16, frozen_norms=False)
    line = memory_line(for_small, 16, 8 * 10**9)
    assert line is not None and "as this network's stem, made for images of 16 px, hardly reduces them" in line
    assert "recipe.norm_batch=2 takes two at a time" in line
