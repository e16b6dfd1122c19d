"""Data sets of folders: what they hold, how they are split, and what is wrong with a damaged one."""

import os
import shutil
from pathlib import Path

import pytest

from search_spaces.errors import UserError
from tests.support.images import all_of, folder_config, in_folders, make_images
from tests.support.present import present
from trainers.data.config import DATA_DEFAULTS, DataConfig, DataSummary
from trainers.data.datasets import check_data, examine_data, load_test, load_train_validation


def test_class_folders_alone_are_split_in_three(tmp_path: Path) -> None:
    config = folder_config(make_images(tmp_path / "images", count=20))
    summary = check_data(config)
    assert summary == DataSummary("image_folder", 2, 3, 16, 26, 8, 6)
    train, validation = load_train_validation(config)
    splits = [set(in_folders(split).files_I.tolist()) for split in (train, validation, load_test(config))]
    assert [len(split) for split in splits] == [26, 8, 6] and len(set.union(*splits)) == 40
    images, labels = all_of(train)
    assert images.shape == (26, 3, 16, 16) and labels.tolist() == sorted(labels.tolist())


def test_train_and_test_directories_are_kept_apart(tmp_path: Path) -> None:
    make_images(tmp_path / "train")
    config = folder_config(tmp_path)
    assert check_data(config) == DataSummary("image_folder", 2, 3, 16, 12, 4, 0)
    with pytest.raises(UserError, match="no test directory"):
        load_test(config)
    make_images(tmp_path / "test", count=3)
    assert check_data(config).test_images == 6
    assert all(b"/test/" in file for file in in_folders(load_test(config)).files_I.tolist())
    (tmp_path / "test" / "dog").rename(tmp_path / "test" / "wolf")
    with pytest.raises(UserError, match=r"'dog' is in '.*train' alone"):
        check_data(config)


def test_imagenet_keeps_val_for_the_test(tmp_path: Path) -> None:
    config = DataConfig("imagenet", str(tmp_path), image_size=16, validation_fraction=0.25)
    make_images(tmp_path / "train")
    with pytest.raises(UserError, match="no directory 'val'"):
        check_data(config)
    make_images(tmp_path / "val", count=5)
    assert check_data(config) == DataSummary("imagenet", 2, 3, 16, 12, 4, 10)
    train, validation = load_train_validation(config)
    assert all(b"/train/" in file for split in (train, validation) for file in in_folders(split).files_I.tolist())


def test_what_is_wrong_with_folders_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'image_folder' needs its directory: data\.root="):
        check_data(DATA_DEFAULTS["image_folder"])
    with pytest.raises(UserError, match="no directory"):
        check_data(folder_config(tmp_path / "missing"))
    with pytest.raises(UserError, match="0 class folders"):
        check_data(folder_config(tmp_path))
    make_images(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"'.*empty' holds no images"):
        check_data(folder_config(tmp_path))
    (tmp_path / "empty").rmdir()
    (tmp_path / "dog" / "0.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"image '.*0\.png' cannot be read") as caught:
        check_data(folder_config(tmp_path))
    assert "\n" not in str(caught.value)
    small = make_images(tmp_path / "small", count=1)
    with pytest.raises(UserError, match="expected at least two of each"):
        check_data(folder_config(small))


def test_images_that_hold_nothing_are_noticed_before_anything_starts(tmp_path: Path) -> None:
    make_images(tmp_path, count=20)
    (tmp_path / "dog" / "d.PNG").touch()
    with pytest.raises(
        UserError,
        match=r"^train split: 1 of 2\d images cannot be read, none may be: "
        r".*d\.PNG' cannot be read: it is an empty file",
    ):
        check_data(folder_config(tmp_path))


def test_empty_files_are_no_copies_of_each_other(tmp_path: Path) -> None:
    for split, count, size in (("train", 150, (4, 4)), ("val", 10, (5, 4))):
        make_images(tmp_path / split, count=count, size=size)
    for name in ("cat", "dog"):
        (tmp_path / "train" / name / "100.png").write_bytes(b"")
    remarks = present(examine_data(folder_config(tmp_path)).findings).remarks
    assert [(about, noted.count) for about, noted in remarks] == [("empty", 2)]


def test_copies_in_another_class_or_split_are_said_to_be(tmp_path: Path) -> None:
    for split, size in (("train", (20, 24)), ("val", (20, 23))):
        make_images(tmp_path / split, size=size)
    assert present(examine_data(folder_config(tmp_path)).findings).remarks == ()
    shutil.copy(tmp_path / "train" / "cat" / "1.png", tmp_path / "val" / "cat" / "again.png")
    os.link(tmp_path / "train" / "cat" / "2.png", tmp_path / "train" / "dog" / "linked.png")
    os.link(tmp_path / "train" / "cat" / "2.png", tmp_path / "val" / "dog" / "linked.png")
    assert present(examine_data(folder_config(tmp_path)).findings).rows()[-2:] == [
        ("repeated", "2", "images have the contents of one of another class (train/cat/2.png), such as "
                          "train/dog/linked.png"),
        ("repeated", "1", "images have the contents of one of another split (train/cat/1.png), "
                          "so that what is measured there comes out too high: remove all but one of each, such as "
                          "val/cat/again.png"),
    ]  # fmt: skip
