"""Training: exact continuation, dependence on the seed alone, and how batches are drawn."""

import dataclasses
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from search_spaces.architecture import Architecture, Convolution
from search_spaces.errors import UserError
from tests.support.images import folder_config, make_images
from trainers.data.augmentation import Augmentation
from trainers.data.config import DATA_DEFAULTS
from trainers.data.datasets import check_data, load_train_validation
from trainers.data.images import MemoryImages
from trainers.epoch_result import EpochResult
from trainers.loop import Diverged, Training
from trainers.model import seeded_model
from trainers.recipe import Recipe
from trainers.recipe_files import full_training

Splits = tuple[MemoryImages, MemoryImages]

TINY = Architecture("convolution", 8, ((Convolution(),),) * 4)
SUMMARY = check_data(DATA_DEFAULTS["digits"])
RECIPE = dataclasses.replace(full_training("digits"), epochs=4, warmup_epochs=1.0)


@pytest.fixture(scope="module")
def splits() -> Splits:
    train, validation = load_train_validation(DATA_DEFAULTS["digits"])
    assert isinstance(train, MemoryImages) and isinstance(validation, MemoryImages)
    return train, validation


def first_images(images: MemoryImages, count: int) -> MemoryImages:
    return MemoryImages(
        images.images_ICHW[:count], images.labels_I[:count], image_size=16, mean=images.mean, std=images.std
    )


def training(splits: Splits, recipe: Recipe = RECIPE, seed: int = 0) -> Training:
    small = first_images(splits[0], 200), first_images(splits[1], 60)
    return Training(seeded_model(TINY, SUMMARY, seed), *small, recipe, seed=seed, device="cpu")


def without_time(result: EpochResult) -> EpochResult:
    return dataclasses.replace(result, epoch_seconds=0.0)


EVERYTHING = {
    "policy": "rand_augment", "random_erasing": 0.3, "mixup": 0.2, "cutmix": 1.0, "repeats": 2,
    "train_image_size": 16, "first_image_size": 8,
}  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    [
        {"ema_decay": 0.0, "augment": "resized_crop"},
        {"ema_decay": 0.99, "augment": "shift"},
        {"optimizer": "adamw", "learning_rate": 0.01, **EVERYTHING},
        {"optimizer": "muon", "learning_rate": 0.01, "schedule": "linear", **EVERYTHING},
    ],
)
def test_two_epochs_saved_and_two_more_are_four_epochs_bit_for_bit(
    splits: Splits, tmp_path: Path, changes: dict[str, Any]
) -> None:
    recipe = dataclasses.replace(RECIPE, **changes)
    whole = training(splits, recipe)
    expected = [without_time(result) for result in whole.epochs()]
    first = training(splits, recipe)
    results = first.epochs()
    found = [without_time(next(results)), without_time(next(results))]
    torch.save(first.state_dict(), tmp_path / "state.pt")
    torch.rand(3)  # The global random state is no part of a training.
    second = training(splits, recipe)
    second.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    found += [without_time(result) for result in second.epochs()]
    assert found == expected
    assert [result.epoch for result in found] == [1, 2, 3, 4]
    of_whole, of_second = whole.state_dict(), second.state_dict()
    for name in ("model", "averaged"):
        if of_whole[name] is not None:
            for key, value in of_whole[name].items():
                assert torch.equal(value, of_second[name][key]), key
    assert whole.evaluated_model.state_dict().keys() == second.evaluated_model.state_dict().keys()


def test_a_saved_state_is_not_changed_by_later_steps(splits: Splits) -> None:
    first = training(splits)
    results = first.epochs()
    next(results)
    state = first.state_dict()
    weights = {key: value.clone() for key, value in state["model"].items()}
    momentum = {key: value["momentum_buffer"].clone() for key, value in state["optimizer"]["state"].items()}
    next(results)
    second = training(splits)
    second.load_state_dict(state)
    next(second.epochs())
    assert all(torch.equal(value, state["model"][key]) for key, value in weights.items())
    for key, value in momentum.items():
        assert torch.equal(value, state["optimizer"]["state"][key]["momentum_buffer"])


def test_a_state_of_another_training_is_refused_by_name(splits: Splits) -> None:
    state = training(splits).state_dict()
    with pytest.raises(UserError, match="seed 0, this one 1"):
        training(splits, seed=1).load_state_dict(state)
    with pytest.raises(UserError, match="recipe"):
        training(splits, dataclasses.replace(RECIPE, epochs=5)).load_state_dict(state)


