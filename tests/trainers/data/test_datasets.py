"""Data sets: what they hold, how they are split and augmented, and what is wrong with a damaged one."""

import hashlib
import json
import pickle
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torch.nn import functional as F

from search_spaces.errors import UserError
from trainers.data import memory_sets
from trainers.data.augmentation import Augmentation, augment_batch, crop_box
from trainers.data.config import DATA_DEFAULTS, DATA_NAMES, DataConfig, DataSummary
from trainers.data.datasets import check_data, load_test, load_train_validation
from trainers.data.image_folders import UnreadableImages
from trainers.data.images import MemoryImages
from trainers.data.random_draws import uniform_draws
from trainers.data.splits import stratified_split
from trainers.data.torchvision_import import torchvision
from trainers.recipe import AUGMENTS

CPU = torch.device("cpu")
DIGITS = DATA_DEFAULTS["digits"]


def all_of(split, augmentation=None, batch=64):
    batches = list(split.batches(torch.arange(len(split)).split(batch), CPU, augmentation))
    return torch.cat([images for images, _ in batches]), torch.cat([labels for _, labels in batches])


def folder_config(root: Path, **changes) -> DataConfig:
    values = {"image_size": 16, "validation_fraction": 0.25} | changes
    return DataConfig("image_folder", str(root), **values)


def make_images(directory: Path, classes=("cat", "dog"), count=8, size=(20, 24)) -> Path:
    generator = np.random.default_rng(0)
    for name in classes:
        (directory / name).mkdir(parents=True)
        for index in range(count):
            pixels = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(directory / name / f"{index}.png")
    return directory


# Configurations


@pytest.mark.parametrize("config", DATA_DEFAULTS.values())
def test_json_brings_configurations_back(config):
    assert DataConfig.from_json(json.loads(json.dumps(config.to_json()))) == config
    summary = DataSummary(config.name, 10, 3, config.image_size, 5, 6, 7)
    assert DataSummary.from_json(json.loads(json.dumps(summary.to_json()))) == summary


def test_every_data_set_has_defaults():
    assert tuple(DATA_DEFAULTS) == DATA_NAMES
    assert all(name == config.name for name, config in DATA_DEFAULTS.items())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "digit"}, "unknown data set 'digit': .* Did you mean 'digits'"),
        ({"image_size": 4}, "data image_size is 4"),
        ({"image_size": "16"}, "data image_size is '16': expected a whole number"),
        ({"validation_fraction": 1.0}, "data validation_fraction is 1.0"),
        ({"validation_fraction": 0}, "data validation_fraction is 0.0"),
        ({"split_seed": -1}, "data split_seed is -1"),
        ({"loader_workers": -1}, "data loader_workers is -1"),
        ({"root": 3}, "data root is 3: expected a string or null"),
        ({"path": "x"}, "unknown key of data 'path'"),
    ],
)
def test_a_wrong_configuration_is_named(change, message):
    with pytest.raises(UserError, match=message):
        DataConfig.from_json(DIGITS.to_json() | change)


# Splits and random numbers


def test_splits_are_stratified_disjoint_and_fixed():
    labels = [0] * 40 + [1] * 10 + [2] * 2 + [3]
    kept, taken = stratified_split(labels, 0.25, "a")
    assert sorted(kept + taken) == list(range(53)) and kept == sorted(kept) and taken == sorted(taken)
    assert Counter(labels[index] for index in taken) == {0: 10, 1: 2, 2: 1}
    assert stratified_split(labels, 0.25, "a") == (kept, taken)
    assert stratified_split(labels, 0.25, "b") != (kept, taken)
    # Written down, so that a library or a version that changed the split would be seen.
    assert stratified_split([0] * 10, 0.3, "validation 0")[1] == [2, 6, 9]


def test_uniform_draws_are_splitmix64():
    """Against the generator written out with Python's own integers."""

    def mix(value):
        value = (value + 0x9E3779B97F4A7C15) % 2**64
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB % 2**64
        return value ^ (value >> 31)

    # The published first outputs for seed 0, which mix gives at 0 and at its own increment.
    assert (mix(0), mix(0x9E3779B97F4A7C15)) == (0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4)
    draws = uniform_draws(7, 3, np.array([5, 900]), 2)
    for row, index in enumerate((5, 900)):
        key = mix(mix(mix(7) ^ 3) ^ index)
        for column in range(2):
            bits = mix((key + (column + 1) * 0x9E3779B97F4A7C15) % 2**64)
            assert draws[row, column] == (bits >> 11) / 2**53


