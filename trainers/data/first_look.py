"""A first look at the images of a data set: some of each class are read, and what was found is put together."""

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from search_spaces.errors import UserError
from trainers.data.decoding import EIGHT_BITS, Look, has_deep_values, look_at
from trainers.data.findings import DataFindings, Noted, SplitFound
from trainers.data.folder_listing import Folder
from trainers.data.folder_sets import FolderSet
from trainers.data.remarks import Remark, in_subfolders, uneven_shards
from trainers.data.tar_members import name_of
from trainers.data.unreadable import most_unreadable, too_many_unreadable
from trainers.pictures.rgb import SIXTEEN_BITS

# Images of which no value is above this share of white come out almost black. Where they are of 16 bits, their values
# are most likely of 12 bits or fewer.
DARKEST_SHARE = 1 / 16
# So many images of a class are looked at, if there are few classes; else its first and so many of all classes together.
MOST_OF_A_CLASS, MOST_FURTHER = 8, 512


@dataclass(slots=True)
class _Looked:
    """What was read of the images of a class of a split: of its first, and of others, with the files they are in.

    `unreadable` are those of the others that could not be, and why not.
    """

    directory: str
    name: str
    looks: list[tuple[Look, str]]
    unreadable: dict[str, str] = field(default_factory=dict)


def look_at_folder_set(folder_set: FolderSet, further_remarks: Sequence[Remark] = ()) -> DataFindings:
    """Reads the first image of every class, and others where it is dark, or they have more than 8 bits a value.

    What is found of them stands before `further_remarks`. Raises UserError where a first one cannot be read, or not
    sensibly, and where more of a folder cannot be read than a training leaves out.
    """
    further = _further(folder_set)
    looked = []
    for folder in folder_set.folders():
        of_classes = list(_look(folder, further))
        problems = {file: said for of_class in of_classes for file, said in of_class.unreadable.items()}
        # The splits of a folder may be short of images one by one: what is too much of all is too much of one of them.
        if len(problems) > most_unreadable(len(folder.files)):
            raise too_many_unreadable(problems, len(folder.files))
        looked += of_classes
    _check_dark(looked)
    found: dict[str, tuple[int, str]] = {}
    for look, file in (of_class.looks[0] for of_class in looked):
        for particular in look.particulars:
            count, example = found.get(particular, (0, file))
            found[particular] = count + 1, example
    root = folder_set.root
    others = [file for of_class in looked for _, file in of_class.looks[1:]]
    unreadable = [file for of_class in looked for file in of_class.unreadable]
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
        looked_at=len(looked),
        read_as=tuple(
            Noted(what, count, os.path.relpath(name_of(file), root)) for what, (count, file) in found.items()
        ),
        remarks=tuple(
            (about, Noted(what, len(files), os.path.relpath(name_of(files[0]), root)))
            for about, what, files in (
                ("looked at", "others of classes that are dark, or have more than 8 bits a value", others),
                ("unreadable", "of others that were looked at: of more than a few, a training ends", unreadable),
                *in_subfolders(folder_set),
                *uneven_shards(folder_set),
                *further_remarks,
            )
            if files
        ),
    )  # fmt: skip


def _further(folder_set: FolderSet) -> int:
    """How many images of each class are looked at beside its first."""
    classes = sum(len(folder.classes) for folder in folder_set.folders())
    return min(MOST_OF_A_CLASS - 1, MOST_FURTHER // classes)


def _look(folder: Folder, further: int) -> Iterator[_Looked]:
    """Looks at the images of each class of a folder. Raises UserError where the first of one cannot be read."""
    for label, name in enumerate(folder.classes):
        # The files of a class lie together.
        files = folder.files[bisect_left(folder.labels, label) : bisect_right(folder.labels, label)]
        first = look_at(files[0])
        of_class = _Looked(folder.directory, name, [(first, files[0])])
        for file in _spread(files[1:], further):
            try:
                # Reading takes long, and a header says enough of most.
                if has_deep_values(file) or _is_dark(first):
                    of_class.looks.append((look_at(file), file))
            except UserError as error:
                of_class.unreadable[file] = str(error)
        yield of_class


def _spread(files: Sequence[str], count: int) -> list[str]:
    """So many of the files, evenly over all of them, the last one included."""
    count = min(count, len(files))
    return [files[(place + 1) * len(files) // count - 1] for place in range(count)]


def _is_dark(look: Look) -> bool:
    return look.greatest < DARKEST_SHARE * look.white


def _check_dark(looked: Sequence[_Looked]) -> None:
    """Raises UserError where images come out almost black: most of a class with more than 8 bits, or of each class."""
    for of_class in looked:
        deep = [(look, file) for look, file in of_class.looks if look.white != EIGHT_BITS]
        if 2 * sum(_is_dark(look) for look, _ in deep) > len(deep):
            whose = f"of class {of_class.name!r} in {of_class.directory!r} that were looked at"
            raise _too_dark(whose, [entry for entry in deep if _is_dark(entry[0])], len(deep))
    everything = [entry for of_class in looked for entry in of_class.looks]
    if all(2 * sum(_is_dark(look) for look, _ in of_class.looks) > len(of_class.looks) for of_class in looked):
        dark = [entry for entry in everything if _is_dark(entry[0])]
        raise _too_dark("that were looked at", dark, len(everything))


def _too_dark(whose: str, dark: Sequence[tuple[Look, str]], images: int) -> UserError:
    look, file = max(dark, key=lambda entry: entry[0].greatest / entry[0].white)
    kind, advice = {
        EIGHT_BITS: ("", ""),
        SIXTEEN_BITS: ("of 16 bits and ", "; values of 12 bits have to be multiplied by 16"),
    }.get(look.white, ("of floating point and ", ""))
    return UserError(
        f"data.root: {len(dark)} of {images} images {whose} are {kind}almost black, {look.greatest:,.6g} at most "
        f"(in {file!r}): expected values up to {look.white:,}{advice}."
    )
