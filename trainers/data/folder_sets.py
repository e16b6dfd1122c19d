"""A data set of images in folders: which images each split has, and what was found.

Imports no torch, so that a look at a data set is quick.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from trainers.data.config import TAR_SHARDS, DataConfig
from trainers.data.findings import Noted
from trainers.data.folder_listing import Folder, FolderListing, list_folders
from trainers.data.shard_listing import list_shards
from trainers.data.splits import split_validation, stratified_split

# Of class folders without a test directory this share is set apart, whatever the seed of the validation split.
FOLDER_TEST_FRACTION = 0.15


@dataclass(frozen=True, slots=True)
class Part:
    """A split by its name: which images of a folder belong to it, and where that is, in words."""

    name: str
    folder: Folder
    index: list[int]
    source: str


@dataclass(frozen=True, slots=True)
class FolderSet:
    """The splits of a data set, of which the test split may be empty, and what lies beside its images."""

    root: str
    train: Part
    validation: Part
    test: Part
    skipped: tuple[Noted, ...]

    def parts(self) -> tuple[tuple[str, Part], ...]:
        """The splits with their names."""
        return tuple((part.name, part) for part in (self.train, self.validation, self.test))

    def folders(self) -> list[Folder]:
        """Each folder of images once."""
        return list({id(part.folder): part.folder for _, part in self.parts()}.values())


def read_folder_set(config: DataConfig, root: Path) -> FolderSet:
    """Scans a data set. Raises UserError where its folders cannot be read, or in more ways than one."""
    if config.name == TAR_SHARDS:
        return split_listing(config, list_shards(str(root)))
    return split_listing(config, list_folders(str(root), imagenet=config.name == "imagenet"))


def split_listing(config: DataConfig, listing: FolderListing) -> FolderSet:
    """The splits of a data set that was scanned."""
    parts = _of_class_folders(config, listing) if listing.layout.train is None else _of_split_folders(config, listing)
    return FolderSet(listing.root, *parts, listing.skipped)


def _of_class_folders(config: DataConfig, listing: FolderListing) -> tuple[Part, Part, Part]:
    folder, what = listing.folders[""], "class folders" if listing.shards is None else "shards"
    rest, test = stratified_split(folder.labels, FOLDER_TEST_FRACTION, "folder test")
    train, validation = _set_apart(config, folder, rest)
    return (
        Part("train", folder, train, f"of the {what}, less what is set apart"),
        Part("validation", folder, validation, f"{_share(validation, rest)} of the rest, set apart"),
        Part("test", folder, test, f"{_share(test, folder.labels)} of the {what}, set apart first"),
    )


def _of_split_folders(config: DataConfig, listing: FolderListing) -> tuple[Part, Part, Part]:
    folders, slash = listing.folders, "/" if listing.shards is None else ""
    layout = listing.layout
    train = folders["train"]
    test = Part("test", train, [], "none")
    labels = "" if listing.labels is None else f", labelled by {listing.labels}"
    if "test" in folders:
        test = Part("test", folders["test"], list(range(len(folders["test"].files))), f"{layout.test}{slash}{labels}")
    everything = list(range(len(train.files)))
    if "validation" in folders:
        validation = folders["validation"]
        return (
            Part("train", train, everything, f"{layout.train}{slash}"),
            Part("validation", validation, list(range(len(validation.files))), f"{layout.validation}{slash}"),
            test,
        )
    kept, apart = _set_apart(config, train, everything)
    share = f"{_share(apart, everything)} of {layout.train}{slash}, set apart"
    return (
        Part("train", train, kept, f"{layout.train}{slash}, less what is set apart"),
        Part("validation", train, apart, share),
        test,
    )


def _share(part: Sequence[int], whole: Sequence[int]) -> str:
    # Not what was asked for: each class gives an image at least.
    return f"{len(part) / max(1, len(whole)):.0%}"


def _set_apart(config: DataConfig, folder: Folder, rest: list[int]) -> tuple[list[int], list[int]]:
    labels = [folder.labels[index] for index in rest]
    train, validation = split_validation(labels, config.validation_fraction, config.split_seed)
    return [rest[index] for index in train], [rest[index] for index in validation]
