"""The data sets that are held in memory: digits, and CIFAR-10 in its own file format."""

import hashlib
import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from search_spaces.errors import UserError
from tests.support.images import all_of, in_memory
from trainers.data import known_sizes
from trainers.data.augmentation import Augmentation
from trainers.data.config import DATA_DEFAULTS, DataConfig, DataSummary
from trainers.data.datasets import check_data, load_test, load_train_validation
from trainers.data.torchvision_import import torchvision

DIGITS = DATA_DEFAULTS["digits"]


def test_digits_are_those_of_scikit_learn_split_for_good() -> None:
    summary = check_data(DIGITS)
    assert summary == DataSummary("digits", 10, 1, 16, 1079, 359, 359)
    splits = [in_memory(split) for split in (*load_train_validation(DIGITS), load_test(DIGITS))]
    assert [len(split) for split in splits] == [1079, 359, 359]
    for split in splits:
        counts = torch.bincount(split.labels_I, minlength=10) / len(split)
        assert torch.allclose(counts, torch.full((10,), 0.1), atol=0.02)


def test_digits_at_their_own_size_are_the_original_values() -> None:
    config = DataConfig("digits", None, image_size=8, validation_fraction=0.25)
    splits = [in_memory(split) for split in (*load_train_validation(config), load_test(config))]
    found = sorted(image.tobytes() for split in splits for image in split.images_ICHW.numpy()[:, 0])
    originals = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    assert found == sorted(image.tobytes() for image in originals)
    digests = [hashlib.sha256(split.images_ICHW.numpy().tobytes()).hexdigest()[:8] for split in splits]
    assert digests == ["f672a03e", "f4dd9f36", "d34b20f2"]


def test_normalised_digits_have_mean_0_and_std_1() -> None:
    images, _ = all_of(load_train_validation(DIGITS)[0])
    assert images.shape == (1079, 1, 16, 16) and images.dtype == torch.float32
    assert abs(images.mean()) < 0.02 and abs(images.std() - 1) < 0.02


def test_split_seed_moves_validation_and_never_test() -> None:
    other = DataConfig("digits", None, 16, 0.25, split_seed=1)
    validation, moved = (in_memory(load_train_validation(config)[1]).images_ICHW for config in (DIGITS, other))
    assert not torch.equal(validation, moved)
    test, same = (in_memory(load_test(config)).images_ICHW for config in (DIGITS, other))
    assert torch.equal(test, same)


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    """A small CIFAR-10: 5 training files of 20 images, one test file of 10, and their checksums."""
    cls = torchvision().datasets.CIFAR10
    directory = tmp_path / "cifar-10-batches-py"
    directory.mkdir()
    generator = np.random.default_rng(0)

    def write(name: str, content: dict[str, Any]) -> list[str]:
        (directory / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((directory / name).read_bytes()).hexdigest()]

    def images(count: int) -> dict[str, Any]:
        data = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        return {"data": data, "labels": [index % 10 for index in range(count)]}

    monkeypatch.setattr(cls, "train_list", [write(f"data_batch_{index}", images(20)) for index in range(1, 6)])
    monkeypatch.setattr(cls, "test_list", [write("test_batch", images(10))])
    names = write("batches.meta", {"label_names": [str(index) for index in range(10)]})
    monkeypatch.setattr(cls, "meta", {"filename": names[0], "key": "label_names", "md5": names[1]})
    # Nothing listens there: a download fails at once, and on the real code path.
    monkeypatch.setattr(cls, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    monkeypatch.setattr(known_sizes, "CIFAR10_TRAIN", 100)
    monkeypatch.setattr(known_sizes, "CIFAR10_TEST", 10)
    return DataConfig("cifar10", str(tmp_path), image_size=32, validation_fraction=0.2)


def test_cifar10_is_split_from_its_training_files(cifar10: DataConfig) -> None:
    summary = check_data(cifar10)
    train, validation = map(in_memory, load_train_validation(cifar10))
    test = in_memory(load_test(cifar10))
    assert (summary.train_images, summary.validation_images, summary.test_images) == (80, 20, 10)
    assert (len(train), len(validation), len(test)) == (80, 20, 10)
    assert torch.bincount(validation.labels_I).tolist() == [2] * 10
    assert cifar10.root is not None
    first = pickle.loads((Path(cifar10.root) / "cifar-10-batches-py" / "test_batch").read_bytes())["data"][0]
    images, _ = all_of(test)
    assert images.shape == (10, 3, 32, 32) and images.is_contiguous(memory_format=torch.channels_last)
    expected = torch.from_numpy(first).reshape(3, 32, 32) / 255
    mean, std = torch.tensor(test.mean)[:, None, None], torch.tensor(test.std)[:, None, None]
    torch.testing.assert_close(images[0], (expected - mean) / std)


def test_cifar10_is_resized_a_batch_at_a_time(cifar10: DataConfig) -> None:
    config = DataConfig("cifar10", cifar10.root, image_size=48, validation_fraction=0.2)
    images, _ = all_of(load_train_validation(config)[0], Augmentation("flip_crop", 0, 1))
    assert images.shape == (80, 3, 48, 48)


def test_damaged_or_missing_cifar10_is_one_line(cifar10: DataConfig) -> None:
    assert cifar10.root is not None
    damaged = Path(cifar10.root) / "cifar-10-batches-py" / "data_batch_3"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"CIFAR-10 is not whole .* could not be downloaded") as caught:
        check_data(cifar10)
    assert "\n" not in str(caught.value)
    shutil.rmtree(damaged.parent)
    with pytest.raises(UserError, match=r"data\.root"):
        load_train_validation(cifar10)
