"""Image folders as people have them, as `--plan` shows them to whoever asks."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import nas.search
from tests.entries.test_search import run
from tests.support.images import make_images
from trainers.data.nearby_folders import boxes_in


def val_beside_train(root: Path) -> None:
    make_images(root / "train", count=20)
    make_images(root / "Validation", count=9)


def hidden_copies(root: Path) -> None:
    make_images(root, count=20)
    for name in ("cat", "dog"):
        shutil.copytree(root / name, root / name / ".checkpoints")
    (root / "__MACOSX").mkdir()
    (root / "cat" / "._0.png").write_bytes(b"left")
    (root / "Thumbs.db").write_bytes(b"left")


def linked_folders(root: Path) -> None:
    make_images(root, count=5)
    make_images(root.with_name("elsewhere"), count=15)
    for name in ("cat", "dog"):
        (root / name / "more").symlink_to(root.with_name("elsewhere") / name)


def other_suffixes(root: Path) -> None:
    make_images(root, count=20)
    for file in sorted(root.rglob("*.png")):
        Image.open(file).save(file.with_suffix(".TIF"))
    (root / "cat" / "notes.txt").write_text("taken in May", encoding="utf-8")


def sixteen_bits(root: Path) -> None:
    for name, darkest in (("cat", 8_000), ("dog", 20_000)):
        (root / name).mkdir(parents=True)
        for number in range(20):
            values_HW = np.random.default_rng(number).integers(darkest, darkest + 3_000, (20, 24)).astype(np.uint16)
            Image.fromarray(values_HW).save(root / name / f"{number:03d}.png")


def nested_classes(root: Path) -> None:
    make_images(root / "cat", ("lion", "lynx"), count=10)
    make_images(root / "dog", ("pug",), count=10)


def masks(root: Path) -> None:
    make_images(root, count=10)
    for index in range(9):
        Image.new("L", (24, 20), 20 * index + 40).save(root / "cat" / f"{index}_mask.png")
    Image.new("L", (24, 20), 250).save(root / "cat" / "a mask.png")


def one_broken_link_of_many(root: Path) -> None:
    make_images(root, count=60, size=(2, 2))
    (root / "cat" / "dang.png").symlink_to("/nowhere.png")


ALONE = [
    r"train +28 +of the class folders, less what is set apart",
    r"validation +6 +18% of the rest, set apart",
    r"test +6 +15% of the class folders, set apart first",
]


@pytest.mark.parametrize(
    ("make", "rows"),
    [
        (
            val_beside_train,
            [r"train +40 +train/", r"validation +18 +Validation/", r"test +0 +none", r"skipped +0 +not"],
        ),
        (
            hidden_copies,
            [
                *ALONE,
                r"skipped +40 +images in hidden folders, such as cat/\.checkpoints/0\.png",
                r"skipped +1 +hidden, such as cat/\._0\.png",
                r"skipped +2 +left by an operating system or a tool",
            ],
        ),
        (linked_folders, [*ALONE, r"skipped +0 +nothing"]),
        (other_suffixes, [r"train +58 ", r"test +12 ", r"skipped +1 +\.txt files, such as cat/notes\.txt"]),
        (
            nested_classes,
            [r"subfolders +30 +images lie in subfolders lion, lynx, pug of class folders"],
        ),
        (masks, [r"masks +9 +images are named as masks of others beside them"]),
        (one_broken_link_of_many, [r"train +86 ", r"skipped +1 +broken links, which lead nowhere, such as cat/dang"]),
        (sixteen_bits, [*ALONE, r"read as +2 +16-bit grey, 0 to 65,535 as black to white, such as cat/000\.png"]),
    ],
)
def test_a_plan_shows_what_was_found(tmp_path: Path, make: Callable[[Path], None], rows: list[str]) -> None:
    make(tmp_path / "images")
    done = plan(tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"images in {tmp_path / 'images'}\n" in done.stdout and re.search(
        r"^classes +2  cat, dog *$", done.stdout, re.M
    )
    for row in rows:
        assert re.search(f"^{row}", done.stdout, re.M), row


def splits_beside_classes(root: Path) -> None:
    make_images(root / "train")
    make_images(root, classes=("bird",))


def folds(root: Path) -> None:
    for name in ("fold1", "fold2"):
        make_images(root / name)


def a_class_is_away(root: Path) -> None:
    make_images(root)
    (root / "fox").symlink_to("/nowhere/fox")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (splits_beside_classes, "images' has 'train', named as splits, beside 'bird': expected class folders alone"),
        (folds, "can be read in two ways: its folders 'fold1', 'fold2' hold no images themselves, but folders of the"),
        (a_class_is_away, "fox' is a broken link, it leads nowhere ('/nowhere/fox'), and may stand for a class"),
    ],
)
def test_where_folders_can_be_read_in_two_ways_one_line_asks(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    make(tmp_path / "images")
    done = plan(tmp_path)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and said in done.stderr


def plan(directory: Path) -> subprocess.CompletedProcess[str]:
    return run(
        directory, "nas/search.py", "--space", "resnet_stages", "data=image_folder",
        f"data.root={directory / 'images'}", "data.image_size=16", "--plan",
    )  # fmt: skip


def broken(file: Path, content: bytes | None = None) -> None:
    """Cuts a picture off after its first bytes, or gives its file other contents."""
    file.write_bytes(file.read_bytes()[: file.stat().st_size * 2 // 3] if content is None else content)


def planned(root: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """What `--plan` answers, in the process of the test: its exit code, its table with a row a line, and its errors."""
    capsys.readouterr()
    code = nas.search.main(
        [
            "--space",
            "resnet_stages",
            "data=image_folder",
            f"data.root={root}",
            "data.image_size=16",
            "--plan",
            *arguments,
        ]
    )
    output, error = capsys.readouterr()
    assert error.count("\n") == (0 if code == 0 else 1), error
    return code, output, error


@pytest.fixture
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal in which each row of the table is a line."""
    monkeypatch.setenv("COLUMNS", "400")


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(("content", "place"), [(None, 0), (b"", 0), (b"", 13), (b"<html>gone</html>", 49)])
def test_one_broken_image_of_many_is_counted_wherever_it_stands(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], place: int, content: bytes | None
) -> None:
    root = make_images(tmp_path / "images" / "train", ("blue", "green", "red"), count=50, size=(8, 8)).parent
    make_images(root / "val", ("blue", "green", "red"), count=4, size=(8, 8))
    file = sorted((root / "train" / "red").iterdir())[place]
    broken(file, content)
    code, output, error = planned(root, capsys)
    assert code == 0, error
    assert re.search(r"^train +150 ", output, re.M)
    name = f"train/red/{file.name}"
    if content == b"":
        assert re.search(rf"^empty +1 +image files are empty: .* without them, such as {name} *$", output, re.M)
        assert "unreadable" not in output
    else:
        assert re.search(rf"^unreadable +1 +of those looked at cannot be read: .*, such as {name} *$", output, re.M)