def test_uniform_draws_are_uniform_and_independent():
    draws = uniform_draws(0, 1, np.arange(20_000), 3)
    assert draws.min() >= 0 and draws.max() < 1
    for column in range(3):
        counts = np.histogram(draws[:, column], bins=20, range=(0, 1))[0]
        # Chi-squared with 19 degrees of freedom is above 50 once in ten thousand.
        assert ((counts - 1000) ** 2 / 1000).sum() < 50
    others = [uniform_draws(1, 1, np.arange(20_000), 1), uniform_draws(0, 2, np.arange(20_000), 1), draws[:, 1:2]]
    for other in others:
        assert abs(np.corrcoef(draws[:, 0], other[:, 0])[0, 1]) < 0.03


# Digits


def test_digits_are_those_of_scikit_learn_split_for_good():
    summary = check_data(DIGITS)
    assert summary == DataSummary("digits", 10, 1, 16, 1079, 359, 359)
    splits = [*load_train_validation(DIGITS), load_test(DIGITS)]
    assert [len(split) for split in splits] == [1079, 359, 359]
    for split in splits:
        counts = torch.bincount(split.labels_I, minlength=10) / len(split)
        assert torch.allclose(counts, torch.full((10,), 0.1), atol=0.02)


def test_digits_at_their_own_size_are_the_original_values():
    config = DataConfig("digits", None, image_size=8, validation_fraction=0.25)
    splits = [*load_train_validation(config), load_test(config)]
    found = sorted(image.tobytes() for split in splits for image in split.images_ICHW.numpy()[:, 0])
    originals = np.round(load_digits().images * 255 / 16).astype(np.uint8)
    assert found == sorted(image.tobytes() for image in originals)
    digests = [hashlib.sha256(split.images_ICHW.numpy().tobytes()).hexdigest()[:8] for split in splits]
    assert digests == ["f672a03e", "f4dd9f36", "d34b20f2"]


def test_normalised_digits_have_mean_0_and_std_1():
    images, _ = all_of(load_train_validation(DIGITS)[0])
    assert images.shape == (1079, 1, 16, 16) and images.dtype == torch.float32
    assert abs(images.mean()) < 0.02 and abs(images.std() - 1) < 0.02


def test_split_seed_moves_validation_and_never_test():
    other = DataConfig("digits", None, 16, 0.25, split_seed=1)
    assert not torch.equal(load_train_validation(DIGITS)[1].images_ICHW, load_train_validation(other)[1].images_ICHW)
    assert torch.equal(load_test(DIGITS).images_ICHW, load_test(other).images_ICHW)


# Augmentation


@pytest.mark.parametrize("augment", AUGMENTS)
def test_augmentation_depends_on_seed_epoch_and_index_alone(augment):
    train = load_train_validation(DIGITS)[0]
    whole, _ = all_of(train, Augmentation(augment, 3, 2), batch=500)
    in_fives, _ = all_of(train, Augmentation(augment, 3, 2), batch=5)
    assert torch.equal(whole, in_fives)
    for other in (Augmentation(augment, 4, 2), Augmentation(augment, 3, 3)):
        assert torch.equal(whole, all_of(train, other)[0]) == (augment == "none")


def test_shift_and_flip_crop_are_translations_of_the_image():
    image = torch.arange(1, 2 * 16 * 16 + 1).reshape(1, 2, 16, 16)
    draws = uniform_draws(0, 1, np.arange(400), 5)
    for augment, flips in (("shift", (False,)), ("flip_crop", (False, True))):
        seen = set()
        for result in augment_batch(image.expand(400, -1, -1, -1), augment, draws):
            for flip in flips:
                source = image[0].flip(-1) if flip else image[0]
                for down in range(-2, 3):
                    for right in range(-2, 3):
                        shifted = torch.zeros_like(source)
                        rows, columns = slice(max(down, 0), 16 + min(down, 0)), slice(max(right, 0), 16 + min(right, 0))
                        from_rows = slice(max(-down, 0), 16 + min(-down, 0))
                        from_columns = slice(max(-right, 0), 16 + min(-right, 0))
                        shifted[:, rows, columns] = source[:, from_rows, from_columns]
                        if torch.equal(shifted, result):
                            seen.add((flip, down, right))
        assert len(seen) == 25 * len(flips)


