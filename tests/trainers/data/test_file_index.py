"""The index of a data set: it stands for a scan, is believed while nothing has changed, and is never in the way."""

import logging
import multiprocessing
import os
import shutil
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from search_spaces.errors import UserError
from tests.support.images import folder_config, in_folders, make_images
from tests.support.present import present
from trainers.data import content_sample, datasets, file_index
from trainers.data.config import DataConfig, KnownFiles
from trainers.data.datasets import ImagesChanged, examine_data, load_test, load_train_validation
from trainers.data.file_index import FileIndex, is_current, keep_index, read_index, scan_files, write_index

LONG_AGO_NS = 10**18


@pytest.fixture
def config(tmp_path: Path) -> DataConfig:
    """A data set that nobody has touched for years: what was changed just now is scanned again, index or not."""
    root = make_images(tmp_path / "images" / "train")
    make_images(tmp_path / "images" / "val", count=3)
    make_images(tmp_path / "images" / "test", count=4)
    settle(root.parent)
    return folder_config(root.parent)


def settle(root: Path) -> None:
    for directory in (root, *root.rglob("*/")):
        os.utime(directory, ns=(LONG_AGO_NS, LONG_AGO_NS))


def index_of(config: DataConfig) -> FileIndex:
    return present(examine_data(config).index)


