"""Decoded images that are kept change no pixel, whatever becomes of where they are kept."""

import io
import os
from pathlib import Path

import pytest
import torch
from PIL import Image

from search_spaces.errors import UserError
from tests.support.images import all_of, folder_config, in_folders, make_images
from tests.support.shards import write_shard
from trainers.data import kept_images
from trainers.data.augmentation import Augmentation
from trainers.data.config import DATA_DEFAULTS, DataConfig
from trainers.data.datasets import load_train_validation
from trainers.data.decoding import read_image
from trainers.data.image_folders import FolderImages
from trainers.data.kept_images import KeptInFiles, KeptInMemory
from trainers.data.shard_listing import list_shards

AUGMENTATION = Augmentation("resized_crop", 0, 1)


def _train(config: DataConfig, *, keeps_in_memory: bool = False) -> FolderImages:
    return in_folders(load_train_validation(config, keeps_in_memory=keeps_in_memory)[0])


def _assert_same(found: FolderImages, expected: FolderImages) -> None:
    for augmentation in (AUGMENTATION, None):
        torch.testing.assert_close(all_of(found, augmentation), all_of(expected, augmentation), rtol=0, atol=0)


def _spoil_all(split: FolderImages) -> None:
    """Nothing can be read of the files any more, by whose size and time of change that is not to be seen."""
    for file in split.files_I.tolist():
        before = os.stat(file)
        Path(file.decode()).write_bytes(b"\0" * before.st_size)
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("where", ["memory", "files"])
def test_kept_images_are_those_that_were_decoded(tmp_path: Path, workers: int, where: str) -> None:
    root = make_images(tmp_path / "images")
    expected = _train(folder_config(root))
    before = [all_of(expected, augmentation) for augmentation in (AUGMENTATION, None)]
    cache = str(tmp_path / "cache") if where == "files" else None
    kept = _train(folder_config(root, loader_workers=workers, cache=cache), keeps_in_memory=where == "memory")
    _assert_same(kept, expected)
    _spoil_all(kept)
    for augmentation, (images, labels) in zip((AUGMENTATION, None), before, strict=True):
        again, labels_again = all_of(kept, augmentation)
        assert torch.equal(again, images) and torch.equal(labels_again, labels)


def test_files_are_shared_and_damaged_ones_made_anew(tmp_path: Path) -> None:
    root = make_images(tmp_path / "images")
    config, cache = folder_config(root, cache=str(tmp_path / "cache")), tmp_path / "cache"
    expected = all_of(_train(folder_config(root)), AUGMENTATION)[0]
    assert torch.equal(all_of(_train(config), AUGMENTATION)[0], expected)
    files = sorted(cache.rglob("*.pixels"))
    assert len(files) == len(_train(config))
    files[0].write_bytes(b"")
    files[1].write_bytes(files[1].read_bytes()[:-1])
    content = bytearray(files[2].read_bytes())
    content[-1] ^= 1
    files[2].write_bytes(content)
    assert torch.equal(all_of(_train(config), AUGMENTATION)[0], expected)
    whole = [file.read_bytes() for file in files]
    assert all(len(content) == len(whole[0]) for content in whole)
    # Other images have another fingerprint, and other files.
    Image.new("RGB", (20, 20)).save(root / "cat" / "new.png")
    all_of(_train(config), AUGMENTATION)
    assert [file.read_bytes() for file in files] == whole and len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("in_shards", [False, True])
def test_an_image_that_changes_to_one_of_its_size_is_read_anew(tmp_path: Path, in_shards: bool) -> None:
    """Where its contents are no part of the fingerprint, nothing but its time shows it."""

    def stored(image: Image.Image) -> bytes:
        content = io.BytesIO()
        image.save(content, "BMP")
        return content.getvalue()

    first, second = stored(Image.new("RGB", (16, 16), (200, 0, 0))), stored(Image.new("RGB", (16, 16), (0, 0, 200)))
    assert len(first) == len(second)
    place = tmp_path / ("train.tar" if in_shards else "a.bmp")

    def write(content: bytes) -> None:
        write_shard(place, {"cat/a.bmp": content, "dog/b.bmp": second}) if in_shards else place.write_bytes(content)

    write(first)
    file = list_shards(str(place.parent)).folders["train"].files[0] if in_shards else str(place)

    def read() -> tuple[int, ...]:
        kept = KeptInFiles(tmp_path / "cache", [file], str(tmp_path))
        pixel = kept.image(0, lambda: read_image(file)).getpixel((0, 0))
        assert isinstance(pixel, tuple)
        return pixel

    assert read() == (200, 0, 0)
    before = os.stat(place).st_mtime_ns
    write(second)
    os.utime(place, ns=(before, before))
    assert read() == (200, 0, 0)
    os.utime(place, ns=(before, before + 1))
    assert read() == (0, 0, 200)


def test_a_full_disk_is_said_once_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    root = make_images(tmp_path / "images")
    expected = all_of(_train(folder_config(root)), AUGMENTATION)[0]

    def full(path: Path, content: bytes) -> int:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    train = _train(folder_config(root, cache=str(tmp_path / "cache")))
    for _ in range(2):
        assert torch.equal(all_of(train, AUGMENTATION)[0], expected)
    assert len(caplog.messages) == 1 and "No space left on device" in caplog.messages[0]
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_a_cache_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    root = make_images(tmp_path / "images")
    (tmp_path / "file").write_text("")
    train = _train(folder_config(root, cache=str(tmp_path / "file")))
    with pytest.raises(UserError, match=r"data\.cache: "):
        all_of(train)
    with pytest.raises(UserError, match=r"image_folder, imagenet, tar_shards for data\.resize_first"):
        DataConfig.from_json(DATA_DEFAULTS["digits"].to_json() | {"cache": "here"})


def test_training_images_are_resized_first_and_those_of_an_evaluation_are_not(tmp_path: Path) -> None:
    root = make_images(tmp_path / "images", size=(40, 60))
    smaller = make_images(tmp_path / "smaller", size=(40, 60))
    for file in smaller.rglob("*.png"):
        with Image.open(file) as image:
            image.resize((30, 20), Image.Resampling.BILINEAR).save(file)
    found, whole = (_train(folder_config(root, resize_first=side)) for side in (20, 0))
    expected = _train(folder_config(smaller))
    assert torch.equal(all_of(found, AUGMENTATION)[0], all_of(expected, AUGMENTATION)[0])
    assert not torch.equal(all_of(found, AUGMENTATION)[0], all_of(whole, AUGMENTATION)[0])
    assert torch.equal(all_of(found)[0], all_of(whole)[0])


def test_memory_that_is_full_keeps_no_more_and_a_large_set_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = Image.new("RGB", (10, 10), (1, 2, 3)), Image.new("RGB", (10, 11), (4, 5, 6))
    kept = KeptInMemory(3, 700, 0)
    for index, image in enumerate((first, second, second)):
        kept.keep(index, image)
    again = [kept.get(index) for index in range(3)]
    assert again[0] is not None and again[0].tobytes() == first.tobytes() and again[1:] == [second, None]
    root = make_images(tmp_path / "images")
    monkeypatch.setattr(kept_images, "free_memory", lambda: 10_000)
    train = _train(folder_config(root), keeps_in_memory=True)
    all_of(train)
    _spoil_all(train)
    with pytest.raises(UserError, match="cannot be read"):
        all_of(train)