def test_resized_crop_of_a_box_is_that_box_resized():
    # Draws that give the left upper quarter of the image: half of its height and width, not mirrored.
    area_draw = (0.25 - 0.08) / 0.92
    draws = np.array([[area_draw, 0.5, 0.0, 0.0, 0.9], [area_draw, 0.5, 1.0, 1.0, 0.1]])
    assert crop_box(32, 32, draws) == pytest.approx(np.array([[0, 0, 16, 16], [16, 16, 16, 16]]))
    image = F.avg_pool2d(torch.rand(1, 3, 40, 40), 9, 1)
    upper, lower = augment_batch(image.expand(2, -1, -1, -1), "resized_crop", draws)
    for found, box in ((upper, image[:, :, :16, :16]), (lower, image[:, :, 16:, 16:].flip(-1))):
        expected = F.interpolate(box, (32, 32), mode="bilinear", align_corners=False)[0]
        # Inside; at the box's own edge its neighbours in the image take part.
        torch.testing.assert_close(found[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2])


def test_crop_boxes_lie_inside_with_the_stated_areas():
    boxes = crop_box(100, 200, uniform_draws(0, 1, np.arange(5000), 5))
    top, left, height, width = boxes.T
    assert top.min() >= 0 and left.min() >= 0
    assert (top + height).max() <= 100 + 1e-9 and (left + width).max() <= 200 + 1e-9
    assert 0.08 <= (height * width / 20_000).min() < 0.1 and (height * width / 20_000).max() <= 1
    assert (height / width)[height < 99].min() >= 9 / 16 - 1e-9


# CIFAR-10, in its own file format


@pytest.fixture
def cifar10(tmp_path, monkeypatch):
    """A small CIFAR-10: 5 training files of 20 images, one test file of 10, and their checksums."""
    cls = torchvision().datasets.CIFAR10
    directory = tmp_path / "cifar-10-batches-py"
    directory.mkdir()
    generator = np.random.default_rng(0)

    def write(name: str, content: dict) -> list[str]:
        (directory / name).write_bytes(pickle.dumps(content))
        return [name, hashlib.md5((directory / name).read_bytes()).hexdigest()]

    def images(count: int) -> dict:
        data = generator.integers(0, 256, (count, 3072), dtype=np.uint8)
        return {"data": data, "labels": [index % 10 for index in range(count)]}

    monkeypatch.setattr(cls, "train_list", [write(f"data_batch_{index}", images(20)) for index in range(1, 6)])
    monkeypatch.setattr(cls, "test_list", [write("test_batch", images(10))])
    names = write("batches.meta", {"label_names": [str(index) for index in range(10)]})
    monkeypatch.setattr(cls, "meta", {"filename": names[0], "key": "label_names", "md5": names[1]})
    # Nothing listens there: a download fails at once, and on the real code path.
    monkeypatch.setattr(cls, "url", "http://127.0.0.1:9/cifar-10-python.tar.gz")
    monkeypatch.setattr(memory_sets, "CIFAR10_TRAIN", 100)
    monkeypatch.setattr(memory_sets, "CIFAR10_TEST", 10)
    return DataConfig("cifar10", str(tmp_path), image_size=32, validation_fraction=0.2)


def test_cifar10_is_split_from_its_training_files(cifar10):
    summary = check_data(cifar10)
    train, validation = load_train_validation(cifar10)
    test = load_test(cifar10)
    assert (summary.train_images, summary.validation_images, summary.test_images) == (80, 20, 10)
    assert (len(train), len(validation), len(test)) == (80, 20, 10)
    assert torch.bincount(validation.labels_I).tolist() == [2] * 10
    first = pickle.loads((Path(cifar10.root) / "cifar-10-batches-py" / "test_batch").read_bytes())["data"][0]
    images, _ = all_of(test)
    assert images.shape == (10, 3, 32, 32) and images.is_contiguous(memory_format=torch.channels_last)
    expected = torch.from_numpy(first).reshape(3, 32, 32) / 255
    mean, std = torch.tensor(test.mean)[:, None, None], torch.tensor(test.std)[:, None, None]
    torch.testing.assert_close(images[0], (expected - mean) / std)


