"""Images in tar files: the same images as in folders, in any order, and what is wrong with them found and named."""

import json
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
    assert "skipped 1 folders that are no split, such as extra-000.tar" in _rows(found)
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
    "no tar file": (
        lambda root: (root / "train-003.tar").write_bytes(b"none" * 1000),
        r"'.*n-003\.tar' cannot be read as a tar file",
    ),
    "no class": (_write("train-003.tar", ONE), r"image '1\.png' in shard '.*n-003\.tar' has no class"),
    "one without": (_write("train-003.tar", ONE | {"1.cls": b"cat"}), r"has neither a \.cls nor a \.json"),
    "no label": (_write("train-003.tar", ONE | {"1.json": b"{}"}), r"'.*1\.json' names no class"),
    "no json": (_write("train-003.tar", ONE | {"1.json": b"{"}), r"'.*1\.json' cannot be read"),
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
