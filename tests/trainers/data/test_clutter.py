"""Digits in clutter: what a composition is, and that no split holds anything of another's digits."""

import hashlib

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from tests.support.images import all_of
from trainers.data.augmentation import Augmentation
from trainers.data.clutter import DRAWS, FRAGMENT_SIDE, FRAGMENTS, compose
from trainers.data.cluttered_images import ClutteredImages
from trainers.data.config import DATA_DEFAULTS, DataConfig, DataSummary
from trainers.data.datasets import check_data, load_test, load_train_validation
from trainers.data.memory_sets import cluttered_splits

CLUTTERED = DATA_DEFAULTS["cluttered_digits"]
Pixels = NDArray[np.uint8]


def composed_pixel_by_pixel(sources: list[Pixels], own: int, draws: list[float], side: int) -> Pixels:
    """One composition, as slowly as it can be written down."""
    canvas = np.zeros((side, side), dtype=np.uint8)
    numbers = iter(draws)

    def below(limit: int) -> int:
        return int(next(numbers) * limit)

    def put(patch: Pixels, top: int, left: int) -> None:
        for row in range(len(patch)):
            for column in range(len(patch[0])):
                place = top + row, left + column
                canvas[place] = patch[row][column]

    height, width = sources[own].shape
    digit_place = below(side - height + 1), below(side - width + 1)
    for _ in range(FRAGMENTS):
        other = [*range(own + 1, len(sources)), *range(own)][below(len(sources) - 1)]
        row, column = below(height - FRAGMENT_SIDE + 1), below(width - FRAGMENT_SIDE + 1)
        fragment = sources[other][row : row + FRAGMENT_SIDE, column : column + FRAGMENT_SIDE]
        put(fragment, below(side - FRAGMENT_SIDE + 1), below(side - FRAGMENT_SIDE + 1))
    put(sources[own], *digit_place)
    return canvas


@pytest.mark.parametrize(("side", "height", "width"), [(16, 8, 8), (11, 8, 6), (8, 8, 8)])
def test_a_composition_equals_one_made_pixel_by_pixel(side: int, height: int, width: int) -> None:
    generator = np.random.default_rng(side)
    sources = generator.integers(0, 256, (7, height, width), dtype=np.uint8)
    own, draws = generator.integers(0, 7, 40), generator.random((40, DRAWS))
    # The ends of what a draw can be.
    draws[0], draws[1] = 0.0, np.nextafter(1.0, 0.0)
    expected = [composed_pixel_by_pixel(list(sources), own[i], draws[i].tolist(), side) for i in range(40)]
    assert np.array_equal(compose(sources, own, draws, side), np.stack(expected))


@pytest.mark.parametrize("split_seed", [0, 1, 7])
def test_no_split_shows_a_pixel_of_another_splits_digits(split_seed: int) -> None:
    """Each source is one flat shade of its own, so that the shades of an image name the sources it is made of."""
    generator = np.random.default_rng(split_seed)
    labels = generator.permutation(np.repeat(np.arange(10), 25))
    shades = generator.permutation(np.arange(1, 251))
    sources = np.broadcast_to((shades * (16 / 255))[:, None, None], (250, 8, 8))
    label_of = dict(zip(shades.tolist(), labels.tolist(), strict=True))
    seen = []
    for split in cluttered_splits(sources, labels, 16, 0.25, split_seed):
        composed = [split.composed(epoch) for epoch in (0, 1, 2)]
        images = torch.cat([images.images_ICHW[:, 0] for images in composed]).numpy()
        seen.append(set(np.unique(images).tolist()) - {0})
        for image, label in zip(images, torch.cat([images.labels_I for images in composed]).tolist(), strict=True):
            found, counts = np.unique(image[image > 0], return_counts=True)
            assert len(found) <= 1 + FRAGMENTS
            # The digit shows all its 64 pixels, the fragments together 48 at most.
            digit = found[counts >= 64].tolist()
            assert len(digit) == 1 and label_of[digit[0]] == label
    assert sum(map(len, seen)) == len(set.union(*seen)) == 250


def test_real_digits_stand_whole_in_the_images_of_their_split() -> None:
    assert check_data(CLUTTERED) == DataSummary("cluttered_digits", 10, 1, 16, 3 * 1079, 4 * 359, 4 * 359)
    digits = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    of_class = {label: digits[load_digits().target == label] for label in range(10)}
    found: list[set[int]] = []
    for split in splits(0):
        composed = split.composed(0)
        counts = torch.bincount(composed.labels_I, minlength=10) / len(split)
        assert torch.allclose(counts, torch.full((10,), 0.1), atol=0.02)
        sources = set()
        for image, label in zip(composed.images_ICHW[:20, 0].numpy(), composed.labels_I.tolist(), strict=False):
            windows = np.lib.stride_tricks.sliding_window_view(image, (8, 8))[:, :, None]
            [source] = set(np.nonzero((windows == of_class[label]).all((-1, -2)))[2].tolist())
            sources.add(10_000 * label + source)
        found.append(sources)
    assert sum(map(len, found)) == len(set.union(*found)) == 60


def test_the_images_follow_from_split_seed_and_epoch_alone() -> None:
    def digests(split_seed: int, epoch: int) -> list[str]:
        pixels = [split.composed(epoch).images_ICHW.numpy() for split in splits(split_seed)]
        return [hashlib.sha256(image.tobytes()).hexdigest()[:8] for image in pixels]

    first, other, next_epoch = digests(0, 0), digests(1, 0), digests(0, 1)
    assert first == ["3cc415ca", "443f86c8", "405489e4"]
    assert first[0] != other[0] and first[1] != other[1] and first[2] == other[2]
    assert first[0] != next_epoch[0]


def test_a_training_sees_other_images_each_epoch_and_an_evaluation_the_same() -> None:
    train, validation = load_train_validation(CLUTTERED)
    epochs = [all_of(train, Augmentation("none", 5, epoch))[0] for epoch in (1, 2, 1)]
    assert torch.equal(epochs[0], epochs[2]) and not torch.equal(epochs[0], epochs[1])
    assert torch.equal(epochs[0], all_of(train, Augmentation("none", 6, 1))[0])
    assert torch.equal(all_of(validation)[0], all_of(validation)[0])


def test_normalised_images_have_mean_0_and_std_1() -> None:
    images, _ = all_of(load_train_validation(CLUTTERED)[0])
    assert images.shape == (3 * 1079, 1, 16, 16) and images.dtype == torch.float32
    assert abs(images.mean()) < 0.02 and abs(images.std() - 1) < 0.02


def test_another_size_is_the_same_images_resized() -> None:
    images, labels = all_of(load_test(DataConfig("cluttered_digits", None, 32, 0.25)))
    same, same_labels = all_of(load_test(CLUTTERED))
    assert images.shape == (4 * 359, 1, 32, 32) and torch.equal(labels, same_labels)
    smoothed = torch.nn.functional.avg_pool2d(images, 2)
    assert torch.corrcoef(torch.stack([smoothed.flatten(), same.flatten()]))[0, 1] > 0.95


def splits(split_seed: int) -> list[ClutteredImages]:
    config = DataConfig("cluttered_digits", None, 16, 0.25, split_seed)
    found: list[ClutteredImages] = []
    for split in (*load_train_validation(config), load_test(config)):
        assert isinstance(split, ClutteredImages)
        found.append(split)
    return found