def test_cifar10_is_resized_a_batch_at_a_time(cifar10):
    config = DataConfig("cifar10", cifar10.root, image_size=48, validation_fraction=0.2)
    images, _ = all_of(load_train_validation(config)[0], Augmentation("flip_crop", 0, 1))
    assert images.shape == (80, 3, 48, 48)


def test_damaged_or_missing_cifar10_is_one_line(cifar10):
    damaged = Path(cifar10.root) / "cifar-10-batches-py" / "data_batch_3"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"CIFAR-10 is not whole .* could not be downloaded") as caught:
        check_data(cifar10)
    assert "\n" not in str(caught.value)
    shutil.rmtree(damaged.parent)
    with pytest.raises(UserError, match=r"data\.root"):
        load_train_validation(cifar10)


# Images in folders


def test_class_folders_alone_are_split_in_three(tmp_path):
    config = folder_config(make_images(tmp_path / "images", count=20))
    summary = check_data(config)
    assert summary == DataSummary("image_folder", 2, 3, 16, 26, 8, 6)
    train, validation = load_train_validation(config)
    splits = [set(split.files_I.tolist()) for split in (train, validation, load_test(config))]
    assert [len(split) for split in splits] == [26, 8, 6] and len(set.union(*splits)) == 40
    images, labels = all_of(train)
    assert images.shape == (26, 3, 16, 16) and labels.tolist() == sorted(labels.tolist())


def test_train_and_test_directories_are_kept_apart(tmp_path):
    make_images(tmp_path / "train")
    config = folder_config(tmp_path)
    assert check_data(config) == DataSummary("image_folder", 2, 3, 16, 12, 4, 0)
    with pytest.raises(UserError, match="no test directory"):
        load_test(config)
    make_images(tmp_path / "test", count=3)
    assert check_data(config).test_images == 6
    assert all(b"/test/" in file for file in load_test(config).files_I.tolist())
    (tmp_path / "test" / "dog").rename(tmp_path / "test" / "wolf")
    with pytest.raises(UserError, match="class 'dog' is not in both"):
        check_data(config)


def test_imagenet_keeps_val_for_the_test(tmp_path):
    config = DataConfig("imagenet", str(tmp_path), image_size=16, validation_fraction=0.25)
    make_images(tmp_path / "train")
    with pytest.raises(UserError, match="no directory 'val'"):
        check_data(config)
    make_images(tmp_path / "val", count=5)
    assert check_data(config) == DataSummary("imagenet", 2, 3, 16, 12, 4, 10)
    train, validation = load_train_validation(config)
    assert all(b"/train/" in file for split in (train, validation) for file in split.files_I.tolist())


def test_evaluation_cuts_the_middle_and_normalises(tmp_path):
    make_images(tmp_path, size=(32, 32))
    config = folder_config(tmp_path, image_size=28)
    train, _ = load_train_validation(config)
    images, _ = all_of(train)
    with Image.open(train.files_I[0].decode()) as file:
        pixels = torch.from_numpy(np.array(file)).permute(2, 0, 1)[:, 2:30, 2:30] / 255
    mean, std = torch.tensor((0.485, 0.456, 0.406)), torch.tensor((0.229, 0.224, 0.225))
    torch.testing.assert_close(images[0], (pixels - mean[:, None, None]) / std[:, None, None])


@pytest.mark.parametrize("augment", AUGMENTS)
def test_folder_augmentation_is_the_same_in_any_process_and_order(tmp_path, augment):
    make_images(tmp_path)
    here, _ = load_train_validation(folder_config(tmp_path))
    workers, _ = load_train_validation(folder_config(tmp_path, loader_workers=2))
    first, labels = all_of(here, Augmentation(augment, 0, 1))
    second, _ = all_of(workers, Augmentation(augment, 0, 1), batch=3)
    assert torch.equal(first, second)
    assert torch.equal(first, all_of(here, Augmentation(augment, 0, 2))[0]) == (augment == "none")
    (reversed_batch,) = here.batches([torch.arange(len(here)).flip(0)], CPU, Augmentation(augment, 0, 1))
    assert torch.equal(reversed_batch[0].flip(0), first) and torch.equal(reversed_batch[1].flip(0), labels)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_breaks_off_is_named_in_one_line(tmp_path, workers):
    make_images(tmp_path)
    config = folder_config(tmp_path, loader_workers=workers)
    train, _ = load_train_validation(config)
    broken = Path(train.files_I[-1].decode())
    broken.write_bytes(broken.read_bytes()[:-600])
    with pytest.raises(UserError) as caught:
        all_of(train)
    assert str(broken) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 1])
