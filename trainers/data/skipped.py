"""What was passed over while a data set was scanned, counted by kind, each with an example."""

import os
from collections import Counter

from trainers.data.findings import Noted
from trainers.pictures.image_formats import suffix_of

HIDDEN = "hidden"
LEFT = "left by an operating system or a tool"
TWICE = "reached twice through links"
OUTSIDE = "images outside of class folders"
NO_SPLIT = "folders that are no split"
BROKEN_LINKS = "broken links, which lead nowhere"
NO_FILES = "neither files nor folders"


class Skipped:
    """What was passed over below `root`, counted by kind, with the first example of each in the order of scanning."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._kinds: dict[str, tuple[int, str]] = {}

    def add(self, what: str, path: str) -> None:
        count, example = self._kinds.get(what, (0, path))
        self._kinds[what] = count + 1, min(example, path)

    def add_file(self, path: str) -> None:
        suffix = suffix_of(os.path.basename(path))
        self.add(f"{suffix} files" if suffix else "files without a suffix", path)

    def counts(self) -> Counter[str]:
        return Counter({what: count for what, (count, _) in self._kinds.items()})

    def noted(self) -> tuple[Noted, ...]:
        return tuple(
            Noted(what, count, os.path.relpath(example, self._root))
            for what, (count, example) in sorted(self._kinds.items())
        )
