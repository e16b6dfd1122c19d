"""A first look at the images of a data set: one of each class is read, and what was found is put together."""

import os

from search_spaces.errors import UserError
from trainers.data.decoding import look_at
from trainers.data.findings import DataFindings, Noted, SplitFound
from trainers.data.folder_listing import Folder
from trainers.data.folder_sets import FolderSet
from trainers.pictures.rgb import SIXTEEN_BITS

# 16-bit images of which none is brighter than this come out almost black: values of 12 bits or fewer, most likely.
DARKEST_16_BIT = (SIXTEEN_BITS + 1) // 16


def look_at_folder_set(folder_set: FolderSet) -> DataFindings:
    """Reads the first image of every class. Raises UserError where one cannot be read, or not sensibly."""
    found: dict[str, tuple[int, str]] = {}
    looked_at, greatest = 0, list[tuple[int, str]]()
    for file in [file for folder in folder_set.folders() for file in _first_files(folder)]:
        looked_at += 1
        look = look_at(file)
        for particular in look.particulars:
            count, example = found.get(particular, (0, file))
            found[particular] = count + 1, example
        if look.greatest is not None:
            greatest.append((look.greatest, file))
    if greatest and max(greatest)[0] < DARKEST_16_BIT:
        value, file = max(greatest)
        raise UserError(
            f"data.root: the first images of each class are of 16 bits and almost black, {value:,} at most "
            f"(in {file!r}): expected values up to {SIXTEEN_BITS:,}; values of 12 bits have to be multiplied by 16."
        )
    root = folder_set.root
    return DataFindings(
        root=root,
        classes=folder_set.train.folder.classes,
        splits=tuple(
            SplitFound(name, len(part.index), part.source)
            for name, part in (
                ("train", folder_set.train), ("validation", folder_set.validation), ("test", folder_set.test),
            )
        ),
        skipped=folder_set.skipped,
        looked_at=looked_at,
        read_as=tuple(Noted(what, count, os.path.relpath(file, root)) for what, (count, file) in found.items()),
    )  # fmt: skip


def _first_files(folder: Folder) -> list[str]:
    first = dict(zip(reversed(folder.labels), reversed(folder.files), strict=True))
    return [first[label] for label in sorted(first)]
