"""Image folders that cannot be read as they are, and what their one line of refusal says to do."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.images import make_images
from tests.support.plans import planned
from trainers.data.nearby_folders import boxes_in


def one_level_more(root: Path) -> str:
    make_images(root / "images" / "train", count=8)
    return f"has 1 class folder: expected at least two. Did you mean data.root={root / 'images'}?"


def two_levels_more(root: Path) -> str:
    make_images(root / "archive" / "photos", count=8)
    return f"has 1 class folder: expected at least two. Did you mean data.root={root / 'archive' / 'photos'}?"


def documents_beside_one_level_more(root: Path) -> str:
    make_images(root / "images" / "train", count=8)
    (root / "docs").mkdir()
    remedy = "Remove it, or move it out of data.root."
    return f"docs' holds no images that can be read. {remedy} Did you mean data.root={root / 'images'}?"


def splits_in_a_class(root: Path) -> str:
    make_images(root / "images" / "train", count=8)
    (root / "other").mkdir()
    return f"holds 'train', which names a split: .*, or another name. Did you mean data.root={root / 'images'}?"


def splits_in_a_class_beside_images(root: Path) -> str:
    make_images(root / "images" / "train", count=8)
    make_images(root / "other", ("x",), count=8)
    return f"or another name. Images lie in '{root / 'other'}', too: move '.*images/train' and the other splits up, or"


def splits_below_the_classes(root: Path) -> str:
    for name in ("a", "b"):
        make_images(root / name, ("train", "test"), count=3)
    return f"or another name. Move '{root}/a/test' to '{root}/test/a', and those of the other classes and splits in"


def folds_of_splits(root: Path) -> str:
    for name in ("fold_1", "fold_2"):
        make_images(root / name / "train", count=3)
    return "or another name. Each of 'fold_1', 'fold_2' has splits of its own, as folds have: join them into one train/"


def boxes(root: Path, below: str = "labels", name: str = "0.txt") -> None:
    (root / below).mkdir(parents=True)
    (root / below / name).write_text("0 .5 .5 .1 .1", encoding="utf-8")


def boxes_of_yolo(root: Path) -> str:
    make_images(root / "images", ("train", "val"), count=3)
    boxes(root, "labels/train")
    return (
        f"has 'labels' beside 'images', .* '{root}/labels' has boxes, it seems, in YOLO's format: python "
        "trainers/train_detector.py trains a detector on them, once they are converted to COCO's format; a search "
        "needs one folder a class."
    )


def boxes_of_yolo_in_each_split(root: Path) -> str:
    for split in ("train", "valid"):
        make_images(root / split, ("images",), count=3)
        boxes(root / split)
    return f"has 'labels' beside 'images', .* If 'labels' are classes, .* '{root}/train/labels' has boxes, it seems"


def boxes_of_coco(root: Path) -> str:
    make_images(root, ("train2017", "val2017"), count=3)
    boxes(root, "annotations", "instances_train2017.json")
    return (
        "3 images lie in it directly, in none. '.*/annotations' has boxes, it seems, in COCO's format: python trainers"
    )


def boxes_of_voc(root: Path) -> str:
    make_images(root, ("JPEGImages",), count=3)
    boxes(root, "Annotations", "0.xml")
    return "has 'Annotations' beside 'JPEGImages', as .* has boxes, it seems, in Pascal VOC's format"


def annotations_that_are_pictures(root: Path) -> str:
    """As of Oxford's pets: pictures of all classes in one folder, and masks of them below another."""
    make_images(root, ("images",), count=3)
    make_images(root / "annotations", ("trimaps",), count=3)
    return f"has 'annotations' beside 'images', as .* If '{root}/images' holds those, give that as data.root; else put"


def numbered_parts(root: Path) -> str:
    make_images(root, ("images_part_1", "images_part_2"), count=3)
    return "has 'images_part_1', 'images_part_2', which look like the numbered parts of one set of images: expected"


