"""What is to be said of where the images of a data set lie, beside their number. Pure."""

import os
from itertools import chain

from trainers.data.folder_listing import Folder
from trainers.data.folder_sets import FolderSet

# So many names of folders are listed.
MOST_NAMES = 3


def in_subfolders(folder_set: FolderSet) -> list[tuple[str, str, list[str]]]:
    """That images lie deeper than in the folders of their classes, where some do: what about, in words, and which."""
    deeper = list(chain.from_iterable(_deeper(folder) for folder in folder_set.folders()))
    names = sorted({name for name, _ in deeper})
    listed = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
    what = f"images lie in subfolders {listed} of class folders"
    return [("subfolders", what, [file for _, file in deeper])]


def _deeper(folder: Folder) -> list[tuple[str, str]]:
    """The files that lie in a folder of a class folder, each with the name of that folder."""
    above = os.path.join(folder.directory, "").count(os.sep)
    deeper = [file for file in folder.files if file.count(os.sep) > above + 1]
    return [(file.split(os.sep, above + 2)[above + 1], file) for file in deeper]
