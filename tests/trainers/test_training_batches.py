"""All that a recipe does to images is the same on any layout, and from any step on."""

import dataclasses
import itertools
from pathlib import Path

import pytest
import torch

from tests.support.images import CPU, folder_config, make_images
from trainers.batch_layout import BatchLayout
from trainers.data.config import DATA_DEFAULTS, DataConfig
from trainers.data.datasets import load_train_validation
from trainers.data.images import Images
from trainers.recipe import Recipe
from trainers.recipe_files import full_training
from trainers.sample_order import share_of
from trainers.targets import BatchTargets, Targets
from trainers.training_batches import TrainingBatches, mixes

EVERYTHING = dataclasses.replace(
    full_training("digits"), batch_size=12, augment="resized_crop", policy="trivial_augment", random_erasing=0.5,
    mixup=0.8, cutmix=1.0, repeats=3, train_image_size=24, first_image_size=8,
)  # fmt: skip


def batches(data: Images, recipe: Recipe, layout: BatchLayout, rank: int) -> TrainingBatches:
    share = share_of(layout, rank, mixes=mixes(recipe))
    return TrainingBatches(data, recipe, 5, layout.batch_size, share, CPU)


def steps(
    data: Images, layout: BatchLayout, rank: int, first_step: int = 0, count: int = 3
) -> list[tuple[torch.Tensor, Targets]]:
    found = itertools.islice(batches(data, EVERYTHING, layout, rank).epoch(40, first_step), count)
    return [(images, of_classes(targets)) for images, targets in found]


def of_classes(targets: BatchTargets) -> Targets:
    assert isinstance(targets, Targets)
    return targets


@pytest.fixture(scope="module", params=["digits", "cluttered_digits", "image_folder"])
def data(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Images:
    config: DataConfig = DATA_DEFAULTS["digits"]
    if request.param == "image_folder":
        config = folder_config(make_images(tmp_path_factory.mktemp("images"), count=30))
    elif request.param == "cluttered_digits":
        config = DATA_DEFAULTS["cluttered_digits"]
    return load_train_validation(config)[0]


WHOLE = BatchLayout(12, 1, 1, 12)


def placed(data: Images, layout: BatchLayout, count: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The images and the shares of the first steps' whole batches, put together from all processes."""
    of_ranks = [steps(data, layout, rank, count=count) for rank in range(layout.world_size)]
    places = [share_of(layout, rank, mixes=False).place_L for rank in range(layout.world_size)]
    order = torch.cat(places).argsort()
    found = []
    for parts in zip(*of_ranks, strict=True):
        shares = [targets.share_B for _, targets in parts if targets.share_B is not None]
        found.append((torch.cat([images for images, _ in parts])[order], torch.cat(shares)[order]))
    return found


@pytest.mark.parametrize("layout", [BatchLayout(12, 4, 1, 3), BatchLayout(12, 2, 2, 3)])
def test_any_number_of_processes_and_passes_sees_the_same_to_the_bit(data: Images, layout: BatchLayout) -> None:
    for (images, shares), (theirs, their_shares) in zip(placed(data, layout, 2), placed(data, WHOLE, 2), strict=True):
        assert torch.equal(images, theirs) and torch.equal(shares, their_shares)
        assert images.shape[-1] == 24 and images.is_contiguous(memory_format=torch.channels_last)
        assert (shares < 1).any()


def test_an_epoch_goes_on_in_its_middle_as_if_it_had_not_been_left(data: Images) -> None:
    whole, rest = steps(data, WHOLE, 0), steps(data, WHOLE, 0, first_step=1, count=2)
    assert len(list(batches(data, EVERYTHING, WHOLE, 0).epoch(40, len(data) // 12 - 1))) == 1
    for (images, targets), (others, other_targets) in zip(whole[1:], rest, strict=True):
        assert torch.equal(images, others) and torch.equal(targets.label_B, other_targets.label_B)
        for one, other in ((targets.other_B, other_targets.other_B), (targets.share_B, other_targets.share_B)):
            assert one is not None and other is not None and torch.equal(one, other)


def test_an_image_stands_in_a_batch_as_often_as_is_asked_each_time_otherwise() -> None:
    digits = load_train_validation(DATA_DEFAULTS["digits"])[0]
    recipe = dataclasses.replace(full_training("digits"), batch_size=12, repeats=3)
    images, targets = next(batches(digits, recipe, WHOLE, 0).epoch(1, 0))
    label_B = of_classes(targets).label_B
    assert torch.equal(label_B[:4], label_B[4:8])
    assert not torch.equal(images[:4], images[4:8]) and not torch.equal(images[4:8], images[8:])
    once, _ = next(batches(digits, dataclasses.replace(recipe, repeats=1), WHOLE, 0).epoch(1, 0))
    assert torch.equal(images[:4], once[:4])


def test_images_grow_from_their_first_size_to_their_last(data: Images) -> None:
    sizes = [next(batches(data, EVERYTHING, WHOLE, 0).epoch(epoch, 0))[0].shape[-1] for epoch in (1, 12, 20, 31, 40)]
    assert sizes == [8, 16, 16, 24, 24]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_images(tmp_path_factory.mktemp("loaders"), count=30)


def test_loader_processes_see_the_same(folder: Path) -> None:
    here, there = (load_train_validation(folder_config(folder, loader_workers=workers))[0] for workers in (0, 2))
    for (images, targets), (others, their_targets) in zip(steps(here, WHOLE, 0), steps(there, WHOLE, 0), strict=True):
        assert torch.equal(images, others) and torch.equal(targets.label_B, their_targets.label_B)
