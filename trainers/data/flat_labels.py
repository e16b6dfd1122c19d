"""The classes of images that lie in one folder together, as ImageNet's validation images come: from the usual files.

LOC_val_solution.csv                    Kaggle's: ImageId,PredictionString, whose first word is the class
val_annotations.txt                     Tiny ImageNet's: file name, class, and a box, by tabs
ILSVRC2012_validation_ground_truth.txt  ILSVRC's: in line N the number of the class of the image whose name ends in N
    with map_clsloc.txt                 the class list of its development kit: class, number, name
"""

import csv
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from search_spaces.errors import UserError

SOLUTION, ANNOTATIONS = "LOC_val_solution.csv", "val_annotations.txt"
GROUND_TRUTH, CLASS_LIST = "ILSVRC2012_validation_ground_truth.txt", "map_clsloc.txt"
LABEL_FILES = (SOLUTION, ANNOTATIONS, GROUND_TRUTH, CLASS_LIST)
# Below the root, beside the folder of the images and the root itself.
_KITS = (os.path.join("ILSVRC2012_devkit_t12", "data"), os.path.join("devkit", "data"))
_NUMBER = re.compile(r".*_(\d+)")
# Kaggle says of each box its class and four numbers.
_BOX_WORDS = 5
_COORDINATE = re.compile(r"-?[\d.]+(?:e[-+]?\d+)?")
# So much of a line is shown.
MOST_SHOWN = 80

# A line of a file with its number, from 1.
_Line = tuple[int, str]


@dataclass(frozen=True, slots=True)
class FlatLabels:
    """The class of each image that a file labels, by what `key` gives for the image's file, and where that is from."""

    files: tuple[str, ...]
    of_key: dict[str, str]
    key: Callable[[str], str | None]


def labelled(
    root: str, directory: str, images: Sequence[str], classes: Sequence[str]
) -> tuple[list[int], list[FlatLabels]]:
    """The label of each image, its class's place among `classes`, and where they come from.

    Where several files have labels, those of the first are taken, and the others may say less. Raises UserError where
    there is no file of labels, two of them say different classes of an image, or the first and the images are not of
    each other.
    """
    found, *others = read = _read(root, directory)
    place_of = {name: place for place, name in enumerate(classes)}
    unknown = sorted({name for name in found.of_key.values() if name not in place_of})
    if unknown:
        raise UserError(
            f"data.root: {found.files[0]!r} names class {unknown[0]!r}, for which there is no folder among the images "
            f"to train on: expected one of {len(classes)}, such as {classes[0]!r}."
        )
    labels, seen = [], set()
    for image in images:
        key = found.key(image)
        if key not in found.of_key:
            raise UserError(f"data.root: image {image!r} has no class in {found.files[0]!r}.")
        seen.add(key)
        name = found.of_key[key]
        for other in others:
            _check_same_class(image, name, found, other)
        labels.append(place_of[name])
    missing = [key for key in found.of_key if key not in seen]
    if missing:
        raise UserError(
            f"data.root: {found.files[0]!r} labels {len(found.of_key):,} images, of which {len(missing):,} are not in "
            f"{directory!r}, such as {missing[0]!r}."
        )
    empty = [name for place, name in enumerate(classes) if place not in set(labels)]
    if empty:
        raise UserError(f"data.root: {found.files[0]!r} labels no image as class {empty[0]!r}: expected some of each.")
    return labels, read


def _check_same_class(image: str, name: str, found: FlatLabels, other: FlatLabels) -> None:
    other_name = other.of_key.get(other.key(image) or "", name)
    if other_name != name:
        raise UserError(
            f"data.root: of image {image!r} {found.files[0]!r} says {name!r}, and {other.files[0]!r} {other_name!r}: "
            "expected the same of both; remove the file that is wrong."
        )


def label_file(root: str, directory: str) -> str | None:
    """The file that says the classes of the images in a folder of a data set; None where there is none."""
    file = _finder(root, directory)
    of_ground_truth = file(GROUND_TRUTH) if file(CLASS_LIST) else None
    return file(SOLUTION) or file(ANNOTATIONS) or of_ground_truth


