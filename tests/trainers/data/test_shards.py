"""Images in tar files: the same images as in folders, in any order, and what is wrong with them found and named."""

import gzip
import json
import random
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from search_spaces.errors import UserError
from tests.support.images import all_of, in_folders
from tests.support.shards import picture, write_shard, write_shards
from trainers.data.augmentation import Augmentation
from trainers.data.config import DataConfig, KnownFiles
from trainers.data.data_changes import data_changes
from trainers.data.datasets import ExaminedData, examine_data, load_test, load_train_validation
from trainers.data.file_index import read_index, write_index
from trainers.data.shard_listing import list_shards
from trainers.data.tar_members import member_of


def _config(root: Path | str, name: str = "tar_shards", **changes: object) -> DataConfig:
    values = {"image_size": 16, "validation_fraction": 0.25} | changes
    return DataConfig(name, str(root), **values)  # type: ignore[arg-type]


def _rows(found: ExaminedData) -> str:
    assert found.findings is not None
    return "\n".join(" ".join(row) for row in found.findings.rows())


def _unpacked(shards: Path, folder: Path) -> Path:
    for shard in sorted(shards.rglob("*.tar")):
        with tarfile.open(shard) as tar:
            tar.extractall(folder, filter="data")
    return folder


@pytest.mark.parametrize("workers", [0, 2])
def test_shards_hold_what_their_folders_would(tmp_path: Path, workers: int) -> None:
    shards = write_shards(tmp_path / "shards", "part")
    folders = _unpacked(shards, tmp_path / "folders")
    augmentation = Augmentation("resized_crop", 0, 1)
    for cache in (None, str(tmp_path / "cache")):
        config = _config(shards, loader_workers=workers, cache=cache)
        others = _config(folders, "image_folder")
        found = [*load_train_validation(config, keeps_in_memory=True), load_test(config)]
        expected = [*load_train_validation(others), load_test(others)]
        for one, other in zip(found, expected, strict=True):
            for each in (augmentation, None):
                torch.testing.assert_close(all_of(one, each, batch=3), all_of(other, each), rtol=0, atol=0)
    assert "class folders" not in _rows(examine_data(_config(shards)))


def test_splits_are_told_by_names_and_directories_and_patterns(tmp_path: Path) -> None:
    write_shards(tmp_path, "train", 2)
    write_shards(tmp_path / "val", "part", 1, first=100)
    write_shards(tmp_path, "test", 1, first=200)
    write_shards(tmp_path, "extra", 1, first=300)
    found = examine_data(_config(tmp_path))
    assert (found.summary.train_images, found.summary.validation_images, found.summary.test_images) == (16, 8, 8)
    assert "train 16 2 shards, classes by folder" in _rows(found)
    assert "skipped 1 shards of no split, such as extra-000.tar" in _rows(found)
    pattern = examine_data(_config(f"{tmp_path}/{{train,test}}-{{000..000}}.tar"))
    assert (pattern.summary.train_images, pattern.summary.test_images) == (6, 8)
    assert set(member_of(file).shard for file in pattern.index.files) == {  # type: ignore[union-attr]
        f"{tmp_path}/train-000.tar",
        f"{tmp_path}/test-000.tar",
    }


def test_classes_are_told_by_cls_and_json(tmp_path: Path) -> None:
    write_shard(
        tmp_path / "a.tar",
        {f"{n}.png": picture(n) for n in range(12)} | {f"{n}.cls": b"%d\n" % (n % 2 + 9) for n in range(12)},
    )
    labels = {f"x/{n}.json": json.dumps({"label": n % 2 + 9, "more": []}).encode() for n in range(20, 32)}
    write_shard(tmp_path / "b.tar", labels | {f"x/{n}.png": picture(n) for n in range(20, 32)})
    found = examine_data(_config(tmp_path))
    assert found.summary.classes == 2 and found.fingerprint.classes == ("9", "10")
    assert found.summary.train_images + found.summary.validation_images + found.summary.test_images == 24
    train, _ = load_train_validation(_config(tmp_path))
    split = in_folders(train)
    for file, label in zip(split.files_I.tolist(), split.labels_I.tolist(), strict=True):
        member = member_of(file.decode())
        assert member is not None and int(Path(member.name).stem) % 2 == label


