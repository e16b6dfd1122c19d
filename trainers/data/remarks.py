"""What is to be said of the images of a data set, beside their number: where they lie, and which come twice. Pure."""

import os
import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import accumulate, chain
from statistics import median

from trainers.data.findings import listed_classes
from trainers.data.fingerprint import UNREADABLE
from trainers.data.folder_listing import Folder
from trainers.data.folder_sets import FolderSet
from trainers.data.tar_members import member_of, name_of

# What a remark is about, what it says, and of which files.
Remark = tuple[str, str, list[str]]

# The path of a mask without its suffix, and that of the picture it is of.
_MASK = re.compile(r"(.+?)[ _-]+(?:mask|seg|segmentation|label|labels|gt|groundtruth|trimap|annotation)(?:[ _-]?\d+)?")
# So many names of folders are listed.
MOST_NAMES = 3


def in_subfolders(folder_set: FolderSet) -> list[Remark]:
    """That images lie deeper than in the folders of their classes, where some do: what about, in words, and which."""
    in_shards = any(member_of(folder.files[0]) is not None for folder in folder_set.folders())
    deeper = [] if in_shards else list(chain.from_iterable(_deeper(folder) for folder in folder_set.folders()))
    names = sorted({name for name, _ in deeper})
    listed = ", ".join(names[:MOST_NAMES]) + (f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else "")
    what = f"images lie in subfolders {listed} of class folders"
    return [("subfolders", what, [file for _, file in deeper])]


def masks(folder_set: FolderSet) -> list[Remark]:
    """That images are named as masks of others that lie beside them, where some are."""
    found = []
    for folder in folder_set.folders():
        stems = {os.path.splitext(file)[0] for file in folder.files}
        for file in folder.files:
            of = _MASK.fullmatch(os.path.splitext(file)[0])
            if of is not None and of[1] in stems:
                found.append(file)
    what = "images are named as masks of others beside them: move them out of data.root if they are no pictures"
    return [("masks", f"{what} of their class", found)]


def uneven_shards(folder_set: FolderSet) -> list[Remark]:
    """That tar files hold far fewer images than most of them, where some do but for the last of a split."""
    small = []
    for folder in folder_set.folders():
        counts = Counter(member.shard for member in map(member_of, folder.files) if member is not None)
        usual = median(counts.values()) if counts else 0
        small += [shard for shard in sorted(counts)[:-1] if 2 * counts[shard] < usual]
    return [("shards", "hold fewer than half as many images as most do", small)]


def without_images(folder_set: FolderSet) -> list[Remark]:
    """Which classes have no image in a split that others have some in, being too small for a share of it."""
    remarks = []
    for name, part in folder_set.parts():
        there = {part.folder.labels[place] for place in part.index}
        lacking = [] if not there else [of for label, of in enumerate(part.folder.classes) if label not in there]
        what = f"classes too small to have any {name} image: {listed_classes(lacking)}"
        paths = [os.path.join(part.folder.directory, of) for of in lacking]
        remarks.append((f"no {name}", what, paths))
    return remarks


def _deeper(folder: Folder) -> list[tuple[str, str]]:
    """The files that lie in a folder of a class folder, each with the name of that folder."""
    above = os.path.join(folder.directory, "").count(os.sep)
    deeper = [file for file in folder.files if file.count(os.sep) > above + 1]
    return [(file.split(os.sep, above + 2)[above + 1], file) for file in deeper]


def repeated(folder_set: FolderSet, sizes: Sequence[int], contents: Mapping[int, str]) -> list[Remark]:
    """That images have the contents of another in another class, or in another split, where some do.

    `sizes` has those of all files, folder by folder, and `contents` digests by their places among these.
    """
    folders = folder_set.folders()
    starts = list(accumulate((len(folder.files) for folder in folders), initial=0))
    splits = [[""] * len(folder.files) for folder in folders]
    for name, part in folder_set.parts():
        of_folder = splits[[folder is part.folder for folder in folders].index(True)]
        for within in part.index:
            of_folder[within] = name

    def where(place: int) -> tuple[str, int, str]:
        number = bisect_right(starts, place) - 1
        folder, within = folders[number], place - starts[number]
        return splits[number][within], folder.labels[within], folder.files[within]

    first: dict[tuple[int, str], tuple[str, int, str]] = {}
    found: dict[str, list[tuple[str, str]]] = {"class": [], "split": []}
    for place, digest in contents.items():
        # Empty files are no pictures.
        if digest == UNREADABLE or sizes[place] == 0:
            continue
        split, label, file = where(place)
        # Of large files the ends alone are looked at, which may be those of another, too.
        other_split, other_label, other = first.setdefault((sizes[place], digest), (split, label, file))
        if label != other_label:
            found["class"].append((file, other))
        elif split != other_split:
            found["split"].append((file, other))
    meaning = {"class": "", "split": ", so that what is measured there comes out too high: remove all but one of each"}
    return [
        (
            "repeated",
            f"images have the contents of one of another {what} "
            f"({os.path.relpath(name_of(pairs[0][1]), folder_set.root)}){meaning[what]}",
            [file for file, _ in pairs],
        )
        for what, pairs in found.items()
        if pairs
    ]
