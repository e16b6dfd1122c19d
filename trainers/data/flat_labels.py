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
# Below the root, beside the folder of the images and the root itself.
_KITS = (os.path.join("ILSVRC2012_devkit_t12", "data"), os.path.join("devkit", "data"))
_NUMBER = re.compile(r".*_(\d+)")


@dataclass(frozen=True, slots=True)
class FlatLabels:
    """The class of each image that a file labels, by what `key` gives for the image's file, and where that is from."""

    files: tuple[str, ...]
    of_key: dict[str, str]
    key: Callable[[str], str | None]


def labelled(root: str, directory: str, images: Sequence[str], classes: Sequence[str]) -> tuple[list[int], FlatLabels]:
    """The label of each image, its class's place among `classes`, and where they come from.

    Raises UserError where there is no file of labels, or it and the images are not of each other.
    """
    found = _read(root, directory)
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
        labels.append(place_of[found.of_key[key]])
    missing = [key for key in found.of_key if key not in seen]
    if missing:
        raise UserError(
            f"data.root: {found.files[0]!r} labels {len(found.of_key):,} images, of which {len(missing):,} are not in "
            f"{directory!r}, such as {missing[0]!r}."
        )
    empty = [name for place, name in enumerate(classes) if place not in set(labels)]
    if empty:
        raise UserError(f"data.root: {found.files[0]!r} labels no image as class {empty[0]!r}: expected some of each.")
    return labels, found


def label_file(root: str, directory: str) -> str | None:
    """The file that says the classes of the images in a folder of a data set; None where there is none."""
    file = _finder(root, directory)
    of_ground_truth = file(GROUND_TRUTH) if file(CLASS_LIST) else None
    return file(SOLUTION) or file(ANNOTATIONS) or of_ground_truth


def _finder(root: str, directory: str) -> Callable[[str], str | None]:
    """What finds a file by its name in the places where labels lie."""
    places = [directory, root, *(os.path.join(root, kit) for kit in _KITS)]
    return lambda name: next((path for place in places if os.path.isfile(path := os.path.join(place, name))), None)


def _read(root: str, directory: str) -> FlatLabels:
    file = _finder(root, directory)
    if solution := file(SOLUTION):
        return FlatLabels((solution,), _solution(solution), _stem)
    if annotations := file(ANNOTATIONS):
        return FlatLabels((annotations,), _annotations(annotations), os.path.basename)
    truth, class_list = file(GROUND_TRUTH), file(CLASS_LIST)
    if truth and class_list:
        return FlatLabels((truth, class_list), _ground_truth(truth, class_list), _number)
    lacks = f"there is {GROUND_TRUTH} but no {CLASS_LIST}" if truth else "their classes are not known"
    raise UserError(
        f"data.root: the images in {directory!r} lie in no class folders, and {lacks}: expected class folders, or "
        f"{SOLUTION}, or {ANNOTATIONS}, or {GROUND_TRUTH} with {CLASS_LIST}, in {directory!r} or {root!r}."
    )


def _solution(path: str) -> dict[str, str]:
    header, *rows = csv.reader(_lines(path))
    if header != ["ImageId", "PredictionString"]:
        raise _malformed(path, 1, "ImageId,PredictionString")
    return _distinct(path, [(_fields(path, number, row, 2)) for number, row in enumerate(rows, start=2)])


def _annotations(path: str) -> dict[str, str]:
    rows = [line.split("\t") for line in _lines(path)]
    return _distinct(path, [(_fields(path, number, row, 2)) for number, row in enumerate(rows, start=1)])


def _ground_truth(path: str, class_list: str) -> dict[str, str]:
    rows = [line.split() for line in _lines(class_list)]
    fields = [_fields(class_list, number, row, 2) for number, row in enumerate(rows, start=1)]
    class_of = _distinct(class_list, [(number, name) for name, number in fields])
    found = {}
    for number, line in enumerate(_lines(path), start=1):
        if line.strip() not in class_of:
            raise _malformed(path, number, f"one of the {len(class_of):,} numbers of classes in {class_list!r}")
        found[str(number)] = class_of[line.strip()]
    return found


def _fields(path: str, number: int, row: Sequence[str], least: int) -> tuple[str, str]:
    """The first field, and the first word of the second."""
    if len(row) < least or not row[0].strip() or not row[1].split():
        raise _malformed(path, number, "an image or a class, and what belongs to it")
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


def _lines(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            return [line for line in file.read().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"data.root: {path!r} cannot be read: {error}.") from error


def _malformed(path: str, number: int, expected: str) -> UserError:
    return UserError(f"data.root: line {number} of {path!r}: expected {expected}.")
