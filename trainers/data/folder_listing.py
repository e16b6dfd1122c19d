"""What lies where in a data set of images in folders, as one scan found it: all that its splits are made of."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from search_spaces.errors import UserError
from search_spaces.units import counted
from trainers.data.findings import NOT_READ, Noted
from trainers.data.flat_labels import label_file, labelled
from trainers.data.folder_layout import (
    Layout,
    NoClasses,
    SplitInClass,
    check_class_names,
    check_no_mixture,
    check_same_classes,
    check_subfolders,
    folder_layout,
    imagenet_layout,
    split_of,
)  # fmt: skip
from trainers.data.folder_scan import Place, Scan
from trainers.data.nearby_folders import (
    archives_in,
    boxes_in,
    can_be_read,
    did_you_mean,
    folders_in,
    no_directory,
    others_with_pictures,
    root_above,
    root_below,
    tables_in,
)
from trainers.data.skipped import NO_SPLIT, Skipped
from trainers.data.unreadable import allowed, most_unreadable

# What folders of all images are called where their annotations lie beside them.
_IMAGES = {"images", "jpegimages", "img", "imgs", "train", "train2017"}
# The splits that need the classes of the one to train on.
_EVALUATED = ("validation", "test")


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
        raise MissingDirectory(f"data.root: {no_directory(root)}")
    scan = Scan(Skipped(root))
    # Of ImageNet what is no split is no part.
    names = scan.folders(root, all_matter=not imagenet)
    try:
        layout = (imagenet_layout if imagenet else folder_layout)(root, names)
    except NoClasses as error:
        raise UserError(f"{error}{boxes_in([root])}") from None
    if layout.train is None:
        directories, classes = {"": root}, {"": names}
    else:
        others = [os.path.join(root, name) for name in layout.others]
        if not imagenet:
            with_images = [os.path.basename(path) for path in others if scan.holds_image(path)]
            check_no_mixture(root, layout, with_images)
        splits = (("train", layout.train), ("validation", layout.validation), ("test", layout.test))
        directories = {split: os.path.join(root, name) for split, name in splits if name is not None}
        classes = {}
        for split, directory in directories.items():
            if not (imagenet and split == "test" and _is_flat(directory)):
                directories[split], classes[split] = _split_folder(scan, directory)
        named = {split: os.path.relpath(path, root) for split, path in directories.items()}
        layout = replace(layout, train=named["train"], validation=named.get("validation"), test=named.get("test"))
    flat, labels = None, list[str]()
    if directories.keys() != classes.keys():
        flat, labels = _flat_folder(scan, root, directories.pop("test"), classes["train"])
    if layout.train is not None:
        for path in (os.path.join(root, name) for name in layout.others):
            if not any(file.startswith(os.path.join(path, "")) for file in labels):
                scan.skipped.add(NO_SPLIT, path)
    folders = dict(zip(directories, _scan_splits(scan, directories, classes), strict=True))
    if flat is not None:
        folders["test"] = flat
    labelled_by = os.path.relpath(labels[0], root) if labels else None
    return FolderListing(root, layout, folders, scan.skipped.noted(labels), scan.read_at, labelled_by)


def _is_flat(directory: str) -> bool:
    """Whether a folder holds no class folders, but images, perhaps below images/."""
    with os.scandir(directory) as entries:
        folders = [entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")]
    return folders in ([], ["images"])


def _flat_folder(scan: Scan, root: str, directory: str, classes: Sequence[str]) -> tuple[Folder, list[str]]:
    """The images of a folder without class folders, and the files that have their classes."""
    images = scan.images(directory, Place("test", ""))
    if not images:
        raise UserError(f"data.root: {directory!r} holds neither class folders nor images.")
    labels, found = labelled(root, directory, images, classes)
    label_files = [file for each in found for file in each.files]
    for file in label_files:
        # The index is stale where they change.
        scan.read_at[file] = os.stat(file).st_mtime_ns
    # The files of a class lie together.
    pairs = sorted(zip(labels, images, strict=True))
    folder = Folder(directory, tuple(classes), tuple(image for _, image in pairs), tuple(label for label, _ in pairs))
    return folder, label_files


def _split_folder(scan: Scan, directory: str) -> tuple[str, list[str]]:
    """The folder of a split that holds its classes, and those: training_set/training_set, as archives unpack."""
    classes = scan.folders(directory)
    while len(classes) == 1 and split_of(classes[0]) == split_of(os.path.basename(directory)):
        directory = os.path.join(directory, classes[0])
        classes = scan.folders(directory)
    return directory, classes


def _scan_splits(scan: Scan, directories: dict[str, str], classes: dict[str, list[str]]) -> list[Folder]:
    """The images of each split. Raises UserError where a class has none, or the splits have not the same classes."""
    first = next(iter(directories))
    for split, directory in directories.items():
        _check_classes(scan, split, directory, classes[split], classes[first])
    for split, directory in directories.items():
        check_same_classes(directories[first], classes[first], directory, classes[split])
    found: dict[tuple[str, str], list[str]] = {}
    for split, directory in directories.items():
        for name in classes[split]:
            before = scan.skipped.counts()
            path = os.path.join(directory, name)
            try:
                found[split, name] = scan.images(path, Place(split, name))
            except SplitInClass as error:
                raise UserError(f"{error}{_hint_of_splits(directory, name, classes[split])}") from None
            if not found[split, name]:
                raise _no_images(path, scan.skipped.counts() - before, classes[split])
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
            f"{path!r} (to {os.readlink(path)!r}), {allowed(most)}. Bring back what they lead to, or remove them."
        )


def _holding(files: Sequence[str], class_folder: str) -> set[str]:
    """The folders that hold these files, by their paths from their class folder; "" is itself."""
    beyond = len(class_folder) + 1
    return {file[beyond : max(beyond, file.rfind(os.sep))] for file in files}


def _hint_of_splits(directory: str, name: str, classes: Sequence[str]) -> str:
    """What may have been meant where a folder that was taken for a class holds folders named as splits."""
    found = os.path.join(directory, name)
    if boxes := boxes_in([directory, found]):
        return boxes
    split = next(inner for inner in folders_in(found) if split_of(inner) is not None)
    below, alike = os.path.join(found, split), [other for other in classes if _holds_splits(directory, other)]
    if not folders_in(below):
        return (
            f" Move {below!r} to {os.path.join(directory, split, name)!r}, and those of the other classes and splits "
            "in the same way."
        )
    if len(alike) > 1:
        listed = ", ".join(map(repr, alike[:3])) + (" …" if len(alike) > 3 else "")
        return f" Each of {listed} has splits of its own, as folds have: join them into one train/, val/ and test/."
    others = others_with_pictures(directory, found)
    if others:
        return f" Images lie in {others[0]!r}, too: move {below!r} and the other splits up, or those out of data.root."
    return did_you_mean(found if can_be_read(found) else None)


def _holds_splits(directory: str, name: str) -> bool:
    return any(split_of(inner) is not None for inner in folders_in(os.path.join(directory, name)))


def _no_images(path: str, skipped: Counter[str], classes: Sequence[str]) -> UserError:
    held = [f"{count:,} {what}" for what, count in skipped.items()]
    listed = f"; skipped there: {', '.join(held)}" if held else ""
    remedy = "Remove it, or move it out of data.root."
    if any(NOT_READ in what for what in skipped):
        remedy = "Have those pictures read, or move it out of data.root."
    if archives := archives_in(path):
        remedy = f"It holds the archive {archives[0]!r}: unpack it there, or move it out of data.root."
    # Where a folder beside it holds train/, that is the data set.
    above = os.path.dirname(path)
    beside = [os.path.join(above, name) for name in classes]
    splits = next((other for other in beside if "train" in map(split_of, folders_in(other))), None)
    meant = splits or next((other for other in beside if can_be_read(other)), None)
    if meant is not None and (not can_be_read(meant) or others_with_pictures(above, meant)):
        meant = None
    boxes = boxes_in([above]) if {name.casefold() for name in classes} & _IMAGES else ""
    return UserError(
        f"data.root: class folder {path!r} holds no images that can be read{listed}. {boxes.strip() or remedy}"
        f"{did_you_mean(meant)}"
    )


def _check_classes(scan: Scan, split: str, directory: str, classes: Sequence[str], of_training: Sequence[str]) -> None:
    """Raises UserError where a folder has not the classes of a data set, or of a split."""
    try:
        check_class_names(directory, classes)
    except NoClasses as error:
        raise UserError(f"{error}{boxes_in([directory])}") from None
    # Of those of training some may be lacking, which is said by their names.
    if len(classes) >= 2 or (split in _EVALUATED and set(classes) & set(of_training)):
        return
    loose = sum(os.path.dirname(path) == directory for path in scan.outside)
    boxes = boxes_in([directory, os.path.dirname(directory)] if split else [directory])
    hint = ""
    if loose:
        hint = (
            f" {loose:,} images lie in it directly, in none{f'.{boxes}' if boxes else _hint_of_loose(split, directory)}"
        )
    if not loose and not classes:
        hint = _hint_of_nothing(split, directory)
    if len(classes) == 1:
        inner = os.path.join(directory, classes[0])
        below = root_below(inner)
        hint = " One class has no other to be told from: put the images of another into a folder beside it."
        if tables := tables_in([directory, inner]):
            hint += f" {tables[0]!r} may say which class each image is of, and is not read."
        if below is not None and (split != "" or can_be_read(below)):
            # Below one split there is no other.
            hint = did_you_mean(below) if split == "" else f" They lie in {below!r}: move them up."
        elif boxes := boxes_in([directory, inner]):
            hint = boxes
        elif split in _EVALUATED:
            hint = f" It lacks the classes to train on: move {directory!r} out of data.root."
            hint = _hint_of_labels(directory) or hint
    found = counted(len(classes), "class folder")
    raise UserError(f"data.root: {directory!r} has {found}: expected at least two.{hint}")


def _hint_of_loose(split: str, directory: str) -> str:
    tables = tables_in([directory, os.path.dirname(directory)] if split else [directory])
    named = f" {tables[0]!r} may say which class each is of, and is not read." if tables else ""
    if split in _EVALUATED:
        labels = _hint_of_labels(directory)
        return f".{labels}" if labels else f": their classes are not known.{named} Move {directory!r} out of data.root."
    meant = root_above(directory) if split == "" else None
    return f".{did_you_mean(meant)}" if meant else f": put those of each class into a folder of its name.{named}"


def _hint_of_labels(split: str) -> str:
    """Where a file says the classes of the images of a split as it does for ImageNet, how that is read."""
    found = label_file(os.path.dirname(split), split)
    return (
        "" if found is None else f" {found!r} says which class each is of: data=imagenet reads it, and these as test."
    )


def _hint_of_nothing(split: str, directory: str) -> str:
    if archives := archives_in(directory):
        return f" It holds the archive {archives[0]!r}: unpack it there."
    if split in _EVALUATED:
        apart = ", and a part of train/ is set apart" if split == "validation" else ""
        return f" It holds no images: remove it{apart}."
    return " It holds no images."
