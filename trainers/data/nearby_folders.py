"""What lies around a directory that was given for a data set, where another one was probably meant. Changes nothing."""

import difflib
import os
import re
from collections.abc import Iterator, Sequence
from itertools import islice

from search_spaces.errors import UserError
from search_spaces.pasted_commands import shell_word
from search_spaces.text_forms import differ_in_form_alone, renamed
from trainers.data.folder_layout import folder_layout, split_of
from trainers.pictures.file_kinds import FIRST_BYTES, is_archive
from trainers.pictures.image_formats import readable_suffixes, suffix_of

_ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst", ".7z", ".rar")
# So many folders that each hold a single one are looked through.
MOST_LEVELS = 4
# So many folders beside another, and files in each, are looked at.
MOST_LOOKED_AT = 100


def folders_in(directory: str) -> list[str]:
    """The names of the folders in a directory that are not hidden, in order; none where it cannot be read."""
    try:
        with os.scandir(directory) as entries:
            return sorted(entry.name for entry in entries if not entry.name.startswith(".") and entry.is_dir())
    except OSError:
        return []


def root_below(directory: str) -> str | None:
    """The directory, or the one in the only folders below it, that holds train/ or several folders."""
    for _ in range(MOST_LEVELS):
        names = folders_in(directory)
        if len(names) > 1 or "train" in map(split_of, names):
            return directory
        if not names:
            return None
        directory = os.path.join(directory, names[0])
    return None


def root_above(class_folder: str) -> str | None:
    """The directory of the data set of which a class folder was given, None where there seems to be none."""
    parent = os.path.dirname(os.path.abspath(class_folder))
    above = os.path.dirname(parent)
    meant = above if split_of(os.path.basename(parent)) and "train" in map(split_of, folders_in(above)) else parent
    return meant if can_be_read(meant) else None


def can_be_read(root: str) -> bool:
    """Whether a directory seems to be a data set of class folders, as far as some of each folder show."""
    try:
        layout = folder_layout(root, folders_in(root))
    except UserError:
        return False
    if layout.train is None:
        return _are_classes(root, layout.others)
    if any(holds_picture(os.path.join(root, name)) for name in layout.others[:MOST_LOOKED_AT]):
        return False
    splits = [os.path.join(root, name) for name in (layout.train, layout.validation, layout.test) if name is not None]
    classes = {directory: folders_in(directory) for directory in map(_without_repetition, splits)}
    return all(_are_classes(directory, names) for directory, names in classes.items()) and (
        len(set(map(tuple, classes.values()))) == 1
    )


def _without_repetition(split: str) -> str:
    """The folder of a split's classes: training_set/training_set, as archives unpack."""
    names = folders_in(split)
    while len(names) == 1 and split_of(names[0]) == split_of(os.path.basename(split)):
        split = os.path.join(split, names[0])
        names = folders_in(split)
    return split


def _are_classes(directory: str, names: Sequence[str]) -> bool:
    paths = [os.path.join(directory, name) for name in names[:MOST_LOOKED_AT]]
    hold_splits = any(any(map(split_of, folders_in(path))) for path in paths)
    return len(names) >= 2 and not hold_splits and all(map(holds_picture, paths))


def others_with_pictures(root: str, candidate: str) -> list[str]:
    """The folders below a directory that hold pictures, too, and would be left out if the candidate below it was read
    alone."""
    found = []
    inner = candidate
    while inner != root and len(inner) > len(root):
        directory, name = os.path.split(inner)
        others = [os.path.join(directory, other) for other in folders_in(directory) if other != name]
        found += [other for other in others[:MOST_LOOKED_AT] if holds_picture(other)]
        inner = directory
    return found


def splits_beside(root: str) -> list[str]:
    """Of a folder named as a split the paths of those beside it that are named as others and hold something."""
    parent, name = os.path.split(os.path.abspath(root))
    split = split_of(name)
    others = [other for other in folders_in(parent) if split and split_of(other) not in (None, split)]
    paths = [os.path.join(parent, other) for other in others]
    return [path for path in paths if folders_in(path) or holds_picture(path)]


def did_you_mean(root: str | None) -> str:
    """The sentence that names another directory; "" where there is none."""
    return "" if root is None else f" Did you mean {shell_word(f'data.root={root}')}?"


