"""What is in a data set, and its three splits, read as a configuration says.

The search sees the train and the validation split; the test split is for the last evaluation alone.
"""

from pathlib import Path

from search_spaces.errors import UserError
from trainers.data import memory_sets
from trainers.data.config import DataConfig, DataSummary
from trainers.data.image_folders import Folder, FolderImages, check_first_images, scan_folder
from trainers.data.images import Images, MemoryImages
from trainers.data.splits import stratified_split

# Of class folders without a test directory this share is set apart, whatever the seed of the validation split.
FOLDER_TEST_FRACTION = 0.15


def check_data(config: DataConfig) -> DataSummary:
    """Looks at all that can be seen before anything starts, and says what is there.

    CIFAR-10 is downloaded where it is missing. Raises UserError where a directory is missing, a class folder is empty,
    an archive is damaged, or the first image of a class cannot be read.
    """
    if config.name == "digits":
        sizes = tuple(len(images) for images in _digits(config))
        return DataSummary("digits", 10, 1, config.image_size, *sizes)
    if config.name == "cifar10":
        memory_sets.check_cifar10(_root(config))
        # The classes of CIFAR-10 are of equal size, so the stratified split takes exactly this many.
        validation = 10 * round(config.validation_fraction * memory_sets.CIFAR10_TRAIN / 10)
        train = memory_sets.CIFAR10_TRAIN - validation
        return DataSummary("cifar10", 10, 3, config.image_size, train, validation, memory_sets.CIFAR10_TEST)
    folder, train_index, validation_index, test_folder, test_index = _folder_splits(config)
    check_first_images(folder)
    if test_folder is not folder:
        check_first_images(test_folder)
    sizes = (len(train_index), len(validation_index), len(test_index))
    if min(sizes[:2]) < 2:
        raise UserError(
            f"data.root: {config.root!r} leaves {sizes[0]} images to train on and {sizes[1]} to validate: "
            "expected at least two of each."
        )
    return DataSummary(config.name, len(folder.classes), 3, config.image_size, *sizes)


def load_train_validation(config: DataConfig) -> tuple[Images, Images]:
    """The train and the validation split. Raises UserError where they cannot be read."""
    if config.name == "digits":
        train, validation, _ = _digits(config)
        return train, validation
    if config.name == "cifar10":
        return memory_sets.cifar10_train_validation(
            _root(config), config.image_size, config.validation_fraction, config.split_seed
        )
    folder, train_index, validation_index, _, _ = _folder_splits(config)
    return _folder_images(config, folder, train_index), _folder_images(config, folder, validation_index)


def load_test(config: DataConfig) -> Images:
    """The test split. Raises UserError where there is none."""
    if config.name == "digits":
        return _digits(config)[2]
    if config.name == "cifar10":
        return memory_sets.cifar10_test(_root(config), config.image_size)
    _, _, _, test_folder, test_index = _folder_splits(config)
    if not test_index:
        raise UserError(f"data.root: {config.root!r} has no test directory.")
    return _folder_images(config, test_folder, test_index)


def _digits(config: DataConfig) -> tuple[MemoryImages, ...]:
    return memory_sets.digits_splits(config.image_size, config.validation_fraction, config.split_seed)


def _root(config: DataConfig) -> Path:
    if config.root is None:
        raise UserError(f"data set {config.name!r} needs its directory: data.root=...")
    return Path(config.root)


def _folder_images(config: DataConfig, folder: Folder, index: list[int]) -> FolderImages:
    return FolderImages(folder, index, image_size=config.image_size, workers=config.loader_workers)


def _folder_splits(config: DataConfig) -> tuple[Folder, list[int], list[int], Folder, list[int]]:
    """The training folder with its train and validation indices, and the test folder with its indices.

    ImageNet is train/ and val/, and val/ is its test split. Other images are train/ and, if there is one, test/, or
    class folders alone, of which a test split is set apart.
    """
    root = _root(config)
    if config.name == "imagenet" and root.is_dir():
        for name in ("train", "val"):
            if not (root / name).is_dir():
                raise UserError(f"data.root: {str(root)!r} has no directory {name!r}: ImageNet is train/ and val/.")
    if not (root / "train").is_dir():
        folder = scan_folder(root)
        rest, test_index = stratified_split(folder.labels, FOLDER_TEST_FRACTION, "folder test")
        return folder, *_split_rest(config, folder, rest), folder, test_index
    folder = scan_folder(root / "train")
    train_index, validation_index = _split_rest(config, folder, list(range(len(folder.files))))
    test_root = root / ("val" if config.name == "imagenet" else "test")
    if not test_root.is_dir():
        return folder, train_index, validation_index, folder, []
    test_folder = scan_folder(test_root)
    if test_folder.classes != folder.classes:
        different = sorted(set(test_folder.classes) ^ set(folder.classes))[0]
        raise UserError(
            f"data.root: class {different!r} is not in both {str(root / 'train')!r} and {str(test_root)!r}."
        )
    return folder, train_index, validation_index, test_folder, list(range(len(test_folder.files)))


def _split_rest(config: DataConfig, folder: Folder, rest: list[int]) -> tuple[list[int], list[int]]:
    labels = [folder.labels[index] for index in rest]
    train, validation = memory_sets.split_validation(labels, config.validation_fraction, config.split_seed)
    return [rest[index] for index in train], [rest[index] for index in validation]
