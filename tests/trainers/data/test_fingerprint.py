"""What a data set is known by: whatever makes it another one, and not where it lies, since when, or in what order."""

import itertools
import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.images import make_images
from trainers.data import content_sample, fingerprint
from trainers.data.content_sample import content_digests, file_sizes, sampled
from trainers.data.digits_source import digits_fingerprint
from trainers.data.file_index import scan_files
from trainers.data.fingerprint import (
    DataFiles,
    DataFingerprint,
    content_differences,
    differences,
    summary_differences,
)


def files_of(root: Path) -> DataFiles:
    return scan_files(str(root)).data_files


def same_size(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)


def exchange(one: Path, other: Path) -> None:
    content = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(content)


def swapped_labels(root: Path) -> None:
    exchange(root / "cat" / "0.png", root / "dog" / "3.png")


def renamed_class(root: Path) -> None:
    (root / "dog").rename(root / "wolf")


def exchanged_classes(root: Path) -> None:
    (root / "dog").rename(root / "x")
    (root / "cat").rename(root / "dog")
    (root / "x").rename(root / "cat")


# The second is how it reads where nothing is known of the files but the fingerprint of their set.
CHANGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "one image, of the same size": (
        lambda root: same_size(root / "cat" / "1.png"),
        r"'cat/1\.png' has other contents$",
        "the contents of files differ",
    ),
    "swapped labels": (
        swapped_labels,
        r"2 files have other .*, such as 'cat/0\.png' \(what it was is now 'dog/3\.png'\)$",
        "",
    ),
    "exchanged classes": (exchanged_classes, r"files have other ", ""),
    "a renamed class": (
        renamed_class,
        r"class 'dog' is missing; class 'wolf' is new$",
        "class 'dog' is missing; class 'wolf' is new",
    ),
    "an image more": (
        lambda root: shutil.copy(root / "cat" / "0.png", root / "cat" / "new.png"),
        r"'cat/new\.png' is new$",
        "16 files then, 17 now",
    ),
    "an image less": (
        lambda root: (root / "dog" / "7.png").unlink(),
        r"'dog/7\.png' is gone$", "16 files then, 15 now"),
    "a renamed image": (
        lambda root: (root / "dog" / "7.png").rename(root / "dog" / "8.png"),
        r"'dog/7\.png' is gone; 'dog/8\.png' is new$",
        "names or sizes of files differ",
    ),
    "two images of other sizes": (
        lambda root: [(root / "cat" / f"{number}.png").write_bytes(b"x") for number in (1, 2)],
        r"2 files have other file sizes, such as 'cat/1\.png'$",
        "bytes then",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_makes_it_another_data_set_is_named(tmp_path: Path, change: str) -> None:
    make, named, summary = CHANGES[change]
    before = files_of(make_images(tmp_path / "images"))
    make(tmp_path / "images")
    after = files_of(tmp_path / "images")
    assert before.fingerprint() != after.fingerprint() and before.fingerprint().digest != after.fingerprint().digest
    said = "; ".join(differences(before, after))
    assert re.search(named, said), said
    assert summary in "; ".join(summary_differences(before.fingerprint(), after.fingerprint()))


def test_what_changes_nothing_in_it_is_no_difference(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_images(tmp_path / "images")
    (root / "cat" / "deep").mkdir()
    shutil.move(root / "cat" / "0.png", root / "cat" / "deep" / "0.png")
    before = files_of(root).fingerprint()
    # Copied elsewhere, by something that keeps no times, and with what is no image beside them.
    copied = Path(shutil.copytree(root, tmp_path / "elsewhere" / "of another name", copy_function=shutil.copyfile))
    (copied / "cat" / "notes.txt").write_text("taken in May", encoding="utf-8")
    (copied / "dog" / ".DS_Store").write_bytes(b"left")
    assert files_of(copied).fingerprint() == before
    for number, file in enumerate(sorted(root.rglob("*"))):
        os.utime(file, (number, number))
    assert files_of(root).fingerprint() == before
    # Linked, from the root on and file by file.
    (tmp_path / "link").symlink_to(root)
    (copied / "dog" / "1.png").unlink()
    (copied / "dog" / "1.png").symlink_to(root / "dog" / "1.png")
    assert files_of(tmp_path / "link").fingerprint() == files_of(copied).fingerprint() == before
    listed = os.scandir

    class Shuffled(list):  # type: ignore[type-arg]
        def __enter__(self) -> "Shuffled":
            return self

        def __exit__(self, *raised: object) -> None: ...

    def shuffled(directory: str) -> Shuffled:
        with listed(directory) as entries:
            return Shuffled(random.Random(1).sample(found := list(entries), len(found)))

    monkeypatch.setattr(os, "scandir", shuffled)
    assert files_of(root).fingerprint() == before


def test_a_file_that_cannot_be_read_is_known_as_such(tmp_path: Path) -> None:
    """As where it goes away between the scan and the look at it."""
    gone, names = tmp_path / "gone.png", ["cat/nowhere.png"]

    def looked_at() -> DataFiles:
        digests = content_digests([str(gone)], whole=True)
        return DataFiles(("cat",), names, file_sizes([str(gone)]), dict(zip(names, digests, strict=True)))

    found = looked_at()
    assert (found.contents, found.sizes) == ({"cat/nowhere.png": "unreadable"}, [-1])
    gone.write_bytes(b"back")
    assert differences(found, looked_at()) == ["'cat/nowhere.png' has another file size"]


def test_names_that_are_no_text_are_names(tmp_path: Path) -> None:
    root = make_images(tmp_path)
    os.rename(root / "cat" / "0.png", os.fsencode(root / "cat") + b"/\xff\n.png")
    found = files_of(root).fingerprint()
    assert DataFingerprint.from_json(json.loads(json.dumps(found.to_json()))) == found


def test_the_contents_of_a_great_data_set_are_sampled_from_every_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same files, whatever lies beside them and in whatever order they come."""
    counts = {"a": 13, "b": 3, "c": 40}
    paths = [f"{name}/{number}.png" for name, count in counts.items() for number in range(count)]
    ends = [0, *itertools.accumulate(counts.values())]
    classes = [range(start, end) for start, end in itertools.pairwise(ends)]
    monkeypatch.setattr(content_sample, "SAMPLED_FILES", 15)
    found = [paths[place] for place in sampled(paths, classes, whole=False)]
    assert [sum(path.startswith(name) for path in found) for name in counts] == [5, 3, 5]
    order = random.Random(0).sample(range(len(paths)), len(paths))
    mixed = [paths[place] for place in order]
    of_class = [[place for place, path in enumerate(mixed) if path.startswith(name)] for name in counts]
    assert {mixed[place] for place in sampled(mixed, of_class, whole=False)} == set(found)
    assert sampled(paths, classes, whole=True) == list(range(len(paths)))


def test_the_ends_of_great_files_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_images(tmp_path / "images", size=(64, 64))
    monkeypatch.setattr(content_sample, "SMALL_BYTES", 1000)
    monkeypatch.setattr(content_sample, "END_BYTES", 1000)
    before = files_of(root)
    assert all(digest.startswith("ends:") for digest in before.contents.values())
    same_size(root / "dog" / "2.png")
    assert differences(before, files_of(root)) == ["'dog/2.png' has other contents"]
    # Read whole, the contents cannot be compared with their ends, and say nothing.
    monkeypatch.setattr(content_sample, "SMALL_BYTES", 10**9)
    assert differences(before, files_of(root)) == []


def test_marks_tell_which_file_has_other_contents_and_are_no_part_of_what_it_is_known_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_images(tmp_path / "images")

    def found() -> tuple[DataFingerprint, DataFiles]:
        files = files_of(root)
        return files.fingerprint(), files

    before, _ = found()
    earlier = DataFingerprint.from_json(
        {name: value for name, value in before.to_json().items() if "marks" not in name}
    )
    assert earlier == before and earlier.digest == before.digest and earlier.contents_marks is None
    same_size(root / "cat" / "3.png")
    now, files = found()
    assert content_differences(before, now, files.contents) == ["'cat/3.png' has other contents"]
    assert content_differences(earlier, now, files.contents) == []
    same_size(root / "dog" / "0.png")
    now, files = found()
    assert content_differences(before, now, files.contents) == ["2 files have other contents, such as 'cat/3.png'"]
    (root / "dog" / "0.png").write_bytes(b"shorter")
    now, files = found()
    assert content_differences(before, now, files.contents) == []
    # Of more files than marks, neighbours have one together.
    monkeypatch.setattr(fingerprint, "MOST_MARKS", 4)
    before, _ = found()
    same_size(root / "cat" / "6.png")
    now, files = found()
    assert len(now.contents_marks or "") == 12
    assert content_differences(before, now, files.contents) == [
        "a file from 'cat/4.png' to 'cat/7.png' has other contents"
    ]


def test_the_digits_have_one_too() -> None:
    found = digits_fingerprint()
    assert found == digits_fingerprint() and found.classes == tuple("0123456789")
    assert DataFingerprint.from_json(found.to_json()) == found


def test_classes_whose_names_only_look_the_same_are_told_apart() -> None:
    composed, decomposed = (
        DataFiles(classes, (), (), {}).fingerprint() for classes in (("caf\xe9", "tea"), ("cafe\u0301", "tea"))
    )
    *_, said = summary_differences(composed, decomposed)
    assert "differ in Unicode normalisation alone (they are 'cafe\\u0301' and 'caf\\xe9'): rename the first" in said