def no_directory(root: str) -> str:
    """What is wrong with a directory that is none, and what was probably meant."""
    if not os.path.exists(root):
        if "$" in root:
            return (
                f"there is no directory {root!r}: the shell puts nothing in the place of a $ between single quotes; "
                "leave them out, or take double ones."
            )
        parent, name = os.path.split(os.path.abspath(root))
        beside = folders_in(parent)
        twin = next((other for other in beside if differ_in_form_alone(name, other)), None)
        if twin is not None:
            return f"there is no directory {root!r}, but one that looks the same: {renamed(twin, name)}."
        nearest = difflib.get_close_matches(name, beside, n=1)
        return f"there is no directory {root!r}." + did_you_mean(os.path.join(parent, nearest[0]) if nearest else None)
    if is_archive_file(root):
        whole = ", or leave it as it is with data=tar_shards" if root.endswith(".tar") else ""
        return (
            f"{root!r} is an archive, expected a directory: unpack it, and give the directory that it becomes{whole}."
        )
    return (
        f"{root!r} is a file, expected a directory.{did_you_mean(root_above(os.path.dirname(os.path.abspath(root))))}"
    )


def holds_picture(directory: str) -> bool:
    """Whether one of the first files in a folder, or in those below it, is named as a picture."""
    return any(
        suffix_of(os.path.basename(path)) in readable_suffixes()
        for path in islice(_paths_below(directory), 10 * MOST_LOOKED_AT)
    )


def _paths_below(directory: str) -> Iterator[str]:
    """The files in a directory and in the first of the folders below it; hidden folders are none."""
    for folder, folders, files in islice(os.walk(directory), MOST_LOOKED_AT):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (os.path.join(folder, name) for name in files)


def boxes_in(directories: Sequence[str]) -> str:
    """What is to be said where one of these directories has annotations of boxes, not class folders; "" elsewhere."""
    for directory in directories:
        names = {name.casefold(): name for name in folders_in(directory)}
        for name, suffix, kind in _BOXES:
            if name in names and _has_boxes(os.path.join(directory, names[name]), suffix):
                return _detector(os.path.join(directory, names[name]), kind)
        if os.path.isfile(file := os.path.join(directory, "_annotations.coco.json")):
            return _detector(file, "COCO")
    return ""


# Folders of annotations by their names in lower case, the suffix of the files in them, and whose format that is.
_BOXES = (("labels", ".txt", "YOLO"), ("annotations", ".xml", "Pascal VOC"), ("annotations", ".json", "COCO"))


def _detector(path: str, kind: str) -> str:
    converted = "" if kind == "COCO" else ", once they are converted to COCO's format"
    return (
        f" {path!r} has boxes, it seems, in {kind}'s format: python trainers/train_detector.py trains a detector on "
        f"them{converted}; a search needs one folder a class."
    )


def _has_boxes(directory: str, suffix: str) -> bool:
    """Whether the first files below a directory have this suffix and, being text, hold numbers."""
    looked_at = islice(_paths_below(directory), MOST_LOOKED_AT)
    paths = [path for path in looked_at if suffix_of(os.path.basename(path)) == suffix]
    return bool(paths) and (suffix != ".txt" or all(map(_is_numbers, paths)))


def _is_numbers(path: str) -> bool:
    """Whether the first line of a text is numbers, or there is none, as where a picture shows nothing."""
    try:
        with open(path, encoding="utf-8") as file:
            return all(re.fullmatch(r"-?[\d.]+(e-?\d+)?", word) for word in file.readline(1000).split())
    except (OSError, UnicodeDecodeError):
        return False


def tables_in(directories: Sequence[str]) -> list[str]:
    """The tables of text in these directories, which may say the classes of images."""
    found = []
    for directory in directories:
        names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
        found += [os.path.join(directory, name) for name in names if suffix_of(name) in (".csv", ".tsv")]
    return found


def archives_in(directory: str) -> list[str]:
    """The names of the archives in a directory, in order."""
    return [name for name in sorted(os.listdir(directory)) if is_archive_file(os.path.join(directory, name))]


def is_archive_file(path: str) -> bool:
    """Whether there is an archive at a path, by its contents or, where it is damaged, by its name."""
    if not os.path.isfile(path):
        return False
    if path.lower().endswith(_ARCHIVE_SUFFIXES):
        return True
    try:
        with open(path, "rb") as file:
            return is_archive(file.read(FIRST_BYTES))
    except OSError:
        return False
