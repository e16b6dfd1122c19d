"""A first look at the images of a data set: some of each class are read, and what was found is put together."""

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from search_spaces.errors import UserError
from trainers.data.decoding import has_deep_values, look_at
from trainers.data.findings import DataFindings, Noted, SplitFound
from trainers.data.folder_listing import Folder
from trainers.data.folder_sets import FolderSet, Part
from trainers.data.remarks import Remark, in_subfolders, masks, uneven_shards, without_images
from trainers.data.tar_members import name_of
from trainers.data.unreadable import allowed, most_unreadable, too_many_unreadable
from trainers.pictures.file_kinds import what_it_is
from trainers.pictures.looks import Look

# So many images of a class are looked at, if there are few classes; else its first and so many of all classes together.
MOST_OF_A_CLASS, MOST_FURTHER = 8, 512
# Where the first images of a class cannot be read, the first one that can is looked for among so many.
MOST_FIRST = 8


@dataclass(slots=True)
class _Looked:
    """What was read of the images of a class of a split: of the first that can be, and of others, with their files.

    `unreadable` are those that could not be, and why not.
    """

    directory: str
    name: str
    looks: list[tuple[Look, str]]
    unreadable: dict[str, str]


def look_at_folder_set(
    folder_set: FolderSet, empty: Sequence[str] = (), further_remarks: Sequence[Remark] = ()
) -> DataFindings:
    """Reads the first image of every class, and others where it is dark, or they have more than 8 bits a value.

    The `empty` files are known to hold nothing. What is found of the images stands before `further_remarks`. Raises
    UserError where of a class none of the first can be read, or not sensibly, and where more of a split is empty, or
    more of a folder cannot be read, than a training leaves out.
    """
    holds_nothing = {file: f"image {file!r} cannot be read: it is {what_it_is(b'')}." for file in empty}
    for short, part in _short_of_images(folder_set, holds_nothing):
        raise too_many_unreadable([part.name], short, len(part.index))
    further = _further(folder_set)
    looked: list[_Looked] = []
    problems: dict[str, str] = {}
    for folder in folder_set.folders():
        of_classes = list(_look(folder, further, holds_nothing))
        of_folder = {file: said for of_class in of_classes for file, said in of_class.unreadable.items()}
        # Most images were not opened: what is too much of all is too much of one of the splits of a folder, too.
        of_all = _of_folder(folder, holds_nothing) | of_folder
        if of_folder and len(of_all) > most_unreadable(len(folder.files)):
            splits = [name for name, part in folder_set.parts() if part.folder is folder and part.index]
            raise too_many_unreadable(splits, of_all, len(folder.files))
        problems |= of_folder
        looked += of_classes
    _check_dark(looked)
    found: dict[str, tuple[int, str]] = {}
    for look, file in (of_class.looks[0] for of_class in looked):
        for particular in look.particulars:
            count, example = found.get(particular, (0, file))
            found[particular] = count + 1, example
    root = folder_set.root
    others = [file for of_class in looked for _, file in of_class.looks[1:]]
    return DataFindings(
        root=root,
        classes=folder_set.train.folder.classes,
        splits=tuple(SplitFound(name, len(part.index), part.source) for name, part in folder_set.parts()),
        skipped=folder_set.skipped,
        looked_at=len(looked),
        read_as=tuple(
            Noted(what, count, os.path.relpath(name_of(file), root)) for what, (count, file) in found.items()
        ),
        remarks=tuple(
            (about, Noted(what, len(files), os.path.relpath(name_of(files[0]), root)))
            for about, what, files in (
                ("looked at", "others of classes that are dark, or have more than 8 bits a value", others),
                ("empty", "image files are empty: counted above, but a training does without them", list(empty)),
                ("unreadable", _unreadable(folder_set, holds_nothing | problems), list(problems)),
                *without_images(folder_set),
                *in_subfolders(folder_set),
                *masks(folder_set),
                *uneven_shards(folder_set),
                *further_remarks,
            )
            if files
        ),
    )  # fmt: skip


def _short_of_images(folder_set: FolderSet, problems: Mapping[str, str]) -> Iterator[tuple[dict[str, str], Part]]:
    """The splits of which more images have problems than a training leaves out, with these problems."""
    for _, part in folder_set.parts() if problems else ():
        of_part = {file: problems[file] for index in part.index if (file := part.folder.files[index]) in problems}
        if len(of_part) > most_unreadable(len(part.index)):
            yield of_part, part