def test_the_next_image_stands_for_one_that_cannot_be_read_up_to_a_limit(tmp_path, caplog, workers):
    make_images(tmp_path, count=100)
    train, _ = load_train_validation(folder_config(tmp_path, loader_workers=workers))
    assert len(train) == 128 and train.most_unreadable == 1
    whole, labels = all_of(train, Augmentation("flip_crop", 0, 1))
    files = [Path(file.decode()) for file in train.files_I]
    files[127].write_bytes(b"no image")
    for epoch in (1, 1):
        images, found_labels = all_of(train, Augmentation("flip_crop", 0, epoch))
        assert torch.equal(images[:127], whole[:127]) and torch.equal(images[127], whole[0])
        assert found_labels[127] == labels[0] and torch.equal(found_labels[:127], labels[:127])
    assert list(train.unreadable) == [str(files[127])]
    assert [message for message in caplog.messages if str(files[127]) in message] == caplog.messages[:1]
    files[5].write_bytes(b"")
    with pytest.raises(UnreadableImages, match="2 of 128 images cannot be read, at most 1 may be: ") as caught:
        all_of(train, Augmentation("flip_crop", 0, 2))
    assert str(files[5]) in str(caught.value) and str(files[127]) in str(caught.value)
    with pytest.raises(UnreadableImages, match="2 of 128 images cannot be read"):
        next(train.batches([torch.tensor([20])], CPU))


def test_of_a_set_without_one_image_that_can_be_read_the_first_are_named(tmp_path):
    make_images(tmp_path, count=100)
    train, _ = load_train_validation(folder_config(tmp_path))
    for file in train.files_I:
        Path(file.decode()).write_bytes(b"no image")
    with pytest.raises(UnreadableImages, match="cannot be read, at most 1 may be: "):
        all_of(train)


def test_what_is_wrong_with_folders_is_said_before_anything_starts(tmp_path):
    with pytest.raises(UserError, match=r"'image_folder' needs its directory: data\.root="):
        check_data(DATA_DEFAULTS["image_folder"])
    with pytest.raises(UserError, match="no directory"):
        check_data(folder_config(tmp_path / "missing"))
    with pytest.raises(UserError, match="0 class folders"):
        check_data(folder_config(tmp_path))
    make_images(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"'.*empty' holds no images"):
        check_data(folder_config(tmp_path))
    (tmp_path / "empty").rmdir()
    (tmp_path / "dog" / "0.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"image '.*0\.png' cannot be read") as caught:
        check_data(folder_config(tmp_path))
    assert "\n" not in str(caught.value)
    small = make_images(tmp_path / "small", count=1)
    with pytest.raises(UserError, match="expected at least two of each"):
        check_data(folder_config(small))


def test_grey_and_transparent_images_become_rgb(tmp_path):
    make_images(tmp_path)
    for mode, name in (("L", "0.png"), ("RGBA", "1.png"), ("P", "2.png")):
        Image.new(mode, (20, 20)).save(tmp_path / "cat" / name)
    train, _ = load_train_validation(folder_config(tmp_path))
    assert all_of(train)[0].shape[1] == 3


def test_memory_images_are_what_the_loop_reads():
    split = MemoryImages(
        torch.full((2, 1, 4, 4), 255, dtype=torch.uint8),
        torch.tensor([3, 4]),
        image_size=4,
        mean=(0.5,),
        std=(0.25,),
    )
    ((images, labels),) = split.batches([torch.tensor([1, 0])], CPU)
    assert torch.equal(images, torch.full((2, 1, 4, 4), 2.0)) and labels.tolist() == [4, 3]
