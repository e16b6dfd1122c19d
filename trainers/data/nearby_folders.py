"""What lies around a directory that was given for a data set, where another one was probably meant. Changes nothing."""

import difflib
import os
from itertools import islice

from search_spaces.pasted_commands import shell_word
from trainers.data.folder_layout import split_of
from trainers.pictures.file_kinds import FIRST_BYTES, is_archive
from trainers.pictures.image_formats import readable_suffixes, suffix_of

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
    if split_of(os.path.basename(parent)) and "train" in map(split_of, folders_in(above)):
        return above
    others = [os.path.join(parent, name) for name in folders_in(parent) if name != os.path.basename(class_folder)]
    return parent if any(map(_holds_picture, others[:MOST_LOOKED_AT])) else None


def splits_beside(root: str) -> list[str]:
    """Of a folder named as a split the paths of those beside it that are named as others, and hold folders."""
    parent, name = os.path.split(os.path.abspath(root))
    split = split_of(name)
    others = [other for other in folders_in(parent) if split and split_of(other) not in (None, split)]
    return [path for other in others if folders_in(path := os.path.join(parent, other))]


def did_you_mean(root: str | None) -> str:
    """The sentence that names another directory; "" where there is none."""
    return "" if root is None else f" Did you mean {shell_word(f'data.root={root}')}?"


def no_directory(root: str) -> str:
    """What is wrong with a directory that is none, and what was probably meant."""
    if not os.path.exists(root):
        parent, name = os.path.split(os.path.abspath(root))
        nearest = difflib.get_close_matches(name, folders_in(parent), n=1)
        return f"there is no directory {root!r}." + did_you_mean(os.path.join(parent, nearest[0]) if nearest else None)
    if is_archive_file(root):
        return f"{root!r} is an archive, expected a directory: unpack it, and give the directory that it becomes."
    return (
        f"{root!r} is a file, expected a directory.{did_you_mean(root_above(os.path.dirname(os.path.abspath(root))))}"
    )


def _holds_picture(directory: str) -> bool:
    """Whether one of the first files in a folder is named as a picture."""
    try:
        with os.scandir(directory) as entries:
            return any(suffix_of(entry.name) in readable_suffixes() for entry in islice(entries, MOST_LOOKED_AT))
    except OSError:
        return False


def is_archive_file(path: str) -> bool:
    """Whether there is an archive at a path."""
    if not os.path.isfile(path):
        return False
    try:
        with open(path, "rb") as file:
            return is_archive(file.read(FIRST_BYTES))
    except OSError:
        return False
