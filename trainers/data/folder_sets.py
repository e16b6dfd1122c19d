"""A data set of images in folders: what lies where, which images each split has, and what was found.

Imports no torch, so that a look at a data set is quick.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import UserError
from trainers.data.config import DataConfig
from trainers.data.findings import Noted
from trainers.data.folder_layout import (
    Layout,
    check_class_names,
    check_no_mixture,
    check_same_classes,
    folder_layout,
    imagenet_layout,
)  # fmt: skip
from trainers.data.folder_scan import Place, Scan
from trainers.data.skipped import NO_SPLIT, Skipped
from trainers.data.splits import split_validation, stratified_split

# Of class folders without a test directory this share is set apart, whatever the seed of the validation split.
FOLDER_TEST_FRACTION = 0.15


@dataclass(frozen=True, slots=True)
class Folder:
    """The files below one directory, those of a class together, and the class of each."""

    directory: str
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """A split: which images of a folder belong to it, and where that is, in words."""

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

    def folders(self) -> list[Folder]:
        """Each folder of images once."""
        return list({part.folder.directory: part.folder for part in (self.train, self.validation, self.test)}.values())


def read_folder_set(config: DataConfig, root: Path) -> FolderSet:
    """Scans a data set. Raises UserError where its folders cannot be read, or in more ways than one."""
    if not root.is_dir():
        raise UserError(f"data.root: there is no directory {str(root)!r}.")
    scan = Scan(Skipped(str(root)))
    names = scan.folders(str(root))
    layout = (imagenet_layout if config.name == "imagenet" else folder_layout)(str(root), names)
    if layout.train is None:
        (folder,) = _scan_splits(scan, {"": str(root)}, {"": names})
        rest, test = stratified_split(folder.labels, FOLDER_TEST_FRACTION, "folder test")
        train, validation = _set_apart(config, folder, rest)
        parts = (
            Part(folder, train, "of the class folders, less what is set apart"),
            Part(folder, validation, f"{config.validation_fraction:.0%} of the rest, set apart"),
            Part(folder, test, f"{FOLDER_TEST_FRACTION:.0%} of the class folders, set apart first"),
        )
    else:
        parts = _split_parts(config, root, layout, scan)
    return FolderSet(str(root), *parts, scan.skipped.noted())


def _split_parts(config: DataConfig, root: Path, layout: Layout, scan: Scan) -> tuple[Part, Part, Part]:
    """Train, validation and test part of a root with folders for splits."""
    assert layout.train is not None
    others = [os.path.join(root, name) for name in layout.others]
    if config.name != "imagenet":
        with_images = [os.path.basename(path) for path in others if scan.holds_image(path)]
        check_no_mixture(str(root), layout, with_images)
    for path in others:
        scan.skipped.add(NO_SPLIT, path)
    named = {"train": layout.train, "validation": layout.validation, "test": layout.test}
    directories = {split: os.path.join(root, name) for split, name in named.items() if name is not None}
    classes = {split: scan.folders(directory) for split, directory in directories.items()}
    folders = dict(zip(directories, _scan_splits(scan, directories, classes), strict=True))
    train = folders["train"]
    test = Part(train, [], "none")
    if "test" in folders:
        test = Part(folders["test"], list(range(len(folders["test"].files))), f"{layout.test}/")
    everything = list(range(len(train.files)))
    if "validation" in folders:
        validation = folders["validation"]
        return (
            Part(train, everything, f"{layout.train}/"),
            Part(validation, list(range(len(validation.files))), f"{layout.validation}/"),
            test,
        )
    kept, apart = _set_apart(config, train, everything)
    share = f"{config.validation_fraction:.0%} of {layout.train}/, set apart"
    return Part(train, kept, f"{layout.train}/, less what is set apart"), Part(train, apart, share), test


def _scan_splits(scan: Scan, directories: dict[str, str], classes: dict[str, list[str]]) -> list[Folder]:
    """The images of each split. Raises UserError where a class has none, or the splits have not the same classes."""
    for split, directory in directories.items():
        _check_classes(scan, directory, classes[split])
    first = next(iter(directories))
    for split, directory in directories.items():
        check_same_classes(directories[first], classes[first], directory, classes[split])
    found: dict[tuple[str, str], list[str]] = {}
    for split, directory in directories.items():
        for name in classes[split]:
            before = scan.skipped.counts()
            path = os.path.join(directory, name)
            found[split, name] = scan.images(path, Place(split, name))
            if not found[split, name]:
                held = [f"{count:,} {what}" for what, count in (scan.skipped.counts() - before).items()]
                listed = f"; skipped there: {', '.join(held)}" if held else ""
                raise UserError(f"data.root: class folder {path!r} holds no images that can be read{listed}.")
    twice = scan.linked_twice()
    folders = []
    for split, directory in directories.items():
        files: list[str] = []
        labels: list[int] = []
        for label, name in enumerate(classes[split]):
            kept = [file for file in found[split, name] if file not in twice] if twice else found[split, name]
            files += kept
            labels += [label] * len(kept)
        folders.append(Folder(directory, tuple(classes[split]), tuple(files), tuple(labels)))
    return folders


def _check_classes(scan: Scan, directory: str, classes: Sequence[str]) -> None:
    check_class_names(directory, classes)
    if len(classes) >= 2:
        return
    loose = sum(os.path.dirname(path) == directory for path in scan.outside)
    hint = f" {loose:,} images lie in it directly, in none." if loose else ""
    if len(classes) == 1:
        inner = os.path.join(directory, classes[0])
        if len(Scan(Skipped(inner)).folders(inner)) >= 2:
            hint = f" Did you mean data.root={inner}?"
    raise UserError(f"data.root: {directory!r} has {len(classes)} class folders: expected at least two.{hint}")


def _set_apart(config: DataConfig, folder: Folder, rest: list[int]) -> tuple[list[int], list[int]]:
    labels = [folder.labels[index] for index in rest]
    train, validation = split_validation(labels, config.validation_fraction, config.split_seed)
    return [rest[index] for index in train], [rest[index] for index in validation]
