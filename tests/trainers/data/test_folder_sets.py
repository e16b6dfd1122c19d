"""What of a directory is an image of which split, and what is passed over, in the layouts that people have."""

import os
import re
import shutil
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from search_spaces.errors import UserError
from tests.support.images import folder_config, make_images
from trainers.data.config import DataConfig
from trainers.data.first_look import look_at_folder_set
from trainers.data.folder_sets import FOLDER_TEST_FRACTION, FolderSet, Part, read_folder_set
from trainers.data.splits import split_validation, stratified_split


def read(root: Path) -> FolderSet:
    return read_folder_set(folder_config(root), root)


def files_of(root: Path, part: Part) -> list[str]:
    return [os.path.relpath(part.folder.files[index], root) for index in part.index]


def everything(root: Path) -> list[str]:
    """Every image that is in some split, in order, below the root."""
    folder_set = read(root)
    return sorted(file for part in (folder_set.train, folder_set.validation, folder_set.test)
                  for file in files_of(root, part))  # fmt: skip


def skipped(root: Path) -> dict[str, tuple[int, str]]:
    return {noted.what: (noted.count, noted.example) for noted in read(root).skipped}


def below(root: Path) -> list[str]:
    """What a plain walk finds of .png files, in the order of their paths, class by class."""
    return [str(path) for name in sorted(os.listdir(root)) for path in sorted(map(str, (root / name).rglob("*.png")))]


def test_class_folders_alone_are_split_as_they_ever_were(tmp_path: Path) -> None:
    make_images(tmp_path, count=13)
    make_images(tmp_path / "dog" / "more-deep", classes=("b", "a"), count=3)
    files = below(tmp_path)
    labels = [int("/dog/" in file) for file in files]
    assert len(files) == 32
    rest, test = stratified_split(labels, FOLDER_TEST_FRACTION, "folder test")
    train, validation = split_validation([labels[index] for index in rest], 0.25, 0)
    found = read(tmp_path)
    assert list(found.train.folder.files) == files and list(found.train.folder.labels) == labels
    assert found.test.index == test and found.skipped == ()
    assert found.train.index == [rest[index] for index in train]
    assert found.validation.index == [rest[index] for index in validation]


def test_of_train_and_test_a_part_of_train_is_set_apart_as_ever(tmp_path: Path) -> None:
    make_images(tmp_path / "train", count=13)
    make_images(tmp_path / "test", count=3)
    files = below(tmp_path / "train")
    train, validation = split_validation([int("/dog/" in file) for file in files], 0.25, 0)
    found = read(tmp_path)
    assert list(found.train.folder.files) == files and list(found.test.folder.files) == below(tmp_path / "test")
    assert (found.train.index, found.validation.index, found.test.index) == (train, validation, list(range(6)))


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "DEV", "eval"), ("train_set", "valid", None)])
def test_a_validation_folder_is_the_validation_split(tmp_path: Path, names: tuple[str, str, str | None]) -> None:
    for count, name in zip((8, 5, 3), names, strict=True):
        if name is not None:
            make_images(tmp_path / name, count=count)
    found = read(tmp_path)
    sizes = [len(part.index) for part in (found.train, found.validation, found.test)]
    assert sizes == [16, 10, 0 if names[2] is None else 6]
    for part, name in zip((found.train, found.validation, found.test), names, strict=True):
        assert part.source == (f"{name}/" if name else "none")
        assert all(file.startswith(f"{name}/") for file in files_of(tmp_path, part))


def test_splits_that_lie_in_folders_of_their_own_name_are_read_there(tmp_path: Path) -> None:
    make_images(tmp_path / "training_set" / "training_set", count=8)
    make_images(tmp_path / "test_set" / "test_set", count=3)
    found = read(tmp_path)
    assert (len(found.train.index), len(found.validation.index), len(found.test.index)) == (12, 4, 6)
    assert (found.test.source, found.train.source) == (
        "test_set/test_set/", "training_set/training_set/, less what is set apart",
    )  # fmt: skip
    (tmp_path / "test_set" / "test_set").rename(tmp_path / "test_set" / "pictures")
    with pytest.raises(UserError, match=r"test_set' has 1 class folder: .* They lie in '.*/pictures': move them up\."):
        read(tmp_path)