@pytest.mark.parametrize("content", [None, b""])
def test_a_class_of_which_no_first_image_can_be_read_is_refused_with_their_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes | None
) -> None:
    root = make_images(tmp_path / "train", ("blue", "red"), count=450, size=(2, 2)).parent
    make_images(root / "val", ("blue", "red"), count=2, size=(2, 2))
    files = sorted((root / "train" / "red").iterdir())
    for file in files[:7]:
        broken(file, content)
    assert planned(root, capsys)[0] == 0
    broken(files[7], content)
    code, _, error = planned(root, capsys)
    assert code == 2
    assert f"none of the first 8 images of class 'red' in '{root / 'train'}' can be read: image '" in error
    assert f"red/0.png' cannot be read: it is {'an empty file' if content == b'' else 'a PNG that is cut off'}" in error
    assert "; the others: '" in error and "red/104.png'.\n" in error


@pytest.mark.usefixtures("wide")
def test_a_broken_image_that_a_small_split_cannot_do_without_is_said_to_end_a_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_images(tmp_path, ("blue", "red"), count=75, size=(8, 8))
    broken(root / "red" / "0.png")
    code, output, _ = planned(root, capsys)
    assert code == 0 and re.search(r"^test +22 ", output, re.M)
    said = "in a split of 22 images, of which none may be, or a training ends: to be mended or removed, such as red/0"
    assert said in output


@pytest.mark.usefixtures("wide")
def test_classes_that_are_too_small_for_a_share_of_a_split_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, count in (("blue", 2), ("green", 2), ("red", 60), ("single", 1)):
        make_images(tmp_path, (name,), count=count)
    code, output, _ = planned(tmp_path, capsys)
    assert code == 0
    small = r"classes too small to have any {} image: {} *$"
    for row in (
        "no validation +3 +" + small.format("validation", "blue, green, single"),
        "no test +1 +" + small.format("test", "single"),
    ):
        assert re.search(f"^{row}", output, re.M), output
    assert "no train" not in output


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


def one_picture_again_and_again(root: Path) -> str:
    make_images(root, ("a", "b"), count=1)
    for file in sorted(root.rglob("0.png")):
        for number in range(1, 20):
            shutil.copy(file, file.with_stem(f"copy{number}"))
    return r"repeated +12 +images have the contents of one of another split \(a/\w+.png\), so that .*: remove all but"


def some_copies_of_each(root: Path) -> str:
    make_images(root, ("a", "b"), count=4)
    for file in sorted(root.rglob("?.png")):
        for number in range(1, 6):
            shutil.copy(file, file.with_stem(f"{file.stem} - Copy ({number})"))
    return r"repeated +\d+ +images have the contents of one of another split .*, such as [ab]/\d.*\.png"