def test_seed_alone_decides_and_the_global_random_state_is_left_alone(splits: Splits) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1, warmup_epochs=0.0)
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    one = training(splits, recipe)
    (first,) = one.epochs()
    assert torch.equal(before, torch.random.get_rng_state())
    torch.manual_seed(2)
    (second,) = training(splits, recipe).epochs()
    (other,) = training(splits, recipe, seed=1).epochs()
    assert without_time(first) == without_time(second)
    assert first.train_loss != other.train_loss


def test_a_network_learns_digits(splits: Splits) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=8, augment="none", ema_decay=0.9)
    run = Training(seeded_model(TINY, SUMMARY, 0), *splits, recipe, seed=0, device="cpu")
    results = list(run.epochs())
    assert results[-1].val_accuracy > 0.9
    assert results[-1].train_loss < results[0].train_loss
    assert (results[-1].val_loss, results[-1].val_accuracy) == run.evaluate(splits[1])


def test_bfloat16_trains_close_to_float32_and_not_equal(splits: Splits) -> None:
    recipe = dataclasses.replace(RECIPE, epochs=1)
    (exact,) = training(splits, recipe).epochs()
    (rounded,) = training(splits, dataclasses.replace(recipe, precision="bfloat16")).epochs()
    assert exact.train_loss != rounded.train_loss
    assert rounded.train_loss == pytest.approx(exact.train_loss, rel=0.05)


def test_a_loss_that_is_not_finite_ends_the_epoch(splits: Splits) -> None:
    run = training(splits, dataclasses.replace(RECIPE, learning_rate=1e30, warmup_epochs=0.0))
    with pytest.raises(Diverged) as caught:
        list(run.epochs())
    assert caught.value.epoch == 1 == run.epoch + 1
    assert str(caught.value) == "the loss is not finite in epoch 1"


class Told:
    """Images that note in a list when batches of them are asked for, and when the first is handed out."""

    def __init__(self, images: MemoryImages, name: str, told: list[str]) -> None:
        self.images, self.name, self.told = images, name, told

    def __len__(self) -> int:
        return len(self.images)

    def batches(
        self, indices: Iterable[Tensor], device: torch.device, augmentation: Augmentation | None = None
    ) -> Iterator[tuple[Tensor, Any]]:
        name = self.name if augmentation is None else f"{self.name} {augmentation.epoch}"
        self.told.append(f"{name} asked")
        return self._handed_out(self.images.batches(indices, device, augmentation), f"{name} begins")

    def _handed_out(self, batches: Iterator[tuple[Tensor, Any]], note: str) -> Iterator[tuple[Tensor, Any]]:
        for number, batch in enumerate(batches):
            self.told += [note] if number == 0 else []
            yield batch


def test_the_first_images_of_an_evaluation_and_of_the_next_epoch_are_asked_for_before_they_are_needed(
    splits: Splits,
) -> None:
    told: list[str] = []
    train, validation = Told(first_images(splits[0], 80), "train", told), Told(first_images(splits[1], 8), "val", told)
    recipe = dataclasses.replace(RECIPE, epochs=2, batch_size=4, norm_batch=0)
    model = seeded_model(TINY, SUMMARY, 0)
    for _ in Training(model, train, validation, recipe, seed=0, device="cpu").epochs():
        told.append("result")
    assert told == [
        "train 1 asked", "val asked", "train 1 begins", "train 2 asked", "val begins", "result",
        "train 2 begins", "val asked", "val begins", "result",
    ]  # fmt: skip


def test_loader_processes_change_nothing_of_a_training_nor_of_one_that_goes_on_within_an_epoch(tmp_path: Path) -> None:
    root = make_images(tmp_path / "images", count=16)
    recipe = dataclasses.replace(
        RECIPE, epochs=3, batch_size=4, norm_batch=0, train_image_size=16, first_image_size=8, augment="resized_crop"
    )

    def begun(workers: int) -> Training:
        data = folder_config(root, loader_workers=workers)
        summary = check_data(data)
        return Training(
            seeded_model(TINY, summary, 0), *load_train_validation(data, keeps_in_memory=True), recipe,
            seed=0, device="cpu",
        )  # fmt: skip

    whole, by_processes = begun(0), begun(1)
    results = [without_time(result) for result in whole.epochs()]
    assert [without_time(result) for result in by_processes.epochs()] == results
    cut_off = begun(1)

    def within_the_second_epoch() -> None:
        if (cut_off.epoch, cut_off.step) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        list(cut_off.epochs(within_the_second_epoch))
    state = cut_off.state_dict() | cut_off.position()
    # As a worker of a search has it: the same images, of which an epoch was left in the middle.
    cut_off.load_state_dict(state)
    assert [without_time(result) for result in cut_off.epochs()] == results[1:]
    for one, other in zip(
        whole.evaluated_model.state_dict().values(), cut_off.evaluated_model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)