def test_what_is_hidden_or_left_by_a_system_is_passed_over_and_counted(tmp_path: Path) -> None:
    make_images(tmp_path)
    before = everything(tmp_path)
    for folder in (".git", "__MACOSX", "cat/.checkpoints", "cat/.ipynb_checkpoints", "cat/@eaDir", "lost+found"):
        make_images(tmp_path / folder, count=1)
    for file in (".DS_Store", "desktop.ini", "cat/Thumbs.db", "cat/._0.png", "dog/.hidden.png", "dog/Desktop.INI"):
        (tmp_path / file).write_bytes(b"left")
    assert everything(tmp_path) == before
    assert skipped(tmp_path) == {
        "images in hidden folders": (6, ".git/cat/0.png"),
        "hidden": (3, ".DS_Store"),
        "left by an operating system or a tool": (6, "__MACOSX"),
    }


def test_every_suffix_that_pillow_reads_is_an_image_and_others_are_counted(tmp_path: Path) -> None:
    make_images(tmp_path)
    names = ["a.TIF", "b.tiff", "c.JPG", "d.jfif", "e.gif", "f.pgm", "g.webp", "h.tga", "i.jp2"]
    others = ["notes.txt", "more.TXT", "movie.mpeg", "figure.eps", "README", "array.npy", "photo.heic", "data.h5"]
    for name in names + others:
        shutil.copy(tmp_path / "cat" / "0.png", tmp_path / "cat" / name)
    (tmp_path / "cat" / "README").write_text("taken in May", encoding="utf-8")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    assert [file for file in everything(tmp_path) if not file.endswith(".png")] == [f"cat/{name}" for name in names]
    assert skipped(tmp_path) == {
        ".txt files": (2, "cat/more.TXT"),
        "files without a suffix": (1, "cat/README"),
        "neither files nor folders": (1, "cat/pipe.png"),
    } | {f".{suffix} files": (1, f"cat/{name}.{suffix}") for name, suffix in (
        ("movie", "mpeg"), ("array", "npy"), ("data", "h5"),
    )} | {f".{suffix} pictures that are not read: convert them to JPEG or PNG": (1, f"cat/{name}.{suffix}")
          for name, suffix in (("figure", "eps"), ("photo", "heic"))}  # fmt: skip


def test_images_outside_of_classes_are_counted(tmp_path: Path) -> None:
    make_images(tmp_path)
    shutil.copy(tmp_path / "cat" / "0.png", tmp_path / "loose.png")
    assert len(everything(tmp_path)) == 16 and skipped(tmp_path) == {
        "images outside of class folders": (1, "loose.png")
    }


def test_links_to_folders_and_files_are_followed(tmp_path: Path) -> None:
    root = make_images(tmp_path / "images", count=4)
    make_images(tmp_path / "elsewhere", classes=("cats", "ants", "dogs"), count=3)
    (root / "cat" / "more").symlink_to(tmp_path / "elsewhere" / "cats")
    (root / "ant").symlink_to(tmp_path / "elsewhere" / "ants")
    (root / "dog" / "linked.png").symlink_to(tmp_path / "elsewhere" / "dogs" / "0.png")
    assert Counter(file.split("/")[0] for file in everything(root)) == {"ant": 3, "cat": 7, "dog": 5}
    assert "cat/more/0.png" in everything(root) and skipped(root) == {}


