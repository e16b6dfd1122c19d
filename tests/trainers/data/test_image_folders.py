"""Images in folders: read, cut and augmented alike in any process, and left out where they cannot be read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from search_spaces.errors import UserError
from tests.support.images import CPU, all_of, folder_config, in_folders, make_images
from trainers.data.augmentation import Augmentation
from trainers.data.datasets import load_train_validation
from trainers.data.unreadable import UnreadableImages
from trainers.recipe import AUGMENTS


def test_evaluation_cuts_the_middle_and_normalises(tmp_path: Path) -> None:
    make_images(tmp_path, size=(32, 32))
    config = folder_config(tmp_path, image_size=28)
    train = in_folders(load_train_validation(config)[0])
    images, _ = all_of(train)
    with Image.open(train.files_I[0].decode()) as file:
        pixels = torch.from_numpy(np.array(file)).permute(2, 0, 1)[:, 2:30, 2:30] / 255
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    torch.testing.assert_close(images[0], (pixels - mean[:, None, None]) / std[:, None, None])


@pytest.mark.parametrize("augment", AUGMENTS)
def test_folder_augmentation_is_the_same_in_any_process_and_order(tmp_path: Path, augment: str) -> None:
    make_images(tmp_path)
    here, _ = load_train_validation(folder_config(tmp_path))
    workers, _ = load_train_validation(folder_config(tmp_path, loader_workers=2))
    first, labels = all_of(here, Augmentation(augment, 0, 1))
    second, _ = all_of(workers, Augmentation(augment, 0, 1), batch=3)
    assert torch.equal(first, second)
    assert torch.equal(first, all_of(here, Augmentation(augment, 0, 2))[0]) == (augment == "none")
    (reversed_batch,) = here.batches([torch.arange(len(here)).flip(0)], CPU, Augmentation(augment, 0, 1))
    assert torch.equal(reversed_batch[0].flip(0), first) and torch.equal(reversed_batch[1].flip(0), labels)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_breaks_off_is_named_in_one_line(tmp_path: Path, workers: int) -> None:
    make_images(tmp_path)
    config = folder_config(tmp_path, loader_workers=workers)
    train = in_folders(load_train_validation(config)[0])
    broken = Path(train.files_I[-1].decode())
    broken.write_bytes(broken.read_bytes()[:-600])
    with pytest.raises(UserError) as caught:
        all_of(train)
    assert str(broken) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_next_image_stands_for_one_that_cannot_be_read_up_to_a_limit(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, workers: int
) -> None:
    make_images(tmp_path, count=100)
    train = in_folders(load_train_validation(folder_config(tmp_path, loader_workers=workers))[0])
    assert len(train) == 128 and train.most_unreadable == 1
    whole, labels = all_of(train, Augmentation("flip_crop", 0, 1))
    files = [Path(file.decode()) for file in train.files_I]
    files[127].write_bytes(b"no image")
    for epoch in (1, 1):
        images, found_labels = all_of(train, Augmentation("flip_crop", 0, epoch))
        assert torch.equal(images[:127], whole[:127]) and torch.equal(images[127], whole[0])
        assert found_labels[127] == labels[0] and torch.equal(found_labels[:127], labels[:127])
    assert list(train.unreadable) == [str(files[127])]
    assert [message for message in caplog.messages if str(files[127]) in message] == caplog.messages[:1]
    files[5].write_bytes(b"")
    with pytest.raises(
        UnreadableImages, match=r"^train split: 2 of 128 images cannot be read, at most 1 may be: "
    ) as caught:
        all_of(train, Augmentation("flip_crop", 0, 2))
    assert str(files[5]) in str(caught.value) and str(files[127]) in str(caught.value)
    with pytest.raises(UnreadableImages, match="2 of 128 images cannot be read"):
        next(train.batches([torch.tensor([20])], CPU))


def test_in_an_evaluation_an_unreadable_image_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    train = in_folders(
        load_train_validation(folder_config(make_images(tmp_path, count=100), validation_fraction=0.1))[0]
    )
    whole, labels = all_of(train, batch=1)
    files = [Path(file.decode()) for file in train.files_I]
    files[3].write_bytes(b"no image")
    images, found = all_of(train, batch=1)
    kept = [index for index in range(len(train)) if index != 3]
    assert torch.equal(images, whole[kept]) and torch.equal(found, labels[kept])
    assert list(train.unreadable) == [str(files[3])] and caplog.messages[0].endswith("It is left out.")
    images, _ = all_of(train, batch=64)
    assert torch.equal(images, whole[kept])


def test_of_a_set_without_one_image_that_can_be_read_the_first_are_named(tmp_path: Path) -> None:
    make_images(tmp_path, count=100)
    train = in_folders(load_train_validation(folder_config(tmp_path))[0])
    for file in train.files_I:
        Path(file.decode()).write_bytes(b"no image")
    with pytest.raises(UnreadableImages, match="cannot be read, at most 1 may be: "):
        all_of(train)


def test_grey_and_transparent_images_become_rgb(tmp_path: Path) -> None:
    make_images(tmp_path)
    for mode, name in (("L", "0.png"), ("RGBA", "1.png"), ("P", "2.png")):
        Image.new(mode, (20, 20)).save(tmp_path / "cat" / name)
    train, _ = load_train_validation(folder_config(tmp_path))
    assert all_of(train)[0].shape[1] == 3
