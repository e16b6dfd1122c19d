"""Layouts by the names of folders: read where there is one reading, refused with what was seen where there are more."""

import re

import pytest

from search_spaces.errors import UserError
from trainers.data.folder_layout import (
    Layout,
    check_class_folder,
    check_class_names,
    check_same_classes,
    check_subfolders,
    folder_layout,
    imagenet_layout,
    split_of,
)  # fmt: skip


@pytest.mark.parametrize(
    ("split", "names"),
    [
        ("train", "train Train TRAINING training_set train-images train2017 trainset TrainData"),
        ("validation", "val valid Validation dev val2017 validation_data valset dev_set"),
        ("test", "test Testing eval evaluation test_set testset"),
        (None, "trains devil class-train seg_train train_cat cat set images 2017 valley tested"),
    ],
)
def test_a_split_is_known_by_its_name(split: str | None, names: str) -> None:
    assert {name: split_of(name) for name in names.split()} == dict.fromkeys(names.split(), split)


def test_folders_of_no_split_are_the_classes() -> None:
    assert folder_layout("r", ["cat", "dog"]) == Layout(None, None, None, ("cat", "dog"))


def test_splits_are_found_in_any_case_and_by_their_other_names() -> None:
    assert folder_layout("r", ["Test", "Train", "Val"]) == Layout("Train", "Val", "Test", ())
    assert folder_layout("r", ["dev", "eval", "training"]) == Layout("training", "dev", "eval", ())
    assert folder_layout("r", ["extra", "train"]) == Layout("train", None, None, ("extra",))


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["train", "val", "valid"], "has 'val', 'valid', each of which names the validation split: expected one of"),
        (["Train", "train"], "has 'Train', 'train', each of which names the train split"),
        (["eval", "test", "train"], "each of which names the test split"),
        (["test", "val"], "has 'test', 'val' and no 'train': expected train/"),
        (["cat", "dev", "dog"], "has 'dev', named as splits, beside 'cat', 'dog': expected class folders alone"),
        (
            ["seg_pred", "seg_test", "seg_train"],
            "has 'seg_test', 'seg_train', which look like splits: expected class folders, alone or in train/, val/ and "
            "test/. If they are, rename 'seg_test' as test, 'seg_train' as train and move 'seg_pred' out of data.root.",
        ),
        (["photos val", "train_photos"], "If they are, rename 'photos val' as val, 'train_photos' as train."),
        (["te", "tr"], "has 'te', 'tr', which look like splits"),
        (["TRN", "tst", "va"], "which look like splits"),
        (["CAT ", "Cat", "dog"], "has class folders 'CAT ' and 'Cat', alike but for case or spaces"),
        (["great_ape", "great  Ape"], "alike but for case or spaces"),
        (["cafe\N{COMBINING ACUTE ACCENT}", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"], "folders that look the same"),
        (["02", "10", "2"], "has class folders '02' and '2', which are the same number"),
    ],
)
def test_where_names_allow_two_readings_none_is_chosen(folders: list[str], said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        folder_layout("r", folders)


def test_a_class_may_be_called_like_a_split_below_a_split() -> None:
    check_class_names("r/train", ["bicycle", "train"])
    check_class_names("r", ["bullet_train", "test_tube"])
    with pytest.raises(UserError, match="'r/train' has 'test', 'train', which look like splits"):
        check_class_names("r/train", ["test", "train"])


def test_what_looks_like_no_class_may_be_called_one() -> None:
    for looks_otherwise in (["part_1", "part_2"], ["images", "masks"]):
        with pytest.raises(UserError, match=re.escape("rename them, as class-")):
            check_class_names("r", looks_otherwise)
        check_class_names("r", [f"class-{name}" for name in looks_otherwise])
    for classes in (["part a", "part b"], ["masks", "no masks"], ["wheel_part_1", "door_part_2"]):
        check_class_names("r", classes)


def test_splits_inside_of_classes_are_refused() -> None:
    check_class_folder("r/cat", ["2019", "tests of 2020"])
    with pytest.raises(UserError, match=r"class folder 'r/cat' holds 'val', which names a split: .* another name\.$"):
        check_class_folder("r/cat", ["2019", "val"])


def test_a_class_that_is_missing_is_named_with_the_split_that_lacks_it() -> None:
    check_same_classes("r/train", ["cat", "dog"], "r/val", ["cat", "dog"])
    for train, other, said in (
        (["cat", "dog"], ["cat"], "'dog' is in 'r/train' alone. Expected the same classes in both."),
        (["cat"], ["ant", "cat", "dog"], "'ant', 'dog' are in 'r/val' alone. Expected the same classes in both."),
        (["blue", "red"], ["red", "violet"], "'blue' is in 'r/train' alone, 'violet' is in 'r/val' alone. Expected"),
        (list("abcdef"), ["f"], "'a', 'b', 'c' and 2 more are in 'r/train' alone"),
        (["Blue", "red"], ["blue", "red"], "in both. 'Blue' and 'blue' differ in case alone: give them one name."),
        (["sea_lion", "x"], ["sea lion", "x"], "'sea_lion' and 'sea lion' differ by case, spaces, underscores or acc"),
        (["red", "violet"], ["red", "vilet"], "in both. Did you mean 'vilet' by 'violet'?"),
    ):
        with pytest.raises(UserError, match=re.escape("the classes of 'r/train' and 'r/val' differ: ")) as caught:
            check_same_classes("r/train", train, "r/val", other)
        assert said in str(caught.value), said


def test_of_imagenet_val_is_the_test_split_and_the_rest_no_part() -> None:
    assert imagenet_layout("r", ["ILSVRC2012_devkit_t12", "test", "train", "val"]) == Layout(
        "train", None, "val", ("ILSVRC2012_devkit_t12", "test")
    )
    with pytest.raises(UserError, match="no directory 'val': ImageNet is train/ and val/"):
        imagenet_layout("r", ["train"])
    with pytest.raises(UserError, match="each of which names the validation split"):
        imagenet_layout("r", ["train", "val", "validation"])


def test_languages_and_letters_are_classes() -> None:
    for names in (["de", "te", "tr"], ["A", "a", "b"]):
        assert folder_layout("r", names).others == tuple(names)


@pytest.mark.parametrize(
    "held",
    [
        {"one": ["cat", "dog"], "two": ["cat", "dog"]},
        {"one": ["Cat", "dog"], "two": ["cat", "dog", "fox"], "three": ["cat"]},
        {"one": ["cat/2019", "dog/2019"], "two": ["cat/2020", "dog/x"]},
        {"one": ["images/cat", "images/dog"], "two": ["images/cat", "images/dog"]},
        {"one": ["cat", "dog"], "two": ["cat", "dog"], "other": [""]},
        {"one": ["cat/images", "dog/images"], "two": ["cat/images", "dog/images"]},
        {"one": ["images", "masks"], "two": ["images", "masks"]},
    ],
)
def test_class_folders_that_hold_the_same_folders_can_be_read_in_two_ways(held: dict[str, list[str]]) -> None:
    with pytest.raises(
        UserError, match=r"'r' can be read in two ways: its folders '.*' hold no images themselves, but"
    ):
        check_subfolders("r", held)


@pytest.mark.parametrize(
    "held",
    [
        {"a": [""], "b": [""], "thumbs": ["a", "b"]},
        {"a": [""], "b": [""], "thumbs": ["", "A", "b", "c"]},
        {"a": [""], "b": [""], "c": [""], "backup": ["2020/a", "2020/b"]},
        {"a": ["", "b"], "b": [""]},
        {"a": [""], "b": [""], "test": ["a"]},
    ],
)
def test_a_class_folder_that_holds_the_names_of_those_beside_it_is_refused(held: dict[str, list[str]]) -> None:
    with pytest.raises(UserError, match=r"class folder 'r/.*' holds folders named as the classes beside it, 'a'|'b'"):
        check_subfolders("r", held)


@pytest.mark.parametrize(
    "held",
    [
        {"cat": [""], "dog": [""]},
        {"3": ["anna/1", "anna/2"], "1": ["ben/3", "ben/7"], "2": ["eve/5"], "4": [""], "5": [""], "7": [""]},
        {"cat": ["", "2019", "2020"], "dog": ["", "2019", "2020"]},
        {"cat": ["images"], "dog": ["images"]},
        {"cat": ["raw/images"], "dog": ["raw/images", "raw/images/more"]},
        {"animals": ["cat", "dog", "other"], "plants": ["fir", "oak", "other"]},
        {"cat": ["a", "b"], "dog": ["a", "b"], "fox": [""], "owl": [""], "yak": [""]},
    ],
)
def test_folders_in_class_folders_that_are_no_classes_are_read(held: dict[str, list[str]]) -> None:
    check_subfolders("r", held)