def test_a_circle_of_links_ends_and_each_real_image_counts_once(tmp_path: Path) -> None:
    make_images(tmp_path, count=4)
    (tmp_path / "cat" / "deep").mkdir()
    (tmp_path / "cat" / "deep" / "up").symlink_to("..")
    (tmp_path / "cat" / "again").symlink_to("deep")
    (tmp_path / "cat" / "a.png").symlink_to("0.png")
    assert everything(tmp_path) == [f"{name}/{number}.png" for name in ("cat", "dog") for number in range(4)]
    assert skipped(tmp_path) == {"reached twice through links": (3, "cat/a.png")}


@pytest.mark.parametrize(("link", "target"), [("x.png", "gone.png"), ("x.png", "x.png"), ("more", "/nowhere/more")])
def test_a_broken_link_is_no_image_and_few_of_many_are_left_out(tmp_path: Path, link: str, target: str) -> None:
    make_images(tmp_path, count=49, size=(2, 2))
    (tmp_path / "dog" / link).symlink_to(target)
    with pytest.raises(UserError, match=rf"broken links, .* 98 images: 1, such as '.*/dog/{link}' \(to '{target}'\)"):
        read(tmp_path)
    make_images(tmp_path, ("wolf",), size=(2, 2))
    assert len(everything(tmp_path)) == 106
    assert skipped(tmp_path) == {"broken links, which lead nowhere": (1, f"dog/{link}")}


@pytest.mark.parametrize("place", ["fox", "train/fox", "val"])
def test_a_broken_link_that_may_be_a_class_or_a_split_ends_it(tmp_path: Path, place: str) -> None:
    make_images(tmp_path / "train" if place != "fox" else tmp_path)
    (tmp_path / place).symlink_to("/nowhere/else")
    with pytest.raises(UserError, match=rf"{place}' is a broken link, it leads nowhere \('/nowhere/else'\), and may"):
        read(tmp_path)


def test_two_links_to_one_image_count_once(tmp_path: Path) -> None:
    root = make_images(tmp_path / "images", count=4)
    make_images(tmp_path / "blobs", classes=("all",), count=1)
    (tmp_path / "blobs" / "all" / "0.png").rename(tmp_path / "blobs" / "1f2e")
    for name in ("b.png", "a.png"):
        (root / "cat" / name).symlink_to("../../blobs/1f2e")
    assert [file for file in everything(root) if file.startswith("cat/")] == ["cat/0.png", "cat/1.png", "cat/2.png",
                                                                              "cat/3.png", "cat/a.png"]  # fmt: skip
    assert skipped(root) == {"reached twice through links": (1, "cat/b.png")}


@pytest.mark.parametrize(
    ("link", "target", "said"),
    [
        ("train/dog/more", "../cat", "in class 'dog' of train"),
        ("train/dog/x.png", "../cat/0.png", "in class 'dog' of train, is .*cat/0.png', in class 'cat' of train"),
        ("val/cat/more", "../../train/cat", "in class 'cat' of validation, is .*in class 'cat' of train"),
        ("val/cat/x.png", "../../train/cat/0.png", "in class 'cat' of validation, is .*in class 'cat' of train"),
        ("test", "train", "in class 'cat' of test, is .*in class 'cat' of train"),
    ],
)
def test_an_image_of_two_classes_or_splits_is_refused(tmp_path: Path, link: str, target: str, said: str) -> None:
    make_images(tmp_path / "train")
    make_images(tmp_path / "val")
    (tmp_path / link).symlink_to(target)
    with pytest.raises(UserError, match=said) as caught:
        read(tmp_path)
    assert "expected each image in one class of one split" in str(caught.value) and "\n" not in str(caught.value)


def test_class_folders_beside_splits_are_refused_and_folders_without_images_named(tmp_path: Path) -> None:
    make_images(tmp_path / "train")
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations" / "cat.xml").write_text("<cat/>", encoding="utf-8")
    assert skipped(tmp_path) == {"folders that are no split": (1, "annotations")}
    make_images(tmp_path, classes=("bird",))
    with pytest.raises(UserError, match="has 'train', named as splits, beside 'bird': expected class folders alone"):
        read(tmp_path)