def lists_beside_the_classes(root: Path) -> str:
    """As of Describable Textures: labels/ has lists of files, and images/ the classes."""
    make_images(root / "images", ("banded", "dotted"), count=3)
    (root / "labels").mkdir()
    (root / "labels" / "train1.txt").write_text("banded/banded_0.png\n", encoding="utf-8")
    assert boxes_in([str(root)]) == ""
    return f"has 'labels' beside 'images', as .* If '{root}/images' holds those, give that as data.root; else put"


def classes_beside_what_is_said_of_them(root: Path) -> str:
    make_images(root / "Images", ("beagle", "pug"), count=3)
    (root / "lists_of_dogs").mkdir()
    (root / "lists_of_dogs" / "all.mat").write_bytes(b"MATLAB")
    return f"'{root}/lists_of_dogs' holds no images that can be read; .* Did you mean data.root={root}/Images?"


def labels_beside_a_flat_split(root: Path) -> str:
    """As of Tiny ImageNet."""
    make_images(root / "train", ("n01", "n02"), count=3)
    make_images(root / "val", ("images",), count=3)
    (root / "val" / "val_annotations.txt").write_text("0.png\tn01\t0\t0\t1\t1\n", encoding="utf-8")
    return f"'{root}/val/val_annotations.txt' says which class each is of: data=imagenet reads it, and these as test."


def images_beside_a_table(root: Path) -> str:
    make_images(root.parent / "x", ("all",), count=3)
    (root.parent / "x" / "all").rename(root)
    (root / "labels.csv").write_text("file,label\n0.png,cat\n", encoding="utf-8")
    return (
        "put those of each class into a folder of its name. '.*/labels.csv' may say which class each is of, and is not"
    )


def a_damaged_archive(root: Path) -> str:
    root.mkdir()
    (root / "photos.zip").write_bytes(b"cut off")
    return "expected at least two. It holds the archive 'photos.zip': unpack it there."


def an_archive_of_each_class(root: Path) -> str:
    for name in ("cat", "dog"):
        (root / name).mkdir(parents=True)
        (root / name / "photos.zip").write_bytes(b"PK")
    return (
        "skipped there: 1 .zip files. It holds the archive 'photos.zip': unpack it there, or move it out of data.root."
    )


def an_archive_of_a_split(root: Path) -> str:
    make_images(root / "train")
    (root / "test").mkdir()
    (root / "test" / "test.tar.gz").write_bytes(b"cut off")
    return "test' has 0 class folders: expected at least two. It holds the archive 'test.tar.gz': unpack it there."


def thumbnails_of_the_classes(root: Path) -> str:
    make_images(root, ("a", "b"))
    make_images(root / "thumbs", ("a", "B"), size=(4, 4))
    return (
        f"class folder '{root}/thumbs' holds folders named as the classes beside it, 'a', 'b'. If it is a copy of "
        "theirs, as thumbnails are, or masks of them, move it out of data.root; if it is a class, rename"
    )


def a_copy_below_a_class(root: Path) -> str:
    make_images(root, ("a", "b", "c"))
    make_images(root / "a" / "old" / "2020", ("b", "c"))
    return f"class folder '{root}/a' holds folders named as the classes beside it, 'b', 'c'. If"


def a_test_split_below_train(root: Path) -> str:
    make_images(root / "train", ("a", "b"))
    make_images(root / "train" / "test", ("a",))
    return f"'{root}/train/test' holds .*, 'a'. If it is a split, move it beside the others, to '{root}/test'; if it is"


def a_number_twice(root: Path) -> str:
    make_images(root, ("1", "02", "2"))
    return f"'{root}' has class folders '02' and '2', which are the same number: expected one folder a class."


def train_and_validation_together(root: Path) -> str:
    for name in ("trainval", "test"):
        make_images(root / name)
    return (
        "has 'test', named as splits, beside 'trainval', which may be splits, too. If they are, name 'trainval' train"
    )


def a_holdout(root: Path) -> str:
    for name in ("train", "hold_out"):
        make_images(root / name)
    return (
        "has 'train', named as splits, beside 'hold_out', which may be splits, too. If they are, name 'hold_out' test"
    )


