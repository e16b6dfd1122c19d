"""Image folders as people have them, as `--plan` shows them to whoever asks."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.entries.test_search import run
from tests.support.images import make_images
from tests.support.plans import planned


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
    said = "1 in the test split, of 22 images, of which none may be, or a training ends: to be mended or removed"
    assert f"{said}, such as red/0" in output


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