def _of_folder(folder: Folder, problems: Mapping[str, str]) -> dict[str, str]:
    return {file: problems[file] for file in folder.files if file in problems} if problems else {}


def _unreadable(folder_set: FolderSet, problems: Mapping[str, str]) -> str:
    """What is to be said of images that cannot be read, and are no more of a folder than may be."""
    for short, part in _short_of_images(folder_set, problems):
        return (
            f"of those looked at cannot be read, {len(short)} in the {part.name} split, of {len(part.index)} images, "
            f"of which {allowed(most_unreadable(len(part.index)))}, or a training ends: to be mended or removed"
        )
    return "of those looked at cannot be read: a training does without a few such, and ends over more"


def _further(folder_set: FolderSet) -> int:
    """How many images of each class are looked at beside its first."""
    classes = sum(len(folder.classes) for folder in folder_set.folders())
    return min(MOST_OF_A_CLASS - 1, MOST_FURTHER // classes)


def _look(folder: Folder, further: int, empty: Mapping[str, str]) -> Iterator[_Looked]:
    """Looks at the images of each class of a folder. Raises UserError where none of the first of one can be read."""
    for label, name in enumerate(folder.classes):
        # The files of a class lie together.
        files = folder.files[bisect_left(folder.labels, label) : bisect_right(folder.labels, label)]
        place, first, unreadable = _first_look(folder, name, files, empty)
        of_class = _Looked(folder.directory, name, [(first, files[place])], unreadable)
        for file in _spread(files[place + 1 :], further):
            if file in empty:
                continue
            try:
                # Reading takes long, and a header says enough of most.
                if has_deep_values(file) or first.is_dark:
                    of_class.looks.append((look_at(file), file))
            except UserError as error:
                of_class.unreadable[file] = str(error)
        yield of_class


def _first_look(
    folder: Folder, name: str, files: Sequence[str], empty: Mapping[str, str]
) -> tuple[int, Look, dict[str, str]]:
    """The first image of a class that can be read, by its place, and what is wrong with those before it that hold
    something. Raises UserError where none of the first can be."""
    problems: dict[str, str] = {}
    for place, file in enumerate(files[:MOST_FIRST]):
        try:
            if file not in empty:
                return place, look_at(file), problems
        except UserError as error:
            problems[file] = str(error)
    held = files[:MOST_FIRST]
    which = f"the {len(files)}" if len(held) == len(files) else f"the first {len(held)}"
    others = f"; the others: {', '.join(map(repr, map(name_of, held[1:])))}" if len(held) > 1 else ""
    said = {**empty, **problems}[held[0]].rstrip(".")
    raise UserError(
        f"data.root: none of {which} images of class {name!r} in {folder.directory!r} can be read: {said}{others}."
    )


def _spread(files: Sequence[str], count: int) -> list[str]:
    """So many of the files, evenly over all of them, the last one included."""
    count = min(count, len(files))
    return [files[(place + 1) * len(files) // count - 1] for place in range(count)]


def _check_dark(looked: Sequence[_Looked]) -> None:
    """Raises UserError where images come out almost black: most of a class with more than 8 bits, or of each class."""
    for of_class in looked:
        deep = [(look, file) for look, file in of_class.looks if look.is_deep]
        if 2 * sum(look.is_dark for look, _ in deep) > len(deep):
            whose = f"of class {of_class.name!r} in {of_class.directory!r} that were looked at"
            raise _too_dark(whose, [entry for entry in deep if entry[0].is_dark], len(deep))
    everything = [entry for of_class in looked for entry in of_class.looks]
    if all(2 * sum(look.is_dark for look, _ in of_class.looks) > len(of_class.looks) for of_class in looked):
        raise _too_dark("that were looked at", [entry for entry in everything if entry[0].is_dark], len(everything))


def _too_dark(whose: str, dark: Sequence[tuple[Look, str]], images: int) -> UserError:
    look, file = max(dark, key=lambda entry: entry[0].greatest / entry[0].white)
    return UserError(f"data.root: {len(dark)} of {images} images {whose} are {look.darkness(f' (in {file!r})')}.")
