"""How a directory of images is laid out, by the names of the folders in it. Pure: nothing is read here.

Class folders stand alone, or below folders that are splits: one for training and perhaps one for validation and one for
testing. Where the names allow two readings, none is chosen: UserError says what was seen and what was expected.
"""

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain

from search_spaces.errors import UserError
from search_spaces.text_forms import differ_in_form_alone, renamed, told_apart

# Names of a split, in lower case; the first is what is expected of whoever names one anew.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation", "validate", "dev"),
    "test": ("test", "tests", "testing", "eval", "evaluation"),
}
# What may stand beside that name: training_set, test-images, val2017.
_FILLERS = frozenset(("set", "split", "data", "dataset", "folder", "image", "images", "img", "imgs"))
_GLUED = re.compile(f"({'|'.join(chain.from_iterable(SPLIT_NAMES.values()))})(?:set|data)")
_SPLIT_OF = {name: split for split, names in SPLIT_NAMES.items() for name in names}
# What folders of pictures, and folders of what is said of those, are called in data sets that have one of each.
_PICTURES = frozenset(("image", "images", "img", "imgs", "jpegimages", "photo", "photos", "picture", "pictures"))
_SAID_OF_THEM = frozenset(
    ("annotation", "annotations", "labels", "mask", "masks", "segmentation", "segmentations", "trimap", "trimaps",
     "groundtruth", "boxes", "bboxes", "attributes", "meta", "metadata", "imdb", "lists")
)  # fmt: skip
# What the numbered parts of one set of pictures are called.
_PARTS = frozenset(("part", "parts", "chunk", "batch", "shard", "piece", "vol", "volume", "disc"))
# So many pairs of classes that differ little are named.
_MOST_ALIKE = 3
# Names that stand for a split only among others like them: tr is Turkish, too.
_ABBREVIATIONS = {
    "tr": "train", "trn": "train", "va": "validation", "vl": "validation", "te": "test", "tst": "test",
    "trainval": "train", "holdout": "test", "heldout": "test",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Layout:
    """The folders of the splits, and those that are none. Without `train` the others are the classes."""

    train: str | None
    validation: str | None
    test: str | None
    others: tuple[str, ...]


class NoClasses(UserError):
    """Folders hold something other than a class each."""


def split_of(name: str) -> str | None:
    """The split that a folder of this name holds: a key of SPLIT_NAMES, or None."""
    words = [word for word in _words(name) if word not in _FILLERS]
    return _SPLIT_OF.get(words[0]) if len(words) == 1 else None


def splits_among(name: str) -> set[str]:
    """The splits that a word of a longer name may stand for, as one of `imagenet-val` or `te-00` does."""
    return {split for word in _words(name) if (split := (_SPLIT_OF | _ABBREVIATIONS).get(word)) is not None}


def folder_layout(root: str, folders: Sequence[str]) -> Layout:
    """The layout of a directory that holds these folders. Raises UserError where their names leave it open."""
    found = _by_split(root, folders)
    others = tuple(name for name in folders if split_of(name) is None)
    if not found:
        check_class_names(root, folders)
    elif "train" not in found:
        named = _quoted(found.values())
        if others:
            raise UserError(_mixed(root, list(found.values()), others))
        raise UserError(f"data.root: {root!r} has {named} and no 'train': expected train/ beside it.")
    return Layout(found.get("train"), found.get("validation"), found.get("test"), others)


def imagenet_layout(root: str, folders: Sequence[str]) -> Layout:
    """ImageNet's layout: train/, and val/ as its test split. Whatever else lies there is no part of it."""
    found = _by_split(root, folders)
    for split, name in (("train", "train"), ("validation", "val")):
        if split not in found:
            raise UserError(f"data.root: {root!r} has no directory {name!r}: ImageNet is train/ and val/.")
    train, test = found["train"], found["validation"]
    return Layout(train, None, test, tuple(name for name in folders if name not in (train, test)))


def check_class_names(directory: str, classes: Sequence[str], kind: str = "folder") -> None:
    """Raises UserError where class folders look like splits, like one class under several names, or like no classes.

    They look like splits where all are named as some, or alike but for a split's name; like none where one of them
    holds what is said of the pictures in another, or where all are numbered parts. `kind` is what has these names.
    """
    _check_distinct(directory, classes, kind)
    _check_classes_at_all(directory, classes)
    of_rest: dict[tuple[str, ...], dict[str, str]] = {}
    for name in classes:
        words = _words(name)
        for word in words:
            if word in _SPLIT_OF:
                rest = tuple(other for other in words if other != word)
                of_rest.setdefault(rest, {}).setdefault(_SPLIT_OF[word], name)
    abbreviated = {_ABBREVIATIONS.get("".join(_words(name))): name for name in classes}
    if None not in abbreviated and len(abbreviated) == len(classes):
        of_rest[()] = {str(split): name for split, name in abbreviated.items()}
    for splits in of_rest.values():
        if len(splits) > 1:
            raise UserError(
                f"data.root: {directory!r} has {_quoted(splits.values())}, which look like splits: expected class "
                f"folders, alone or in train/, val/ and test/.{_split_remedy(splits, classes)}"
            )


def _check_classes_at_all(directory: str, classes: Sequence[str]) -> None:
    joined = {name: "".join(_words(name)) for name in classes}
    said = [name for name, word in joined.items() if word in _SAID_OF_THEM]
    if said and (pictures := next((name for name, word in joined.items() if word in _PICTURES), None)):
        raise NoClasses(
            f"data.root: {directory!r} has {_quoted(said)} beside {pictures!r}, as data sets have that say elsewhere "
            f"what a picture shows: expected one folder a class. If {os.path.join(directory, pictures)!r} holds those, "
            "give that as data.root; else put the images of each class into a folder of its name. If "
            f"{_quoted(said)} are classes, rename them, as class-{said[0]}."
        )
    rest = {tuple(_words(name)) for name in classes}
    numbered = len(classes) > 1 and all(map(re.compile(r"\d").search, classes))
    if numbered and len(rest) == 1 and _PARTS & set(*rest) and "class" not in set(*rest):
        raise UserError(
            f"data.root: {directory!r} has {_quoted(classes)}, which look like the numbered parts of one set of "
            "images: expected one folder a class. Put the images of each class into a folder of its name. If these are "
            f"classes, rename them, as class-{min(classes)}."
        )


def _split_remedy(splits: Mapping[str, str], classes: Sequence[str]) -> str:
    """What makes folders that look like splits be read as those; nothing where one for training is not among them."""
    if "train" not in splits:
        return ""
    expected = {name: SPLIT_NAMES[split][0] for split, name in splits.items()}
    renames = ", ".join(f"{name!r} as {meant}" for name, meant in expected.items() if name != meant)
    rest = [name for name in classes if name not in splits.values()]
    moves = [f"move {_quoted(rest)} out of data.root"] if rest else []
    return f" If they are, {' and '.join([f'rename {renames}', *moves])}." if renames else ""


def check_subfolders(directory: str, held: Mapping[str, Collection[str]]) -> None:
    """Raises UserError where the folders inside of class folders could as well be the classes.

    `held` has, for each class folder, the folders below it that hold images, by their paths from there; "" is itself.
    """
    _check_sisters(directory, held)
    inside = {
        name: [tuple(path.split(os.sep)) for path in paths] for name, paths in held.items() if paths and "" not in paths
    }
    if 2 * len(inside) < len(held):
        return
    # One that all have, such as images/, says nothing of what lies in it.
    while len(first := {_folded(path[0]) for paths in inside.values() for path in paths}) == 1:
        inside = {name: [path[1:] for path in paths] for name, paths in inside.items()}
        if not all(all(paths) for paths in inside.values()):
            return
    names = {_folded(path[0]): path[0] for paths in inside.values() for path in paths}
    counts = Counter(chain.from_iterable({_folded(path[0]) for path in paths} for paths in inside.values()))
    shared = sorted(names[name] for name, count in counts.items() if count > 1)
    if shared and 2 * len(shared) >= len(first):
        outer = sorted(inside)
        raise UserError(
            f"data.root: {directory!r} can be read in two ways: its folders {_quoted(outer)} hold no images "
            f"themselves, but folders of the same names, {_quoted(shared)}. If those are the classes, expected "
            f"{_quoted(outer)} to be one folder, or to be named train, val and test; else images in {_quoted(outer)} "
            f"directly, or other names in each (as {os.path.join(outer[0], f'{outer[0]}-{shared[0]}')!r})."
        )


def _check_sisters(directory: str, held: Mapping[str, Collection[str]]) -> None:
    """Raises UserError where a class folder holds folders that are named as the classes beside it."""
    written = {_folded(name): name for name in held}
    for name, paths in held.items():
        below = [path.split(os.sep) for path in paths if path]
        for depth in range(max(map(len, below), default=0)):
            inner = {_folded(parts[depth]) for parts in below if len(parts) > depth}
            shared = [written[other] for other in inner & written.keys() if written[other] != name]
            # Deeper down a single one may be named so by chance, and numbers may be of anything.
            names_all = 1 < len(shared) == len(inner) and not any(map(str.isdigit, shared))
            if shared and (depth == 0 or names_all):
                raise UserError(_holds_sisters(directory, name, shared))


def _holds_sisters(directory: str, name: str, shared: Sequence[str]) -> str:
    meant = "If it is a copy of theirs, as thumbnails are, or masks of them, move it out of data.root"
    if split_of(name) is not None:
        meant = f"If it is a split, move it beside the others, to {os.path.join(os.path.dirname(directory), name)!r}"
    return (
        f"data.root: class folder {os.path.join(directory, name)!r} holds folders named as the classes beside it, "
        f"{_quoted(shared)}. {meant}; if it is a class, rename the folders in it."
    )


def check_no_mixture(root: str, layout: Layout, with_images: Sequence[str]) -> None:
    """Raises UserError where folders with images stand beside those of the splits."""
    if with_images:
        named = [name for name in (layout.train, layout.validation, layout.test) if name is not None]
        raise UserError(_mixed(root, named, with_images))


class SplitInClass(UserError):
    """A class folder holds a folder that is named as a split."""


def check_class_folder(directory: str, folders: Sequence[str]) -> None:
    """Raises SplitInClass where a class folder holds folders named as splits."""
    for name in folders:
        if split_of(name) is not None:
            raise SplitInClass(
                f"data.root: class folder {directory!r} holds {name!r}, which names a split: expected the splits "
                "above the classes (train/CLASS/...), or another name."
            )


def check_same_classes(train: str, train_classes: Sequence[str], other: str, classes: Sequence[str]) -> None:
    """Raises UserError where the classes of two splits, in these directories, are not the same."""
    alone = {train: set(train_classes) - set(classes), other: set(classes) - set(train_classes)}
    found = [
        f"{_quoted(names)} {'is' if len(names) == 1 else 'are'} in {directory!r} alone"
        for directory, names in alone.items()
        if names
    ]
    if found:
        raise UserError(
            f"data.root: the classes of {train!r} and {other!r} differ: {', '.join(found)}. Expected the same classes "
            f"in both.{_alike(alone[train], alone[other])}"
        )


def _alike(names: Collection[str], others: Collection[str]) -> str:
    """What is to be said of names that differ from others so little that they may well mean the same."""
    folded = {_folded(other): other for other in others}
    said, near, twins = [], [], []
    for name in sorted(names):
        if (other := folded.get(_folded(name))) is not None:
            if differ_in_form_alone(name, other):
                twins.append(f" {renamed(other, name)}.")
                continue
            how = "in case" if name.casefold() == other.casefold() else "by case, spaces, underscores or accents"
            said.append(f"{name!r} and {other!r} differ {how} alone")
        else:
            near += [f"{other!r} by {name!r}" for other in get_close_matches(name, others, n=1, cutoff=0.7)]
    alike = f" {'; '.join(said[:_MOST_ALIKE])}: give them one name." if said else ""
    alike += "".join(twins[:_MOST_ALIKE])
    return alike + (f" Did you mean {', '.join(near[:_MOST_ALIKE])}?" if near else "")


def _check_distinct(directory: str, classes: Sequence[str], kind: str) -> None:
    seen: dict[str, str] = {}
    for name in classes:
        # Of single letters, the capital is another one.
        folded = _folded(name) if len(name.strip()) > 1 else name.strip()
        other = seen.setdefault(str(int(folded)) if folded.isascii() and folded.isdigit() else folded, name)
        if other != name and folded.isdigit() and _folded(other) != folded:
            raise UserError(
                f"data.root: {directory!r} has class {kind}s {other!r} and {name!r}, which are the same number: "
                f"expected one {kind} a class."
            )
        if other != name and differ_in_form_alone(name, other):
            twins = told_apart(other, name)
            raise UserError(
                f"data.root: {directory!r} has class {kind}s that look the same: {twins}: expected one {kind} a class."
            )
        if other != name:
            raise UserError(
                f"data.root: {directory!r} has class {kind}s {other!r} and {name!r}, alike but for case or spaces: "
                f"expected one {kind} a class."
            )


def _folded(name: str) -> str:
    """A name without what people take for the same: case, spaces, underscores, and how accents are written."""
    return " ".join(unicodedata.normalize("NFC", name).casefold().replace("_", " ").split())


def _by_split(root: str, folders: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in folders:
        split = split_of(name)
        if split is None:
            continue
        if split in found:
            raise UserError(
                f"data.root: {root!r} has {_quoted((found[split], name))}, each of which names the {split} split: "
                "expected one of them."
            )
        found[split] = name
    return found


def _mixed(root: str, splits: Sequence[str], others: Sequence[str]) -> str:
    said = f"data.root: {root!r} has {_quoted(splits)}, named as splits, beside {_quoted(others)}"
    known = {split_of(name) for name in splits}
    meant = {name: _ABBREVIATIONS.get("".join(_words(name))) for name in others}
    if None not in meant.values() and known.isdisjoint(meant.values()) and len(set(meant.values())) == len(meant):
        named = ", ".join(f"{name!r} {split if split != 'validation' else 'val'}" for name, split in meant.items())
        return f"{said}, which may be splits, too. If they are, name {named}; else move them out of data.root."
    return (
        f"{said}: expected class folders alone (one of the other kind renamed, as class-{splits[0]}), or train/, val/ "
        "and test/ alone (what is none of them moved out of data.root)."
    )


def _quoted(names: Iterable[str]) -> str:
    listed = [repr(name) for name in sorted(names)]
    return ", ".join(listed[:3]) + (f" and {len(listed) - 3} more" if len(listed) > 3 else "")


def _words(name: str) -> list[str]:
    words = re.findall(r"[^\W\d_]+", name.casefold())
    return [glued[1] if (glued := _GLUED.fullmatch(word)) else word for word in words]
