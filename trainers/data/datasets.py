"""What is in a data set, and its three splits, read as a configuration says.

The search sees the train and the validation split; the test split is for the last evaluation alone. Torch is imported
only where images are loaded, or CIFAR-10 is checked: a look at a data set is quick.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import UserError
from trainers.data.config import DataConfig, DataSummary
from trainers.data.findings import DataFindings
from trainers.data.first_look import look_at_folder_set
from trainers.data.folder_sets import Part, read_folder_set
from trainers.data.known_sizes import cifar10_sizes, digits_sizes

if TYPE_CHECKING:
    from trainers.data.image_folders import FolderImages
    from trainers.data.images import Images, MemoryImages


def check_data(config: DataConfig) -> DataSummary:
    """What `examine_data` says of the size of a data set."""
    return examine_data(config)[0]


def examine_data(config: DataConfig) -> tuple[DataSummary, DataFindings | None]:
    """Looks at all that can be seen before anything starts, and says what is there; of folders also what was found.

    CIFAR-10 is downloaded where it is missing. Raises UserError where a directory is missing, folders can be read in
    several ways, a class folder is empty, an archive is damaged, or the first image of a class cannot be read.
    """
    if config.name == "digits":
        sizes = digits_sizes(config.validation_fraction, config.split_seed)
        return DataSummary("digits", 10, 1, config.image_size, *sizes), None
    if config.name == "cifar10":
        from trainers.data.memory_sets import check_cifar10

        check_cifar10(_root(config))
        return DataSummary("cifar10", 10, 3, config.image_size, *cifar10_sizes(config.validation_fraction)), None
    findings = look_at_folder_set(read_folder_set(config, _root(config)))
    train, validation, test = (split.images for split in findings.splits)
    if min(train, validation) < 2:
        raise UserError(
            f"data.root: {config.root!r} leaves {train} images to train on and {validation} to validate: "
            "expected at least two of each."
        )
    return DataSummary(config.name, len(findings.classes), 3, config.image_size, train, validation, test), findings


def load_train_validation(config: DataConfig) -> "tuple[Images, Images]":
    """The train and the validation split. Raises UserError where they cannot be read."""
    if config.name == "digits":
        train, validation, _ = _digits(config)
        return train, validation
    if config.name == "cifar10":
        from trainers.data.memory_sets import cifar10_train_validation

        return cifar10_train_validation(_root(config), config.image_size, config.validation_fraction, config.split_seed)
    folder_set = read_folder_set(config, _root(config))
    return _folder_images(config, folder_set.train), _folder_images(config, folder_set.validation)


def load_test(config: DataConfig) -> "Images":
    """The test split. Raises UserError where there is none."""
    if config.name == "digits":
        return _digits(config)[2]
    if config.name == "cifar10":
        from trainers.data.memory_sets import cifar10_test

        return cifar10_test(_root(config), config.image_size)
    test = read_folder_set(config, _root(config)).test
    if not test.index:
        raise UserError(f"data.root: {config.root!r} has no test directory.")
    return _folder_images(config, test)


def _digits(config: DataConfig) -> "tuple[MemoryImages, ...]":
    from trainers.data.memory_sets import digits_splits

    return digits_splits(config.image_size, config.validation_fraction, config.split_seed)


def _root(config: DataConfig) -> Path:
    if config.root is None:
        raise UserError(f"data set {config.name!r} needs its directory: data.root=...")
    return Path(config.root)


def _folder_images(config: DataConfig, part: Part) -> "FolderImages":
    from trainers.data.image_folders import FolderImages

    return FolderImages(part, image_size=config.image_size, workers=config.loader_workers)