def _finder(root: str, directory: str) -> Callable[[str], str | None]:
    """What finds a file by its name in the places where labels lie."""
    places = [directory, root, *(os.path.join(root, kit) for kit in _KITS)]
    return lambda name: next((path for place in places if os.path.isfile(path := os.path.join(place, name))), None)


def _read(root: str, directory: str) -> list[FlatLabels]:
    """What each kind of file says that is there, at least one."""
    file = _finder(root, directory)
    found = []
    if solution := file(SOLUTION):
        found.append(FlatLabels((solution,), _solution(solution), _stem))
    if annotations := file(ANNOTATIONS):
        found.append(FlatLabels((annotations,), _annotations(annotations), os.path.basename))
    truth, class_list = file(GROUND_TRUTH), file(CLASS_LIST)
    if truth and class_list:
        found.append(FlatLabels((truth, class_list), _ground_truth(truth, class_list), _number))
    if found:
        return found
    lacks = f"there is {GROUND_TRUTH} but no {CLASS_LIST}" if truth else "their classes are not known"
    raise UserError(
        f"data.root: the images in {directory!r} lie in no class folders, and {lacks}: expected class folders, or "
        f"{SOLUTION}, or {ANNOTATIONS}, or {GROUND_TRUTH} with {CLASS_LIST}, in {directory!r} or {root!r}."
    )


def _solution(path: str) -> dict[str, str]:
    lines = _lines(path)
    if not lines or _row(lines[0]) != ["ImageId", "PredictionString"]:
        raise _malformed(path, lines[0] if lines else (1, ""), "ImageId,PredictionString")
    pairs = []
    for line in lines[1:]:
        row = _row(line)
        pairs.append(_fields(path, line, row))
        _check_one_class(path, line[0], *row[:2])
    return _distinct(path, pairs)


def _row(line: _Line) -> list[str]:
    return next(csv.reader([line[1]]))


def _check_one_class(path: str, number: int, image: str, boxes: str) -> None:
    words = boxes.split()
    # A class may be called by a number.
    named = [word for place, word in enumerate(words) if place % _BOX_WORDS == 0 or not _COORDINATE.fullmatch(word)]
    if other := next((name for name in named if name != named[0]), None):
        raise UserError(
            f"data.root: line {number} of {path!r} says {named[0]!r} and {other!r} of {image!r}: expected one class."
        )


def _annotations(path: str) -> dict[str, str]:
    return _distinct(path, [_fields(path, line, line[1].split("\t")) for line in _lines(path)])


def _ground_truth(path: str, class_list: str) -> dict[str, str]:
    fields = [_fields(class_list, line, line[1].split()) for line in _lines(class_list)]
    class_of = _distinct(class_list, [(number, name) for name, number in fields])
    found = {}
    # Not by the numbers of the lines: none counts that is blank.
    for place, line in enumerate(_lines(path), start=1):
        number = line[1].strip()
        if number not in class_of:
            raise _malformed(path, line, f"one of the {len(class_of):,} numbers of classes in {class_list!r}")
        found[str(place)] = class_of[number]
    return found


def _fields(path: str, line: _Line, row: Sequence[str]) -> tuple[str, str]:
    """The first field, and the first word of the second."""
    if len(row) < 2 or not row[0].strip() or not row[1].split():
        raise _malformed(path, line, "an image or a class, and what belongs to it")
    return row[0].strip(), row[1].split()[0]


def _distinct(path: str, pairs: Sequence[tuple[str, str]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in pairs:
        if found.setdefault(key, value) != value:
            raise UserError(f"data.root: {path!r} says {found[key]!r} and {value!r} of {key!r}: expected one of them.")
    return found


def _stem(file: str) -> str:
    return os.path.splitext(os.path.basename(file))[0]


def _number(file: str) -> str | None:
    match = _NUMBER.fullmatch(_stem(file))
    return str(int(match[1])) if match else None


def _lines(path: str) -> list[_Line]:
    try:
        # As Excel writes text: with a mark before it.
        with open(path, encoding="utf-8-sig") as file:
            return [line for line in enumerate(file.read().splitlines(), start=1) if line[1].strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"data.root: {path!r} cannot be read: {error}.") from error


def _malformed(path: str, line: _Line, expected: str) -> UserError:
    number, text = line
    shown = text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
    return UserError(f"data.root: line {number} of {path!r} is {shown!r}: expected {expected}.")