def _members(names: str, images: str = "", **labels: Callable[[int], object]) -> dict[str, bytes]:
    """Twelve images by a pattern of their names, each with files of what is said of it, by their suffixes."""
    pictures = {(images or f"{names}.png") % n: picture(n) for n in range(12)}
    return pictures | {
        f"{names % n}.{suffix}": str(label(n)).encode() for suffix, label in labels.items() for n in range(12)
    }


def _in_folders(folder: Callable[[int], str], label: Callable[[int], str]) -> dict[str, bytes]:
    images = {f"{folder(n)}/{n}.png": picture(n) for n in range(12)}
    return images | {f"{folder(n)}/{n}.cls": label(n).encode() for n in range(12)}


def _half(number: int) -> str:
    return f"part-{number // 6}"


def _sixth(number: int) -> str:
    return str(number % 6)


def _rest(number: int) -> str:
    return str(number % 3)


def _third(number: int) -> str:
    return ("red", "green", "blue")[number % 3]


def _thirds(images: str) -> dict[str, str]:
    return {images % n: _third(n) for n in range(12)}


def _always(said: object) -> Callable[[int], object]:
    return lambda number: said


def _json(**said: Callable[[int], object]) -> Callable[[int], str]:
    return lambda number: json.dumps({key: of(number) for key, of in said.items()})


def _classes_found(root: Path) -> dict[str, str]:
    """The class of each image by its name."""
    found = {}
    for folder in list_shards(str(root)).folders.values():
        for file, label in zip(folder.files, folder.labels, strict=True):
            member = member_of(file)
            assert member is not None
            found[member.name] = folder.classes[label]
    return found


NUMBERS = {f"{n}.png": str(n % 3) for n in range(12)}
SPACED = ("golden retriever", "7 of 9", "4e00")
# Members of a shard, and the classes of its images.
READ: dict[str, tuple[dict[str, bytes], dict[str, str]]] = {
    "inner dots, a key for several": (_members("v0.%04d", cls=_third), _thirds("v0.%04d.png")),
    "inner dots, one key for all": (_members("a.b/c.d.%05d", cls=_third), _thirds("a.b/c.d.%05d.png")),
    "inner dots and json": (_members("v.%d", json=_json(label=_third)), _thirds("v.%d.png")),
    "names of WebDataset": (_members("%05d", "%05d.image.png", cls=_third), _thirds("%05d.image.png")),
    "labels without images": (_members("%d", cls=_third) | {"12.a.cls": b"7", "12.b.cls": b"8"}, _thirds("%d.png")),
    "cls and json alike": (_members("%d", cls=_rest, json=_json(label=_rest)), NUMBERS),
    "a number and its name": (_members("%d", json=_json(**{"class": _third, "label": _rest})), NUMBERS),
    "a number, and its name in json": (_members("%d", cls=_rest, json=_json(label=_third)), NUMBERS),
    "two numbers of each": (_members("%d", json=_json(**{"class": lambda n: (n + 1) % 3, "label": _rest})), NUMBERS),
    "cls, and json that is no label": (_members("%d", cls=_rest, json=_json(width=_rest)), NUMBERS),
    "folders, and json that is no label": (
        {
            f"{_third(n)}/{n}.{kind}": picture(n) if kind == "png" else b'{"url": 1}'
            for n in range(12)
            for kind in ("json", "png")
        },
        {f"{_third(n)}/{n}.png": _third(n) for n in range(12)},
    ),
    "null and a name": (_members("%d", json=_json(label=_always(None), cls=_third)), _thirds("%d.png")),
    "a mark before text": (_members("%d", cls=lambda n: "\ufeff" * (n % 2) + _third(n)), _thirds("%d.png")),
    "a mark before json": (_members("%d", json=lambda n: "\ufeff" + _json(label=_third)(n)), _thirds("%d.png")),
    "names with spaces": (
        _members("%d", cls=lambda n: f"{SPACED[n % 3]}\r\n"),
        {f"{n}.png": SPACED[n % 3] for n in range(12)},
    ),
    "folders, one for each class": (_in_folders(_rest, _third), {f"{n % 3}/{n}.png": _third(n) for n in range(12)}),
    "folders of parts": (_in_folders(_half, _third), {f"{_half(n)}/{n}.png": _third(n) for n in range(12)}),
    "folders of finer classes": (_in_folders(_sixth, _third), {f"{n % 6}/{n}.png": _third(n) for n in range(12)}),
    "folders of coarser classes": (_in_folders(_third, _sixth), {f"{_third(n)}/{n}.png": _sixth(n) for n in range(12)}),
}


