"""What was found of a data set of images in folders, as plain data, and as the lines of one small table."""

from collections.abc import Sequence
from dataclasses import dataclass

from search_spaces.errors import printable

# So many kinds of what was skipped are listed; the rest are counted together.
MOST_KINDS = 8
# Class names are listed up to so many characters.
MOST_CLASS_CHARACTERS = 60
# Names longer than so many characters lose their middle: those of classes, and each name in a path.
MOST_NAME_CHARACTERS, MOST_PATH_NAME_CHARACTERS = 40, 80
# Of pictures in formats that are not read, in the words of what was skipped.
NOT_READ = "that are not read"


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
        rows = [("classes", f"{len(self.classes):,}", listed_classes(self.classes))]
        rows += [(split.name, f"{split.images:,}", split.source) for split in self.splits]
        # Pictures that are not read are what most likely was meant to be.
        skipped = sorted(self.skipped, key=lambda noted: (NOT_READ not in noted.what, -noted.count))
        if not skipped:
            rows.append(("skipped", "0", "nothing"))
        # One further kind takes no more room than that there is one.
        shown = skipped if len(skipped) <= MOST_KINDS + 1 else skipped[:MOST_KINDS]
        for noted in shown:
            rows.append(("skipped", f"{noted.count:,}", _with_example(noted)))
        if others := skipped[len(shown) :]:
            count = sum(noted.count for noted in others)
            rows.append(
                ("skipped", f"{count:,}", f"of {len(others)} further kinds, such as {_shown(others[0].example)}")
            )
        rows.append(("looked at", f"{self.looked_at:,}", "the first image of each class"))
        for about, noted in (*(("read as", noted) for noted in self.read_as), *self.remarks):
            rows.append((about, f"{noted.count:,}", _with_example(noted)))
        return [(what, count, printable(rest)) for what, count, rest in rows]


def listed_classes(classes: Sequence[str]) -> str:
    """The first of the names, and long ones shortened in their middle, so that they take about a line."""
    names = [_shortened(name, MOST_NAME_CHARACTERS) for name in classes]
    while len(", ".join(names)) > MOST_CLASS_CHARACTERS and len(names) > 2:
        names.pop()
    return ", ".join(names) + (", …" if len(names) < len(classes) else "")


def _with_example(noted: Noted) -> str:
    # Of names that are listed one more says nothing.
    if noted.example.rpartition("/")[2] in noted.what.rpartition(": ")[2].split(", "):
        return noted.what
    return f"{noted.what}, such as {_shown(noted.example)}"


def _shown(path: str) -> str:
    """A path at the end of a line: quotes show a space at its end, and long names are cut."""
    parts = [_shortened(part, MOST_PATH_NAME_CHARACTERS) for part in path.split("/")]
    return repr(path) if path != path.strip() else "/".join(parts)


def _shortened(name: str, most: int) -> str:
    half = (most - 1) // 2
    return name if len(name) <= most else f"{name[:half]}…{name[-half:]}"
