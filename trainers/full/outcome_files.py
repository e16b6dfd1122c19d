"""What a full training came to, as files for people: which classes are known how well, and pictures.

OUT/classes.csv    each class: its images, how many are right, and what it is most often taken for
OUT/confusion.csv  how many images of each true class (a row) are taken for each class (a column)
OUT/curves.png, OUT/confusion.png
"""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.errors import printable
from search_spaces.units import counted
from trainers.data.findings import listed_classes
from trainers.epoch_result import EpochResult
from trainers.figures import can_draw, confusion_png, curves_png, not_drawn
from trainers.files import csv_bytes, write_atomically

if TYPE_CHECKING:
    from trainers.measurement import Measurement

logger = logging.getLogger(__name__)

CLASSES, CONFUSION, CURVES, CONFUSION_PICTURE = "classes.csv", "confusion.csv", "curves.png", "confusion.png"
# What `trainers.full.extras` adds.
PROGRAM, CORRUPTIONS_FILE = "model.pt2", "corruptions.csv"
OUTCOME_FILES = (PROGRAM, CLASSES, CONFUSION, CONFUSION_PICTURE, CURVES, CORRUPTIONS_FILE)
CLASS_COLUMNS = ("class", "images", "correct", "accuracy", "most_taken_for", "times")


def write_outcome(
    out: Path, measurement: "Measurement", classes: Sequence[str], results: Sequence[EpochResult], title: str
) -> None:
    """Writes the files, the pictures only where matplotlib is installed. `title` stands over the pictures.

    Of classes whose names no font has the letters of it is warned, all at once.
    """
    counts = measurement.confusion_KK.tolist()
    contents = {
        CLASSES: csv_bytes(CLASS_COLUMNS, (_class_row(index, counts, classes) for index in range(len(classes)))),
        CONFUSION: csv_bytes(("", *classes), ([name, *row] for name, row in zip(classes, counts, strict=True))),
    }
    if can_draw():
        contents[CURVES] = curves_png(results, title)
        contents[CONFUSION_PICTURE] = confusion_png(measurement.confusion_KK, classes, title)
        if lacking := not_drawn(classes):
            logger.warning(
                "no font that is installed has all letters of the names of %s (%s): ? stands for them in %s, and the "
                "names stand whole in %s",
                counted(len(lacking), "class", "classes"),
                printable(listed_classes(lacking)),
                CONFUSION_PICTURE,
                CLASSES,
            )
    for name, content in contents.items():
        write_atomically(out / name, content)


def hardest_classes(measurement: "Measurement", classes: Sequence[str], most: int) -> list[dict[str, Any]]:
    """The classes that are known worst, worst first, with the share of their images that is right."""
    images = measurement.confusion_KK.sum(1).tolist()
    right = measurement.confusion_KK.diagonal().tolist()
    shares = [(hits / count, name) for hits, count, name in zip(right, images, classes, strict=True) if count]
    return [{"class": name, "accuracy": share} for share, name in sorted(shares, key=lambda pair: pair[0])[:most]]


def _class_row(index: int, counts: list[list[int]], classes: Sequence[str]) -> list[object]:
    row = counts[index]
    others = [0 if column == index else count for column, count in enumerate(row)]
    most = max(others)
    taken_for = classes[others.index(most)] if most else ""
    return [classes[index], sum(row), row[index], row[index] / sum(row) if sum(row) else "", taken_for, most]
