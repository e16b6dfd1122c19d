"""What was found of a data set of images in folders, as plain data, and as the lines of one small table."""

from dataclasses import dataclass

from search_spaces.errors import printable

# So many kinds of what was skipped are listed; the rest are counted together.
MOST_KINDS = 8
# Class names are listed up to so many characters.
MOST_CLASS_CHARACTERS = 60


@dataclass(frozen=True, slots=True)
class SplitFound:
    """A split, how many images it has, and where they come from."""

    name: str
    images: int
    source: str


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that holds of so many files or folders, and one of them, below the root."""

    what: str
    count: int
    example: str


@dataclass(frozen=True, slots=True)
class DataFindings:
    """The classes of a data set, its splits, what was skipped below its root, and how its images are read.

    `looked_at` is how many images were opened, the first of each class; `read_as` says of which of them the pixels are
    not simply taken as they stand in the file. `remarks` is what else is to be said, by what it is about.
    """

    root: str
    classes: tuple[str, ...]
    splits: tuple[SplitFound, ...]
    skipped: tuple[Noted, ...]
    looked_at: int
    read_as: tuple[Noted, ...]
    remarks: tuple[tuple[str, Noted], ...] = ()

    def rows(self) -> list[tuple[str, str, str]]:
        """The table: what, how many, and the rest. Nothing in it breaks a line or cannot be encoded."""
        rows = [("classes", f"{len(self.classes):,}", _listed(self.classes))]
        rows += [(split.name, f"{split.images:,}", split.source) for split in self.splits]
        skipped = sorted(self.skipped, key=lambda noted: -noted.count)
        if not skipped:
            rows.append(("skipped", "0", "nothing"))
        for noted in skipped[:MOST_KINDS]:
            rows.append(("skipped", f"{noted.count:,}", f"{noted.what}, such as {noted.example}"))
        if others := skipped[MOST_KINDS:]:
            count = sum(noted.count for noted in others)
            rows.append(("skipped", f"{count:,}", f"of {len(others)} further kinds, such as {others[0].example}"))
        rows.append(("looked at", f"{self.looked_at:,}", "the first image of each class"))
        for about, noted in (*(("read as", noted) for noted in self.read_as), *self.remarks):
            rows.append((about, f"{noted.count:,}", f"{noted.what}, such as {noted.example}"))
        return [(what, count, printable(rest)) for what, count, rest in rows]


def _listed(classes: tuple[str, ...]) -> str:
    names = list(classes)
    while len(", ".join(names)) > MOST_CLASS_CHARACTERS and len(names) > 2:
        names.pop()
    return ", ".join(names) + (", …" if len(names) < len(classes) else "")