@pytest.mark.parametrize("order", ["as written", "labels first", "shuffled"])
@pytest.mark.parametrize("case", READ)
def test_each_image_has_the_class_that_its_own_label_says(tmp_path: Path, case: str, order: str) -> None:
    members, classes = READ[case]
    written = list(members.items())
    if order == "labels first":
        written.reverse()
    elif order == "shuffled":
        random.Random(case).shuffle(written)
    write_shard(tmp_path / "train-000.tar", written)
    assert _classes_found(tmp_path) == classes


def test_one_reading_of_names_holds_for_all_shards(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-000.tar", _members("%d", cls=_third))
    write_shard(tmp_path / "train-001.tar", _members("v0.%d", cls=_third))
    write_shard(tmp_path / "test-000.tar", _members("a.%d", cls=_third))
    assert _classes_found(tmp_path) == _thirds("%d.png") | _thirds("v0.%d.png") | _thirds("a.%d.png")
    write_shard(tmp_path / "test-001.tar", _members("%d", "%d.image.png", cls=_third))
    with pytest.raises(UserError, match=r"are one sample.* which '0\.image\.png' in shard '.*test-001\.tar' has not"):
        list_shards(str(tmp_path))


# Members of a shard, and what is said of it.
UNCLEAR: dict[str, tuple[dict[str, bytes], str]] = {
    "an image without its own label": (
        {name: content for name, content in _members("v0.%d", cls=_third).items() if name != "v0.7.cls"},
        r"'v0\.0\.cls', 'v0\.0\.png', 'v0\.1\.cls', 'v0\.1\.png' and 19 more in shard '.*train-000\.tar' "
        r"are one sample by their names up to the first dot, 'v0': .* which 'v0\.7\.png' in shard '.*' has not",
    ),
    "two pictures of a name": (
        _members("%d", cls=_third) | {"3.jpg": picture(20)},
        r"'3\.cls', '3\.jpg', '3\.png' in shard '.*' are one sample by .* first dot, '3': expected",
    ),
    "a mask": (
        _members("%d", "%d.image.png", cls=_third) | {"3.seg.png": picture(20)},
        r"'3\.cls', '3\.image\.png', '3\.seg\.png' in shard '.*' are one sample by .* first dot, '3': expected",
    ),
    "two labels": (
        _members("%d", "%d.image.png", cls=_third) | {"3.other.cls": b"green"},
        r"'3\.cls', '3\.image\.png', '3\.other\.cls' in shard '.*' are one sample by .* first dot, '3': expected",
    ),
    "cls and json": (
        _members("%d", cls=_rest, json=_json(label=lambda n: (n + (n == 5)) % 3)),
        r"image '5\.png' in shard '.*train-000\.tar' is of class '2' by its \.cls and of '0' by its \.json \('label'\)",
    ),
    "cls and json, shifted": (
        _members("%d", cls=_rest, json=_json(label=lambda n: (n + 1) % 3)),
        r"is of class '\d' by its \.cls and of '\d' by its \.json \('label'\): expected the same",
    ),
    "a number with two names": (
        _members("%d", json=_json(**{"label": _rest, "class": lambda n: _third(n + (n == 5))})),
        r"image '5\.png' in .* is of class '2' by its \.json \('label'\) and of 'red' by its \.json \('class'\)",
    ),
    "a name with two numbers": (
        _members("%d", json=_json(**{"label": lambda n: n % 4, "class": lambda n: ("a", "b")[n % 2]})),
        r"is of class '\d' by its \.json \('label'\) and of '[ab]' by its \.json \('class'\)",
    ),
    "a number here and a name there": (
        _members("%d", json=lambda n: _json(**{"label": _rest, "class": _third} if n else {"class": _third})(n)),
        r"is of class '\d' by its \.json \('label'\) and of '\w+' by its \.json \('class'\): expected the same, or",
    ),
    "folders of other names": (
        _in_folders(_third, lambda n: _third(n + (n == 5))),
        r"image 'blue/5\.png' in shard '.*' lies in folder 'blue' and is of class 'red' .* stands for 'blue'",
    ),
    "folders of most of a class": (
        _in_folders(_third, lambda n: _rest(n + (n == 5))),
        r"image 'blue/5\.png' in shard '.*' lies in folder 'blue' and is of class '0' .* stands for '2'",
    ),
    "a number in two forms": (
        _members("%d", cls=lambda n: ("1", "01", "2")[n % 3]),
        "has class labels '01' and '1', which are the same number: expected one label a class",
    ),
    **{
        f"no class: {text!r}": (_members("%d", cls=_always(text)), "0.cls' names no class: it has")
        for text in ("0 1", "0\n1", "0,1", "[0, 1]", "0.5", "-.5", "1.0", "2e-3", "0.5 0.5", "red\nblue", " \n")
    },
    "no class in json": (
        _members("%d", json=_json(label=_always("0 1"))),
        r"'.*/0\.json' names no class: it has '0 1', expected one whole number or one name",
    ),
    "several classes in json": (
        _members("%d", json=_json(**{"label": _rest, "class": _always(["red", "blue"])})),
        r"'.*/0\.json' names no class: it has \['red', 'blue'\], expected",
    ),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_an_unclear_label_is_an_error_and_no_guess(tmp_path: Path, case: str) -> None:
    members, message = UNCLEAR[case]
    write_shard(tmp_path / "train-000.tar", members)
    with pytest.raises(UserError, match=message) as caught:
        list_shards(str(tmp_path))
    assert "\n" not in str(caught.value)
    # Which image is named, and by which of its files, is another matter.
    write_shard(tmp_path / "train-000.tar", random.Random(case).sample(list(members.items()), len(members)))
    with pytest.raises(UserError):
        list_shards(str(tmp_path))


def test_a_copy_of_another_class_is_an_error(tmp_path: Path) -> None:
    write_shard(tmp_path / "train-000.tar", _members("%d", cls=_third))
    write_shard(tmp_path / "train-001.tar", {"4.png": picture(4), "4.cls": b"green"})
    assert _classes_found(tmp_path) == _thirds("%d.png")
    write_shard(tmp_path / "train-001.tar", {"4.png": picture(4), "4.cls": b"red"})
    with pytest.raises(UserError, match=r"'4\.png' is the same in the shards .* and of class 'green' in one, of 'red'"):
        list_shards(str(tmp_path))


def test_folders_without_labels_may_hold_any_names(tmp_path: Path) -> None:
    images = {f"{_third(n)}/v0.{n}{suffix}": picture(n) for n in range(12) for suffix in (".png", ".jpg")}
    write_shard(tmp_path / "train-000.tar", images | {"red/more.json": b'{"label": 5}'})
    assert _classes_found(tmp_path) == {name: name.partition("/")[0] for name in images}


def _cut(root: Path) -> None:
    shard = root / "train-001.tar"
    shard.write_bytes(shard.read_bytes()[:3000])


def _cut_at_a_member(root: Path) -> None:
    with tarfile.open(root / "train-001.tar") as tar:
        end = tar.getmembers()[4].offset
    (root / "train-001.tar").write_bytes((root / "train-001.tar").read_bytes()[:end])


def _damage_a_header(root: Path) -> None:
    shard = root / "train-001.tar"
    with tarfile.open(shard) as tar:
        place = tar.getmembers()[4].offset
    content = bytearray(shard.read_bytes())
    content[place + 150] ^= 0xFF
    shard.write_bytes(content)


def _write(name: str, members: dict[str, bytes]) -> Callable[[Path], object]:
    return lambda root: write_shard(root / name, members)


ONE = {"1.png": picture(1)}
PROBLEMS: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (_cut, r"shard '.*n-001\.tar' cannot be read as a tar file"),
    "truncated between members": (_cut_at_a_member, r"'.*n-001\.tar' is not whole: it breaks off .* after 4 images"),
    "damaged": (_damage_a_header, r"'.*n-001\.tar' is not whole: a header is damaged at byte"),
    "missing": (
        lambda root: (root / "train-001.tar").unlink(),
        r"1 of the shards '.*train' up to number 2 are missing, such as number 1",
    ),
    "missing of so many": (
        lambda root: (root / "train-002.tar").rename(root / "val-2-of-4.tar"),
        r"3 of the shards '.*val' up to number 4 are missing, such as number 1",
    ),
    "compressed": (lambda root: (root / "a.tar.gz").write_bytes(b""), r"'.*a\.tar\.gz' is compressed"),
    "compressed by another name": (
        lambda root: (root / "train-001.tar").write_bytes(gzip.compress((root / "train-001.tar").read_bytes())),
        r"'.*n-001\.tar' is compressed, so its images cannot be read one by one: unpack it to a \.tar\.",
    ),
    "one class in a split": (
        _write("val-000.tar", {"a/cat/1.png": picture(1), "a/cat/1.cls": b"cat"}),
        r"the shards of 'validation' in '.*' have 1 class: expected at least two",
    ),
    "no tar file": (
        lambda root: (root / "train-003.tar").write_bytes(b"none" * 1000),
        r"'.*n-003\.tar' cannot be read as a tar file",
    ),
    "no class": (_write("train-003.tar", ONE), r"image '1\.png' in shard '.*n-003\.tar' has no class"),
    "one without": (_write("train-003.tar", ONE | {"1.cls": b"cat"}), r"has neither a \.cls nor a \.json"),
    "no label": (
        _write("train-003.tar", ONE | {"1.json": b"{}"}),
        r"image '1\.png' in .* a JSON object with one of label, cls, class",
    ),
    "no json": (_write("train-003.tar", ONE | {"1.json": b"{"}), r"'.*1\.json' cannot be read"),
    "a broken link": (
        lambda root: (root / "train-003.tar").symlink_to(root / "gone.tar"),
        r"'.*n-003\.tar' is a link to what is not there, and named as a shard: expected a tar file",
    ),
    "a broken link to a split": (
        lambda root: (root / "val").symlink_to(root / "gone"),
        r"'.*/val' is a link to what is not there, which may be shards of a split",
    ),
    "a folder named as a shard": (lambda root: (root / "train-003.tar").mkdir(), r"'.*n-003\.tar' is a folder, and"),
    "a tar for each class": (
        lambda root: [
            one.rename(root / f"n0{number}.tar")
            for one, number in zip(sorted(root.glob("train-*.tar")), (1440764, 1443537, 1484850), strict=False)
        ],
        r"of the shards '.*/n' up to number \d+ are missing.* If each is of a class, unpack them into folders of their",
    ),
    "folders in two readings": (
        lambda root: [
            write_shard(one, [(f"{part}/{name}/{part}.png", picture(1)) for part in "ab" for name in ("cat", "dog")])
            for one in root.glob("*.tar")
        ],
        "can be read in two ways: its folders 'a', 'b' hold no images themselves, but folders of the same names",
    ),
    "splits in short": (
        lambda root: [
            one.rename(root / f"{'te' if '2' in one.name else 'tr'}{one.name[5:]}")
            for one in sorted(root.glob("train-*.tar"))
        ],
        r"the shards in '.*' look like those of splits \('te-.*', 'tr-.*'\): expected names",
    ),
    "splits in longer names": (
        lambda root: [
            one.rename(root / f"{'inet-val' if '2' in one.name else 'inet-train'}{one.name[5:]}")
            for one in sorted(root.glob("train-*.tar"))
        ],
        r"the shards in '.*' look like those of splits \('inet-train-.*', 'inet-val-.*'\): expected names",
    ),
    "other classes": (
        _write("val-000.tar", {"cat/1.png": picture(1), "cow/1.png": picture(2)}),
        "the classes of 'train' and 'validation' differ: 'dog' is in 'train' alone, 'cow' is in 'validation' alone",
    ),
    "a broken first image": (
        _write("train-000.tar", {"cat/00000.png": b"none", "dog/1.png": picture(1)}),
        r"image '.*n-000\.tar/cat/00000\.png@512\+4' cannot be read",
    ),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_what_is_wrong_is_named(tmp_path: Path, problem: str) -> None:
    write_shards(tmp_path)
    break_it, message = PROBLEMS[problem]
    break_it(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        examine_data(_config(tmp_path))
    assert "\n" not in str(caught.value)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    write_shards(tmp_path)
    with pytest.raises(UserError, match=r"train-003\.tar' is missing \(1 of 4 are not there\)"):
        examine_data(_config(f"{tmp_path}/train-{{000..003}}.tar"))
    with pytest.raises(UserError, match="there is no directory"):
        examine_data(_config(tmp_path / "none"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"holds no shards: expected files that end in \.tar"):
        examine_data(_config(tmp_path / "empty"))
    write_shard(tmp_path / "one" / "a.tar", {"1.png": picture(1), "1.cls": b"cat"})
    with pytest.raises(UserError, match=r"the shards in '.*one' have 1 class: expected at least two"):
        examine_data(_config(tmp_path / "one"))
    write_shards(tmp_path / "half", "val")
    with pytest.raises(UserError, match="has shards of 'validation' and none of 'train'"):
        examine_data(_config(tmp_path / "half"))


def test_copies_and_small_shards_are_counted(tmp_path: Path) -> None:
    write_shards(tmp_path, count=4)
    several = [("cat/1.png", picture(500)), ("cat/1.png", picture(501)), ("dog/._1.png", b""), ("dog/notes.txt", b"")]
    write_shard(tmp_path / "train-000.tar", [*several, ("dog/00009.png", picture(9)), ("dog/2.png", picture(502))])
    rows = _rows(examine_data(_config(tmp_path)))
    assert "skipped 1 replaced by a later member of the same name, such as train-000.tar/cat/1.png" in rows
    assert "skipped 1 images that another shard holds, too, such as train-001.tar/dog/00009.png" in rows
    assert "skipped 1 hidden, such as train-000.tar/dog/._1.png" in rows and "skipped 1 .txt files" in rows
    assert "shards 1 hold fewer than half as many images as most do, such as train-000.tar" in rows


def test_shards_are_known_again_elsewhere_and_by_their_index(tmp_path: Path) -> None:
    root = write_shards(tmp_path / "here")
    before, index = examine_data(_config(root)), tmp_path / "data.index"
    assert before.index is not None
    write_index(index, before.index)
    read = read_index(index)
    assert read is not None and read.listing == before.index.listing and read.files == before.index.files
    there = root.rename(tmp_path / "there")
    moved = examine_data(_config(there))
    assert moved.fingerprint == before.fingerprint
    # So they are where a shard was packed in another order, or a member in it mended.
    with tarfile.open(there / "train-001.tar") as tar:
        members = [(member.name, tar.extractfile(member).read()) for member in tar]  # type: ignore[union-attr]
    write_shard(there / "train-001.tar", members[::-1])
    moved = examine_data(_config(there))
    assert moved.fingerprint == before.fingerprint
    write_index(index, moved.index)  # type: ignore[arg-type]
    known = KnownFiles(str(index), moved.fingerprint.digest)
    expected = all_of(load_train_validation(_config(there))[0])
    torch.testing.assert_close(all_of(load_train_validation(_config(there), known)[0]), expected, rtol=0, atol=0)
    images = {f"{('cat', 'dog')[place % 2]}/{place:05d}.png": picture(place + (place == 3)) for place in range(8)}
    write_shard(there / "train-000.tar", images)
    changes = data_changes(before.fingerprint, index, examine_data(_config(there)))
    assert changes and "train-000.tar/" in " ".join(changes)


def test_an_unreadable_member_is_counted_as_a_file_would_be(tmp_path: Path) -> None:
    root = write_shards(tmp_path, count=10, each=40)
    train = in_folders(load_train_validation(_config(root))[0])
    member = member_of(train.files_I[7].decode())
    assert member is not None
    with open(member.shard, "r+b") as shard:
        shard.seek(member.offset)
        shard.write(bytes(member.size))
    images, _ = all_of(train, Augmentation("flip_crop", 0, 1))
    assert len(images) == len(train) and list(train.unreadable) == [str(member)]


def test_one_shard_may_be_named_and_what_is_none_is_a_mistake(tmp_path: Path) -> None:
    write_shards(tmp_path, "part", 2)
    found = examine_data(_config(tmp_path / "part-001.tar"))
    assert found.index is not None and found.fingerprint.files == 8
    assert {member.shard for file in found.index.files if (member := member_of(file))} == {
        str(tmp_path / "part-001.tar")
    }
    (tmp_path / "notes.txt").write_text("no shard", encoding="utf-8")
    for name, config, said in (
        ("part-002.tar", "tar_shards", "part-002.tar' is missing"),
        ("notes.txt", "tar_shards", "is a file that is no shard: expected a directory of files that end in .tar"),
        ("part-001.tar", "image_folder", "is an archive.*or leave it as it is with data=tar_shards"),
    ):
        with pytest.raises(UserError, match=said):
            examine_data(_config(tmp_path / name, config))