def a_split_of_another_name(root: Path) -> str:
    for name in ("train", "extra"):
        make_images(root / name)
    return "beside 'extra': expected class folders alone .*, or train/, val/ and test/ alone (what is none of them"


COMPOSED, DECOMPOSED = "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "cafe\N{COMBINING ACUTE ACCENT}"
TOLD_APART = r"differ in Unicode normalisation alone (they are 'cafe\u0301' and 'caf\xe9')"
RENAMED = rf"{TOLD_APART}: rename the first as the other, mv $'cafe\u0301' $'caf\xe9'."


def a_class_in_two_forms_of_letters(root: Path) -> str:
    make_images(root / "train", (COMPOSED, "tea"), count=3)
    make_images(root / "test", (DECOMPOSED, "tea"), count=3)
    return f"Expected the same classes in both. .* {RENAMED}"


def two_forms_of_letters_in_one_folder(root: Path) -> str:
    make_images(root, (COMPOSED, DECOMPOSED, "tea"), count=3)
    return f"has class folders that look the same: .* {TOLD_APART}: expected one folder a class."


def a_test_split_without_classes(root: Path) -> str:
    make_images(root / "train", count=8)
    (make_images(root, ("test",), count=3) / "test").rename(root / "test")
    return (
        "has 0 class folders: .* 3 images lie in it directly, in none: their classes are not known. Move '.*test' out"
    )


def a_test_split_of_one_folder(root: Path) -> str:
    make_images(root / "train", count=8)
    make_images(root / "test", ("unknown",), count=3)
    return "has 1 class folder: .* It lacks the classes to train on: move '.*test' out of data.root."


def an_empty_validation_split(root: Path) -> str:
    make_images(root / "train", count=8)
    (root / "val").mkdir()
    return "val' has 0 class folders: .* It holds no images: remove it, and a part of train/ is set apart."


def a_validation_split_of_some_classes(root: Path) -> str:
    make_images(root / "train", count=8)
    make_images(root / "val", ("cat",), count=3)
    return "the classes of '.*train' and '.*val' differ: 'dog' is in '.*train' alone. Expected the same classes"


def a_class_folder_as_root(root: Path) -> str:
    make_images(root.parent, (root.name, "other"), count=3)
    return f"has 0 class folders: .* 3 images lie in it directly, in none. Did you mean data.root={root.parent}?"


def a_class_folder_of_a_split_as_root(root: Path) -> str:
    make_images(root.parent / "train", ("cat", "dog"), count=3)
    root.symlink_to(root.parent / "train" / "cat")
    return "has 0 class folders: .* 3 images lie in it directly, in none"


def images_in_no_folder(root: Path) -> str:
    make_images(root.parent / "x", ("all",), count=3)
    (root.parent / "x" / "all").rename(root)
    return "3 images lie in it directly, in none: put those of each class into a folder of its name."


def one_class(root: Path) -> str:
    make_images(root, ("cat",), count=3)
    return "has 1 class folder: .* One class has no other to be told from: put the images of another into"


def one_folder_and_a_table(root: Path) -> str:
    make_images(root, ("images",), count=3)
    (root / "labels.csv").write_text("id,label\n0.png,cat\n", encoding="utf-8")
    return f"has 1 class folder: .* '{root / 'labels.csv'}' may say which class each image is of, and is not read."


def nothing(root: Path) -> str:
    root.mkdir()
    return "has 0 class folders: expected at least two. It holds no images."


def a_packed_data_set(root: Path) -> str:
    root.mkdir()
    shutil.make_archive(str(root / "animals"), "zip", make_images(root.parent / "unpacked"))
    return "has 0 class folders: expected at least two. It holds the archive 'animals.zip': unpack it there."


def an_archive(root: Path) -> str:
    shutil.make_archive(str(root.parent / "packed"), "gztar", make_images(root.parent / "unpacked"))
    (root.parent / "packed.tar.gz").rename(root)
    return "images' is an archive, expected a directory: unpack it, and give the directory that it becomes."


