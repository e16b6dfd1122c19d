"""What lies where in a data set of images in folders, as one scan found it: all that its splits are made of."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search_spaces.errors import UserError
from trainers.data.findings import Noted
from trainers.data.flat_labels import labelled
from trainers.data.folder_layout import (
    Layout,
    check_class_names,
    check_no_mixture,
    check_same_classes,
    check_subfolders,
    folder_layout,
    imagenet_layout,
    split_of,
)  # fmt: skip
from trainers.data.folder_scan import Place, Scan
from trainers.data.skipped import NO_SPLIT, Skipped
from trainers.data.unreadable import most_unreadable


@dataclass(frozen=True, slots=True)
class Folder:
    """The files below one directory, those of a class together, and the class of each."""

    directory: str
    classes: tuple[str, ...]
    files: tuple[str, ...]
    labels: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class FolderListing:
    """The folders of images by their split ("" of class folders alone), and what lies beside them below `root`.

    `read_at` has the folders that were read, and when each had last changed before it was, in nanoseconds. `labels` is
    the file that says the classes of test images that lie in no class folders. `shards` is what names the tar files, if
    the images lie in such; then those, too, stand in `read_at`.
    """

    root: str
    layout: Layout
    folders: dict[str, Folder]
    skipped: tuple[Noted, ...]
    read_at: dict[str, int]
    labels: str | None = None
    shards: str | None = None


class MissingDirectory(UserError):
    """The directory of a data set is not there."""


def list_folders(root: str, *, imagenet: bool = False) -> FolderListing:
    """Scans a data set. Raises UserError where its folders cannot be read, or in more ways than one."""
    if not Path(root).is_dir():
        raise MissingDirectory(f"data.root: there is no directory {root!r}.")
    scan = Scan(Skipped(root))
    # Of ImageNet what is no split is no part.
    names = scan.folders(root, all_matter=not imagenet)
    layout = (imagenet_layout if imagenet else folder_layout)(root, names)
    if layout.train is None:
        directories, classes = {"": root}, {"": names}
    else:
        others = [os.path.join(root, name) for name in layout.others]
        if not imagenet:
            with_images = [os.path.basename(path) for path in others if scan.holds_image(path)]
            check_no_mixture(root, layout, with_images)
        for path in others:
            scan.skipped.add(NO_SPLIT, path)
        splits = (("train", layout.train), ("validation", layout.validation), ("test", layout.test))
        directories = {split: os.path.join(root, name) for split, name in splits if name is not None}
        classes = {}
        for split, directory in directories.items():
            if not (imagenet and split == "test" and _is_flat(directory)):
                directories[split], classes[split] = _split_folder(scan, directory)
        named = {split: os.path.relpath(path, root) for split, path in directories.items()}
        layout = replace(layout, train=named["train"], validation=named.get("validation"), test=named.get("test"))
    flat, labels = None, None
    if directories.keys() != classes.keys():
        flat, labels = _flat_folder(scan, root, directories.pop("test"), classes["train"])
    folders = dict(zip(directories, _scan_splits(scan, directories, classes), strict=True))
    if flat is not None:
        folders["test"] = flat
    return FolderListing(root, layout, folders, scan.skipped.noted(), scan.read_at, labels)


def _is_flat(directory: str) -> bool:
    """Whether a folder holds no class folders, but images, perhaps below images/."""
    with os.scandir(directory) as entries:
        folders = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    return folders in ([], ["images"])


def _flat_folder(scan: Scan, root: str, directory: str, classes: Sequence[str]) -> tuple[Folder, str]:
    """The images of a folder without class folders, and the file that has their classes, below the root."""
    images = scan.images(directory, Place("test", ""))
    if not images:
        raise UserError(f"data.root: {directory!r} holds neither class folders nor images.")
    labels, found = labelled(root, directory, images, classes)
    for file in found.files:
        # The index is stale where they change.
        scan.read_at[file] = os.stat(file).st_mtime_ns
    # The files of a class lie together.
    pairs = sorted(zip(labels, images, strict=True))
    folder = Folder(directory, tuple(classes), tuple(image for _, image in pairs), tuple(label for label, _ in pairs))
    return folder, os.path.relpath(found.files[0], root)


def _split_folder(scan: Scan, directory: str) -> tuple[str, list[str]]:
    """The folder of a split that holds its classes, and those: training_set/training_set, as archives unpack."""
    classes = scan.folders(directory)
    while len(classes) == 1 and split_of(classes[0]) == split_of(os.path.basename(directory)):
        directory = os.path.join(directory, classes[0])
        classes = scan.folders(directory)
    return directory, classes


def _scan_splits(scan: Scan, directories: dict[str, str], classes: dict[str, list[str]]) -> list[Folder]:
    """The images of each split. Raises UserError where a class has none, or the splits have not the same classes."""
    for split, directory in directories.items():
        _check_classes(scan, directory, classes[split], is_root=split == "")
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
    _check_links(scan.broken, sum(map(len, found.values())))
    for split, directory in directories.items():
        check_subfolders(
            directory, {name: _holding(found[split, name], os.path.join(directory, name)) for name in classes[split]}
        )
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


def _check_links(broken: Sequence[str], images: int) -> None:
    """Raises UserError where more links inside of class folders lead nowhere than images may be unreadable."""
    most = most_unreadable(images + len(broken))
    if len(broken) > most:
        path = min(broken)
        raise UserError(
            f"data.root: broken links, which lead nowhere, lie beside {images:,} images: {len(broken):,}, such as "
            f"{path!r} (to {os.readlink(path)!r}), at most {most} may be. Bring back what they lead to, or remove them."
        )


def _holding(files: Sequence[str], class_folder: str) -> set[str]:
    """The folders that hold these files, by their paths from their class folder; "" is itself."""
    beyond = len(class_folder) + 1
    return {file[beyond : max(beyond, file.rfind(os.sep))] for file in files}


def _check_classes(scan: Scan, directory: str, classes: Sequence[str], *, is_root: bool) -> None:
    check_class_names(directory, classes)
    if len(classes) >= 2:
        return
    loose = sum(os.path.dirname(path) == directory for path in scan.outside)
    hint = f" {loose:,} images lie in it directly, in none." if loose else ""
    if len(classes) == 1:
        inner = os.path.join(directory, classes[0])
        if len(Scan(Skipped(inner)).folders(inner)) >= 2:
            # Below one split there is no other.
            hint = f" Did you mean data.root={inner}?" if is_root else f" They lie in {inner!r}: move them up."
    raise UserError(f"data.root: {directory!r} has {len(classes)} class folders: expected at least two.{hint}")
