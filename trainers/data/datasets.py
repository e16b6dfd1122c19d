"""What is in a data set, and its three splits, read as a configuration says.

The search sees the train and the validation split; the test split is for the last evaluation alone. Torch is imported
only where images are loaded, or CIFAR's is checked: a look at a data set is quick.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.errors import UserError
from search_spaces.pasted_commands import shell_word
from trainers.data.config import TAR_SHARDS, DataConfig, DataSummary, KnownFiles
from trainers.data.digits_source import digits_fingerprint
from trainers.data.file_index import FileIndex, is_current, read_index, scan_files
from trainers.data.findings import DataFindings
from trainers.data.fingerprint import BRING_BACK, DataFingerprint, differences, file_changes
from trainers.data.first_look import look_at_folder_set
from trainers.data.folder_listing import MissingDirectory
from trainers.data.folder_sets import FolderSet, Part, read_folder_set, split_listing
from trainers.data.known_sizes import (
    CIFAR_CLASSES,
    IMAGENET_CLASSES,
    cifar_sizes,
    cluttered_digits_sizes,
    digits_sizes,
    imagenet_sizes,
)
from trainers.data.nearby_folders import can_be_read, splits_beside
from trainers.data.remarks import Remark, repeated
from trainers.data.tar_members import shard_directory

if TYPE_CHECKING:
    from trainers.data.image_folders import FolderImages
    from trainers.data.images import Images

# The images of each split of what is made of the digits.
DIGITS = {"digits": digits_sizes, "cluttered_digits": cluttered_digits_sizes}
# Where torchvision keeps them in their directory.
CIFAR_FOLDERS = {"cifar10": "cifar-10-batches-py", "cifar100": "cifar-100-python"}


@dataclass(frozen=True, slots=True)
class ExaminedData:
    """What a look at a data set found; of folders also what was found in detail, and the index of their files."""

    summary: DataSummary
    fingerprint: DataFingerprint
    findings: DataFindings | None = None
    index: FileIndex | None = None


class ImagesChanged(UserError):
    """The images are no longer those that a training began with."""


def check_data(config: DataConfig) -> DataSummary:
    """What `examine_data` says of the size of a data set."""
    return examine_data(config).summary


def summary_before_download(config: DataConfig) -> DataSummary | None:
    """What a data set will hold that is downloaded when it is first used; None where it is there, or never is."""
    if config.name not in CIFAR_FOLDERS or (_root(config) / CIFAR_FOLDERS[config.name]).is_dir():
        return None
    return summary_without_images(config)


def summary_without_images(config: DataConfig) -> DataSummary | None:
    """What a data set is known to hold before anybody looks at it: CIFAR's, and ImageNet where no place is named.

    None where it depends on what is there.
    """
    if config.name in CIFAR_CLASSES:
        return _cifar_summary(config)
    if config.name == "imagenet" and config.root is None:
        sizes = imagenet_sizes(config.validation_fraction)
        return DataSummary("imagenet", IMAGENET_CLASSES, 3, config.image_size, *sizes)
    return None


def examine_data(config: DataConfig, index: Path | None = None, *, download: bool = True) -> ExaminedData:
    """Looks at all that can be seen before anything starts, and says what is there.

    Folders are scanned, unless the index at `index`, of an earlier look, still says what is in them. CIFAR's is
    downloaded where it is missing, unless `download` says otherwise. Raises UserError where a directory is missing,
    folders can be read in several ways, a class folder is empty, an archive is damaged, and where of a class or of a
    split too many images hold nothing or cannot be read.
    """
    if config.name in DIGITS:
        sizes = DIGITS[config.name](config.validation_fraction, config.split_seed)
        return ExaminedData(DataSummary(config.name, 10, 1, config.image_size, *sizes), digits_fingerprint())
    if config.name in CIFAR_CLASSES:
        from trainers.data.cifar_sets import check_cifar

        return ExaminedData(_cifar_summary(config), check_cifar(config.name, _root(config), download=download))
    try:
        files = _current_index(config, index, contents=True) or _scanned(config)
    except MissingDirectory as error:
        if index is None or not index.exists():
            raise
        raise UserError(f"{error} Where its images were moved, data.root=NEW goes on with them.") from None
    folder_set = split_listing(config, files.listing)
    empty = [file for file, size in zip(files.files, files.sizes, strict=True) if size == 0]
    findings = look_at_folder_set(folder_set, empty, _remarks(files, folder_set))
    train, validation, test = (split.images for split in findings.splits)
    if min(train, validation) < 2:
        raise UserError(
            f"data.root: {config.root!r} leaves {train} images to train on and {validation} to validate: "
            "expected at least two of each."
        )
    summary = DataSummary(config.name, len(findings.classes), 3, config.image_size, train, validation, test)
    return ExaminedData(summary, files.fingerprint, findings, files)


def load_train_validation(
    config: DataConfig, known: KnownFiles | None = None, *, keeps_in_memory: bool = False
) -> "tuple[Images, Images]":
    """The train and the validation split. Raises UserError where they cannot be read, or are not the `known` ones.

    Those of a few files are decoded once and kept in memory, where they may be.
    """
    if config.name in DIGITS:
        train, validation, _ = _digits(config)
        return train, validation
    if config.name in CIFAR_CLASSES:
        from trainers.data.cifar_sets import cifar_train_validation

        return cifar_train_validation(config, _root(config))
    folder_set, digest = _folder_set(config, known)
    train, validation = (
        _folder_images(config, part, digest, keeps_in_memory=keeps_in_memory)
        for part in (folder_set.train, folder_set.validation)
    )
    return train, validation


def load_test(config: DataConfig, known: KnownFiles | None = None) -> "Images":
    """The test split. Raises UserError where there is none, or it is not the `known` one."""
    if config.name in DIGITS:
        return _digits(config)[2]
    if config.name in CIFAR_CLASSES:
        from trainers.data.cifar_sets import cifar_test

        return cifar_test(config, _root(config))
    folder_set, digest = _folder_set(config, known)
    if not folder_set.test.index:
        raise UserError(f"data.root: {config.root!r} has no test directory.")
    return _folder_images(config, folder_set.test, digest)


def _cifar_summary(config: DataConfig) -> DataSummary:
    classes = CIFAR_CLASSES[config.name]
    return DataSummary(config.name, classes, 3, config.image_size, *cifar_sizes(classes, config.validation_fraction))


def _remarks(files: FileIndex, folder_set: FolderSet) -> list[Remark]:
    """What is to be said of the files of a data set, and of what lies beside it."""
    listing = files.listing
    alone = listing.layout.train is None and listing.shards is None
    beside = splits_beside(listing.root) if alone else []
    above = os.path.dirname(os.path.abspath(listing.root))
    what = "folders beside it look like further splits and are not read"
    if beside and can_be_read(above):
        what += f": {shell_word(f'data.root={above}')} uses them all"
    return [*repeated(folder_set, files.sizes, files.contents), ("beside it", what, beside)]


def _folder_set(config: DataConfig, known: KnownFiles | None) -> tuple[FolderSet, str]:
    """The splits, and the digest of what their images are known by; "" where nobody needs it."""
    if known is None and config.cache is None:
        return read_folder_set(config, _root(config)), ""
    if known is None:
        scanned = _scanned(config)
        return split_listing(config, scanned.listing), scanned.fingerprint.digest
    files = _current_index(config, Path(known.index), contents=False)
    if files is None or files.fingerprint.digest != known.digest:
        files = _scanned(config)
        if files.fingerprint.digest != known.digest:
            raise _images_changed(config, known, files)
    return split_listing(config, files.listing), files.fingerprint.digest


def _images_changed(config: DataConfig, known: KnownFiles, files: FileIndex) -> ImagesChanged:
    before = read_index(Path(known.index))
    found, undone_by = [], BRING_BACK
    if before is not None and before.fingerprint.digest == known.digest:
        found = differences(before.data_files, files.data_files)
        undone_by = file_changes(before.data_files, files.data_files).undone_by()
    listed = "; ".join(found) or "names, sizes or contents of files differ"
    return ImagesChanged(
        f"data.root: the images in {config.root!r} have changed since the training began: {listed}. "
        f"{undone_by.capitalize()}, and it goes on."
    )


def _scanned(config: DataConfig) -> FileIndex:
    return scan_files(str(_root(config)), imagenet=config.name == "imagenet", in_shards=config.name == TAR_SHARDS)


def _current_index(config: DataConfig, path: Path | None, *, contents: bool) -> FileIndex | None:
    """The index at `path`, if there is one of this data set that still says what is there."""
    index = None if path is None else read_index(path)
    if index is None or index.imagenet != (config.name == "imagenet"):
        return None
    listing, root, in_shards = index.listing, str(_root(config)), config.name == TAR_SHARDS
    if (listing.shards is not None) != in_shards or (listing.shards if in_shards else listing.root) != root:
        return None
    return index if is_current(index, contents=contents) else None


def _digits(config: DataConfig) -> "Sequence[Images]":
    from trainers.data.memory_sets import cluttered_digits_splits, digits_splits

    splits = digits_splits if config.name == "digits" else cluttered_digits_splits
    return splits(config.image_size, config.validation_fraction, config.split_seed)


def _root(config: DataConfig) -> Path:
    if config.root is None:
        raise UserError(f"data set {config.name!r} needs its directory: data.root=...")
    return Path(config.root)


def _folder_images(config: DataConfig, part: Part, digest: str, *, keeps_in_memory: bool = False) -> "FolderImages":
    from trainers.data.image_folders import FolderImages

    root = _root(config)
    return FolderImages(
        part,
        image_size=config.image_size,
        workers=config.loader_workers,
        resize_first=config.resize_first,
        cache=None if config.cache is None else Path(config.cache) / digest,
        root=shard_directory(str(root)),
        keeps_in_memory=keeps_in_memory,
    )