def a_file(root: Path) -> str:
    root.write_text("labels", encoding="utf-8")
    return "images' is a file, expected a directory."


def a_slip_of_the_pen(root: Path) -> str:
    make_images(root.with_name("imagse"))
    return f"there is no directory '{root}'. Did you mean data.root={root.with_name('imagse')}?"


def a_class_without_images(root: Path) -> str:
    make_images(root)
    (root / "Annotations").mkdir()
    (root / "Annotations" / "cat.xml").write_text("<cat/>", encoding="utf-8")
    return (
        "Annotations' holds no images that can be read; skipped there: 1 .xml files. Remove it, or move it out of data."
    )


def a_class_of_unread_pictures(root: Path) -> str:
    make_images(root)
    (root / "bird").mkdir()
    (root / "bird" / "IMG_1.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    return (
        "1 .heic pictures that are not read: convert them to JPEG or PNG. Have those pictures read, or move it out of"
    )


def a_link_to_the_root(root: Path) -> str:
    make_images(root, ("blue", "red"))
    (root / "red" / "loop").symlink_to("..")
    return f"red/loop' is a link to '{root}', a folder above it, which holds the other classes, too: remove that link."


def a_class_that_is_a_link_to_the_root(root: Path) -> str:
    make_images(root, ("blue", "red"))
    (root / "all").symlink_to(root)
    return f"all' is a link to '{root}', a folder above it, which holds the other classes, too: remove that link."


def a_split_in_other_case(root: Path) -> str:
    make_images(root / "train", ("Blue", "red", "violet"))
    make_images(root / "val", ("blue", "red", "vilet"))
    return (
        "'Blue', 'violet' are in '.*train' alone, 'blue', 'vilet' are in '.*val' alone. Expected the same "
        "classes in both. 'Blue' and 'blue' differ in case alone: give them one name. Did you mean 'vilet' by 'violet'?"
    )


@pytest.mark.parametrize(
    "make",
    [
        one_level_more, two_levels_more, documents_beside_one_level_more, splits_in_a_class,
        a_test_split_without_classes, a_test_split_of_one_folder, an_empty_validation_split,
        a_validation_split_of_some_classes, a_class_folder_as_root, a_class_folder_of_a_split_as_root,
        splits_in_a_class_beside_images, splits_below_the_classes, folds_of_splits, boxes_of_yolo,
        boxes_of_yolo_in_each_split, boxes_of_coco, boxes_of_voc,
        annotations_that_are_pictures, numbered_parts, lists_beside_the_classes, classes_beside_what_is_said_of_them,
        labels_beside_a_flat_split, images_beside_a_table, a_damaged_archive,
        an_archive_of_each_class, an_archive_of_a_split, thumbnails_of_the_classes, a_copy_below_a_class,
        a_test_split_below_train, a_number_twice, train_and_validation_together, a_holdout, a_split_of_another_name,
        a_class_in_two_forms_of_letters, two_forms_of_letters_in_one_folder,
        images_in_no_folder, one_class, one_folder_and_a_table, nothing, a_packed_data_set, an_archive, a_file,
        a_slip_of_the_pen,
        a_class_without_images, a_class_of_unread_pictures, a_link_to_the_root,
        a_class_that_is_a_link_to_the_root, a_split_in_other_case,
    ],
)  # fmt: skip
def test_what_is_refused_comes_with_what_to_do_about_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], str]
) -> None:
    said = re.escape(make(tmp_path / "images")).replace(r"\.\*", ".*")
    code, _, error = planned(tmp_path / "images", capsys)
    assert code == 2 and re.search(said, error), error


def test_a_root_that_is_not_there_names_what_looks_the_same_or_was_not_expanded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_images(tmp_path / DECOMPOSED)
    for root, said in (
        (tmp_path / COMPOSED, "but one that looks the same: '"),
        (Path("$HOME/photos"), "$HOME/photos': the shell puts nothing in the place of a $"),
    ):
        code, _, error = planned(root, capsys)
        assert code == 2 and said in error