def test_a_root_one_too_high_or_without_classes_is_explained(tmp_path: Path) -> None:
    make_images(tmp_path / "images")
    with pytest.raises(UserError, match=re.escape(f"Did you mean data.root={tmp_path / 'images'}?")):
        read(tmp_path)
    with pytest.raises(UserError, match=r"0 class folders: expected at least two\. 8 images lie in it directly"):
        read(tmp_path / "images" / "cat")


def test_a_class_without_images_is_named_with_what_it_holds(tmp_path: Path) -> None:
    make_images(tmp_path)
    (tmp_path / "bird").mkdir()
    for name in ("0.heic", "1.HEIC", ".hidden.png"):
        (tmp_path / "bird" / name).write_bytes(b"left")
    said = r"bird' holds no images that can be read; skipped there: .*2 \.heic pictures that are not read: convert them"
    with pytest.raises(UserError, match=said):
        read(tmp_path)


def test_imagenet_reads_other_folders_as_no_part(tmp_path: Path) -> None:
    for name in ("train", "val", "extra"):
        make_images(tmp_path / name)
    found = read_folder_set(DataConfig("imagenet", str(tmp_path), image_size=16, validation_fraction=0.25), tmp_path)
    assert [len(part.index) for part in (found.train, found.validation, found.test)] == [12, 4, 16]
    assert found.test.source == "val/" and [noted.example for noted in found.skipped] == ["extra"]


def test_the_findings_are_one_small_table(tmp_path: Path) -> None:
    make_images(tmp_path, count=20)
    (tmp_path / "cat" / "notes\n[bold].txt").write_bytes(b"")
    found = look_at_folder_set(read(tmp_path))
    assert found.rows() == [
        ("classes", "2", "cat, dog"),
        ("train", "26", "of the class folders, less what is set apart"),
        ("validation", "8", "24% of the rest, set apart"),
        ("test", "6", "15% of the class folders, set apart first"),
        ("skipped", "1", r".txt files, such as cat/notes\n[bold].txt"),
        ("looked at", "2", "the first image of each class"),
    ]


def test_many_classes_and_kinds_stay_few_lines(tmp_path: Path) -> None:
    make_images(tmp_path, classes=[f"class{number:03d}" for number in range(30)], count=4)
    for number in range(12):
        (tmp_path / "class000" / f"x.{number:03d}").write_bytes(b"")
    rows = look_at_folder_set(read(tmp_path)).rows()
    assert rows[0][2] == "class000, class001, class002, class003, class004, class005, …"
    assert len(rows) == 14 and rows[-2] == ("skipped", "4", "of 4 further kinds, such as class000/x.008")


def test_more_that_cannot_be_read_than_a_training_leaves_out_is_said_at_once(tmp_path: Path) -> None:
    make_images(tmp_path / "few", count=20)
    make_images(tmp_path / "many", count=60)
    for root in (tmp_path / "few", tmp_path / "many"):
        # The last of a class, which is looked at beside its first.
        sorted((root / "cat").iterdir())[-1].write_bytes(b"no image")
    with pytest.raises(
        UserError, match=r"^train, validation and test splits: 1 of 40 images cannot be read, none may be: .*cat"
    ):
        look_at_folder_set(read(tmp_path / "few"))
    rows = look_at_folder_set(read(tmp_path / "many")).rows()
    assert [row[:2] for row in rows if row[0] == "unreadable"] == [("unreadable", "1")]


def test_what_is_looked_at_beside_first_images_is_no_matter_of_bits_alone(tmp_path: Path) -> None:
    make_images(tmp_path, count=20)
    first = sorted((tmp_path / "cat").iterdir())[0]
    with Image.open(first) as image:
        size = image.size
    Image.new("L", size, 0).save(first)
    (row,) = [row for row in look_at_folder_set(read(tmp_path)).rows() if "others" in row[2]]
    assert row[:2] == ("looked at", "7")
    assert row[2].startswith("others of classes that are dark, or have more than 8 bits a value")