def copies_of_large_images(root: Path) -> str:
    """Of which the ends alone are read."""
    make_images(root, ("a", "b"), count=8, size=(90, 90))
    shutil.copytree(root / "a", root / "a" / "again")
    for file in sorted(root.rglob("*.png")):
        with file.open("ab") as padded:
            padded.truncate(4_000_000)
    return r"repeated +\d +images have the contents of one of another split "


def copies_within_a_split(root: Path) -> str:
    make_images(root / "train", ("a", "b"), count=4)
    make_images(root / "val", ("a", "b"), count=4, size=(20, 23))
    shutil.copytree(root / "train" / "a", root / "train" / "a" / "again")
    return ""


@pytest.mark.usefixtures("wide")
@pytest.mark.parametrize(
    "make", [one_picture_again_and_again, some_copies_of_each, copies_of_large_images, copies_within_a_split]
)
def test_copies_in_several_of_the_splits_that_are_made_here_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], str]
) -> None:
    row = make(tmp_path / "images")
    code, output, error = planned(tmp_path / "images", capsys)
    assert code == 0, error
    found = re.search(f"^{row}", output, re.M) if row else "repeated" not in output
    assert found, output


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


@pytest.mark.usefixtures("wide")
def test_folders_that_tools_keep_for_themselves_are_no_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_images(tmp_path)
    for name in ("node_modules", "my environment", "thumbnail store", "Cache", "venv", ".svn", "cat/site-packages"):
        make_images(tmp_path / name, ("img",), count=1)
    (tmp_path / "my environment" / "pyvenv.cfg").touch()
    (tmp_path / "thumbnail store" / "CACHEDIR.TAG").touch()
    code, output, error = planned(tmp_path, capsys)
    assert code == 0, error
    assert re.search("^classes +2  cat, dog *$", output, re.M)
    assert re.search("^skipped +6 +left by an operating system or a tool, such as Cache *$", output, re.M)


@pytest.mark.usefixtures("wide")
def test_splits_beside_the_one_that_was_given_are_said_to_be_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_images(tmp_path / "flat" / "train")
    (make_images(tmp_path / "flat", ("test",)) / "dev").mkdir()
    code, output, _ = planned(tmp_path / "flat" / "train", capsys)
    assert code == 0
    assert re.search(r"^beside it +1 +folders beside it .* and are not read, such as \.\./test *$", output, re.M), (
        output
    )
    for name in ("train", "val", "Test"):
        make_images(tmp_path / "tv" / name)
    code, output, _ = planned(tmp_path / "tv" / "train", capsys)
    said = (
        rf"^beside it +2 +folders beside it .* are not read: data.root={tmp_path}/tv uses them all, such as \.\./Test"
    )
    assert code == 0 and re.search(said, output, re.M), output
    code, output, _ = planned(tmp_path / "tv", capsys)
    assert code == 0 and "beside it" not in output


@pytest.mark.usefixtures("wide")
def test_what_may_have_been_meant_to_be_read_is_named_among_what_was_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_images(tmp_path, count=20)
    picture = tmp_path / "cat" / "0.png"
    make_images(tmp_path, (".secret",), count=20)
    for name in ("IMG_1.HEIC", "IMG_2.heic", "raw.NEF", "scan", "trailing.png ", "notes.txt", "paper"):
        shutil.copy(picture, tmp_path / "cat" / name)
    (tmp_path / "cat" / "paper").write_text("no picture", encoding="utf-8")
    code, output, _ = planned(tmp_path, capsys)
    rows = [re.sub(" +", " ", line).strip() for line in output.splitlines() if line.startswith("skipped")]
    assert code == 0 and rows == [
        "skipped 2 .heic pictures that are not read: convert them to JPEG or PNG, such as cat/IMG_1.HEIC",
        "skipped 1 '.png ' files, pictures that are not read: let their names end in .jpg, .png, such as "
        "'cat/trailing.png '",
        "skipped 1 .nef pictures that are not read: convert them to JPEG or PNG, such as cat/raw.NEF",
        "skipped 1 files without a suffix, pictures that are not read: let their names end in .jpg, .png, such as "
        "cat/scan",
        "skipped 20 images in hidden folders, such as .secret/0.png",
        "skipped 1 .txt files, such as cat/notes.txt",
        "skipped 1 files without a suffix, such as cat/paper",
    ]


def test_long_names_of_classes_are_cut_in_their_middle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "a" + "b" * 240 + "c"
    make_images(tmp_path, ("cat", long), count=20)
    (tmp_path / long / "x.txt").write_text("x", encoding="utf-8")
    code, output, _ = planned(tmp_path, capsys)
    assert code == 0 and "bb…bb" in output and "b" * 100 not in output