def scans(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The roots that are scanned from now on."""
    roots: list[str] = []

    def noted(root: str, **kind: bool) -> FileIndex:
        roots.append(root)
        return scan_files(root, **kind)

    monkeypatch.setattr(datasets, "scan_files", noted)
    return roots


def test_an_index_comes_back_equal_and_stands_for_a_scan(
    tmp_path: Path, config: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.rename(tmp_path / "images" / "train" / "cat" / "0.png", os.fsencode(tmp_path) + b"/images/train/cat/\xff\n.png")
    settle(tmp_path / "images")
    scanned, path = examine_data(config), tmp_path / "runs" / "data.index"
    write_index(path, present(scanned.index))
    assert read_index(path) == scanned.index
    scanned_splits = [*load_train_validation(config), load_test(config)]
    roots = scans(monkeypatch)
    assert examine_data(config, path) == scanned
    known = KnownFiles(str(path), scanned.fingerprint.digest)
    splits = [*load_train_validation(config, known), load_test(config, known)]
    for split, before in zip(splits, scanned_splits, strict=True):
        assert in_folders(split).files_I.tolist() == in_folders(before).files_I.tolist()
        assert in_folders(split).labels_I.tolist() == in_folders(before).labels_I.tolist()
    assert roots == []


def overwrite(root: Path) -> None:
    file = root / "train" / "cat" / "1.png"
    file.write_bytes(file.read_bytes()[:-1] + b"x")


CHANGES: dict[str, Callable[[Path], object]] = {
    "an image more": lambda root: shutil.copy(root / "val" / "cat" / "0.png", root / "val" / "cat" / "9.png"),
    "an image less": lambda root: (root / "test" / "dog" / "0.png").unlink(),
    "a class more": lambda root: [make_images(root / split, ("wolf",)) for split in ("train", "val", "test")],
    "another size": lambda root: Image.new("RGB", (40, 30), "red").save(root / "train" / "cat" / "1.png"),
    "other contents in place": overwrite,
    "a folder gone": lambda root: shutil.rmtree(root / "test"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_stale_index_is_noticed(tmp_path: Path, config: DataConfig, change: str) -> None:
    path = tmp_path / "data.index"
    write_index(path, index_of(config))
    assert is_current(present(read_index(path)), contents=True)
    CHANGES[change](tmp_path / "images")
    assert not is_current(present(read_index(path)), contents=True)
    found, scanned = examine_data(config, path), examine_data(config)
    assert (found.summary, found.fingerprint) == (scanned.summary, scanned.fingerprint)


def test_who_begins_to_train_looks_at_times_and_sizes_alone(tmp_path: Path, config: DataConfig) -> None:
    """Every worker does: the driver has looked at the contents just before."""
    found, path = examine_data(config), tmp_path / "data.index"
    keep_index(path, present(found.index))
    overwrite(tmp_path / "images")
    assert is_current(present(found.index), contents=False)
    Image.new("RGB", (40, 30), "red").save(tmp_path / "images" / "train" / "cat" / "new.png")
    known = KnownFiles(str(path), found.fingerprint.digest)
    said = (
        r"have changed since the training began: 'train/cat/new\.png' is new; 'train/cat/1\.png' has other contents\. "
        r"Take away what is new, and bring the other images back, and it goes on\."
    )
    with pytest.raises(ImagesChanged, match=said):
        load_train_validation(config, known)
    # An index that was replaced is not the known one either.
    write_index(path, index_of(config))
    with pytest.raises(ImagesChanged, match="names, sizes or contents of files differ"):
        load_train_validation(config, known)


def test_folders_that_changed_just_now_are_not_believed_to_be_settled(tmp_path: Path, config: DataConfig) -> None:
    root = tmp_path / "images"
    for changed_ns, believed in ((time.time_ns(), False), (0, False), (time.time_ns() + 10**15, True)):
        os.utime(root / "val" / "dog", ns=(changed_ns, changed_ns))
        assert is_current(index_of(config), contents=True) == believed


def test_touched_folders_are_scanned_again_and_are_the_same(
    tmp_path: Path, config: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, path = examine_data(config), tmp_path / "data.index"
    write_index(path, present(found.index))
    os.utime(tmp_path / "images" / "train" / "cat")
    roots = scans(monkeypatch)
    load_train_validation(config, KnownFiles(str(path), found.fingerprint.digest))
    assert len(roots) == 1


def test_the_index_of_another_data_set_is_not_taken(tmp_path: Path, config: DataConfig) -> None:
    path = tmp_path / "data.index"
    write_index(path, index_of(config))
    moved = folder_config(Path(shutil.copytree(tmp_path / "images", tmp_path / "moved")))
    found = examine_data(moved, path)
    assert present(found.index).listing.root == str(tmp_path / "moved")
    assert found.fingerprint == examine_data(config).fingerprint
    imagenet = DataConfig("imagenet", config.root, image_size=16, validation_fraction=0.25)
    assert examine_data(imagenet, path).summary == examine_data(imagenet).summary


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[:-1],
    "cut off in its first line": lambda content: content[:20],
    "a bit": lambda content: content[:200] + bytes([content[200] ^ 4]) + content[201:],
    "another version": lambda content: content.replace(b"data-index/1", b"data-index/2", 1),
    "something else": lambda content: zlib.decompress(content.partition(b"\n")[2]),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_index_is_said_to_be_and_scanned_anew(
    tmp_path: Path, config: DataConfig, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    found, path = examine_data(config), tmp_path / "data.index"
    write_index(path, present(found.index))
    path.write_bytes(DAMAGES[kind](path.read_bytes()))
    with caplog.at_level(logging.WARNING):
        assert examine_data(config, path) == found
    (record,) = caplog.records
    assert str(path) in record.getMessage() and record.getMessage().endswith("scanning them anew")


def test_without_an_index_everybody_scans(tmp_path: Path, config: DataConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, roots = examine_data(config).fingerprint.digest, scans(monkeypatch)
    for _ in range(2):
        load_train_validation(config, KnownFiles(str(tmp_path / "gone" / "data.index"), digest))
    assert len(roots) == 2


def test_where_it_cannot_be_written_one_line_says_so(
    tmp_path: Path, config: DataConfig, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with caplog.at_level(logging.WARNING):
        keep_index(tmp_path / "file" / "data.index", index_of(config))
    (record,) = caplog.records
    assert "cannot be written to" in record.getMessage() and "\n" not in record.getMessage()


def write_often(path: str, root: str) -> None:
    index = scan_files(root)
    for _ in range(30):
        write_index(Path(path), index)


def test_writers_at_the_same_time_leave_a_whole_index(tmp_path: Path, config: DataConfig) -> None:
    path = tmp_path / "data.index"
    write_index(path, index_of(config))
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write_often, args=(str(path), config.root)) for _ in range(3)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert read_index(path) == index_of(config)
    assert all(writer.exitcode == 0 for writer in writers)
    assert [file.name for file in tmp_path.iterdir() if "index" in file.name] == ["data.index"]


def test_of_a_great_data_set_only_the_sample_is_looked_at(
    tmp_path: Path, config: DataConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(content_sample, "SMALL_FILES", 0)
    monkeypatch.setattr(content_sample, "SAMPLED_FILES", 24)
    monkeypatch.setattr(file_index, "MOST_SIZES", 0)
    index = index_of(config)
    assert len(index.contents) == 22 and len(index.files) == 30
    looked: list[str] = []

    def noted(files: Sequence[str]) -> list[int]:
        looked.extend(files)
        return content_sample.file_sizes(files)

    monkeypatch.setattr(file_index, "file_sizes", noted)
    assert is_current(index, contents=True)
    assert looked == [index.files[place] for place in index.contents]


def test_a_folder_that_cannot_be_scanned_is_a_mistake_with_an_index_too(tmp_path: Path, config: DataConfig) -> None:
    path = tmp_path / "data.index"
    write_index(path, index_of(config))
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(UserError, match="there is no directory"):
        examine_data(config, path)
