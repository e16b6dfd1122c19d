"""What was passed over while a data set was scanned, counted by kind, each with an example."""

import os
import re
from collections import Counter
from collections.abc import Collection

from trainers.data.findings import NOT_READ, Noted
from trainers.data.flat_labels import LABEL_FILES
from trainers.pictures.file_kinds import FIRST_BYTES, picture_format
from trainers.pictures.image_formats import suffix_of, unreadable_suffixes

HIDDEN = "hidden"
HIDDEN_IMAGES = "images in hidden folders"
LEFT = "left by an operating system or a tool"
TWICE = "reached twice through links"
OUTSIDE = "images outside of class folders"
NO_SPLIT = "folders that are no split"
BROKEN_LINKS = "broken links, which lead nowhere"
NO_FILES = "neither files nor folders"


# A suffix as programs write them. What follows the last dot of a name may be anything else.
_SUFFIX = re.compile(r"\.[a-z0-9]+")
# Of names that say nothing so many files are looked into, to see whether they hold a picture.
MOST_OPENED = 100


class Skipped:
    """What was passed over below `root`, counted by kind, with the first example of each in the order of scanning."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._kinds: dict[str, tuple[int, str]] = {}
        self._opened = 0
        # Whether they have the classes of images turns out once all is scanned.
        self._label_files: list[str] = []

    def add(self, what: str, path: str, count: int = 1) -> None:
        counted, example = self._kinds.get(what, (0, path))
        self._kinds[what] = counted + count, min(example, path)

    def add_file(self, path: str) -> None:
        """Counts a file that no suffix makes an image, by its suffix, and pictures among them apart."""
        name = os.path.basename(path)
        suffix = suffix_of(name)
        if name in LABEL_FILES:
            self._label_files.append(path)
        elif suffix in unreadable_suffixes():
            self.add(f"{suffix} pictures {NOT_READ}: convert them to JPEG or PNG", path)
        elif _SUFFIX.fullmatch(suffix):
            self.add(f"{suffix} files", path)
        else:
            # Quotes show a space in it.
            kind = f"{suffix!r} files" if suffix else "files without a suffix"
            self.add(
                f"{kind}, pictures {NOT_READ}: let their names end in .jpg, .png" if self._is_picture(path) else kind,
                path,
            )

    def _is_picture(self, path: str) -> bool:
        self._opened += 1
        if self._opened > MOST_OPENED:
            return False
        try:
            with open(path, "rb") as file:
                return picture_format(file.read(FIRST_BYTES)) is not None
        except OSError:
            return False

    def counts(self) -> Counter[str]:
        counted = Counter({what: count for what, (count, _) in self._kinds.items()})
        return counted + Counter(map(_kind_of_labels, self._label_files))

    def noted(self, labels: Collection[str] = ()) -> tuple[Noted, ...]:
        """All of it, once nothing is added any more, but for the files that were read as `labels`."""
        for path in self._label_files:
            if path not in labels:
                self.add(_kind_of_labels(path), path)
        self._label_files.clear()
        return tuple(
            Noted(what, count, os.path.relpath(example, self._root))
            for what, (count, example) in sorted(self._kinds.items())
        )


def _kind_of_labels(path: str) -> str:
    return f"{suffix_of(os.path.basename(path))} files"
