"""The data sets that are held in memory: digits, and CIFAR-10 and -100 in their own file formats."""

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
from trainers.data.datasets import check_data, examine_data, load_test, load_train_validation
from trainers.data.normalisation import NORMALISATION
from trainers.data.preprocessing import KNOWN_CLASSES
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


def small_cifar(directory: Path, monkeypatch: pytest.MonkeyPatch, name: str, classes: int) -> DataConfig:
    """A small CIFAR: training files of 100 images in all, one test file of 10, and their checksums."""
    cls = getattr(torchvision().datasets, "CIFAR10" if classes == 10 else "CIFAR100")
    directory = directory / cls.base_folder
    directory.mkdir()
    generator = np.random.default_rng(0)
    labels, meta, key = (
        ("labels", "batches.meta", "label_names") if classes == 10 else ("fine_labels", "meta", "fine_label_names")
    )

    def write(name: str, content: dict[str, Any]) -> list[str]:
        (directory / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((directory / name).read_bytes()).hexdigest()]

    def images(count: int) -> dict[str, Any]:
        data = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        return {"data": data, labels: [index % 10 for index in range(count)]}

    training = [f"data_batch_{index}" for index in range(1, 6)] if classes == 10 else ["train"]
    monkeypatch.setattr(cls, "train_list", [write(name, images(100 // len(training))) for name in training])
    monkeypatch.setattr(cls, "test_list", [write("test_batch" if classes == 10 else "test", images(10))])
    names = write(meta, {key: [str(index) for index in range(classes)]})
    monkeypatch.setattr(cls, "meta", {"filename": names[0], "key": key, "md5": names[1]})
    # Nothing listens there: a download fails at once, and on the real code path.
    monkeypatch.setattr(cls, "url", f"http://127.0.0.1:9/cifar-{classes}-python.tar.gz")
    monkeypatch.setattr(known_sizes, "CIFAR_TRAIN", 100)
    monkeypatch.setattr(known_sizes, "CIFAR_TEST", 10)
    return DataConfig(name, str(directory.parent), image_size=32, validation_fraction=0.2)


@pytest.fixture
def cifar10(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataConfig:
    return small_cifar(tmp_path, monkeypatch, "cifar10", 10)


def test_cifar100_has_a_hundred_classes_known_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = small_cifar(tmp_path, monkeypatch, "cifar100", 100)
    found = examine_data(config)
    assert found.summary.classes == 100 and found.fingerprint.classes == tuple(map(str, range(100)))
    train, validation = map(in_memory, load_train_validation(config))
    assert len(train) + len(validation) == 100 and len(load_test(config)) == 10
    assert len(KNOWN_CLASSES["cifar100"]) == 100 and train.mean == NORMALISATION["cifar100"][0]
    # Of the whole: a tenth of each class's 500.
    monkeypatch.undo()
    assert known_sizes.cifar_sizes(100, 0.1) == known_sizes.cifar_sizes(10, 0.1) == (45_000, 5_000, 10_000)
    with pytest.raises(UserError, match=r"CIFAR-100 is not whole .*: put cifar-100-python\.tar\.gz there"):
        load_train_validation(config)


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
