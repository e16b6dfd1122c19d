"""What the images of a data set are known by, wherever they lie, and what differs between two of them. Pure.

Paths below the root, sizes and contents are part of it; where the root is, times, and the order in which a file system
lists are not.
"""

import base64
import dataclasses
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from search_spaces.canonical_json import canonical_json
from search_spaces.json_fields import read_dataclass
from search_spaces.text_forms import differ_in_form_alone, renamed

# The size and the contents of a file that could not be looked at.
NO_SIZE, UNREADABLE = -1, "unreadable"
# So many names are listed of one kind of difference; the rest are counted.
MOST_NAMES = 3
# The contents of neighbours among the files are marked together, so that there are no more marks than these, of so many
# bytes each: one in 65,536 that change has the mark that it had.
MOST_MARKS, MARK_BYTES = 1024, 2

# What makes a data set what it was.
BRING_BACK, TAKE_AWAY = "bring the images back", "take away what is new"


@dataclass(frozen=True, slots=True)
class DataFingerprint:
    """The classes of a data set in the order of their labels, its files and their bytes, and two digests of them.

    `paths_sha256` is of the path and the size of every file, `contents_sha256` of what was read of their contents.
    `contents_marks` tell which of these have changed: they follow from the same contents, are no part of what it is
    known by, and None where earlier code kept none, or there is but one file.
    """

    classes: tuple[str, ...]
    files: int
    bytes: int
    paths_sha256: str
    contents_sha256: str
    contents_marks: str | None = field(default=None, compare=False)

    @property
    def digest(self) -> str:
        """The SHA-256 of all that it is known by."""
        known = dataclasses.replace(self, contents_marks=None)
        return hashlib.sha256(canonical_json(known.to_json())).hexdigest()

    def to_json(self) -> dict[str, Any]:
        fields = dataclasses.asdict(self) | {"classes": list(self.classes)}
        return {name: value for name, value in fields.items() if value is not None}

    @classmethod
    def from_json(cls, data: object) -> "DataFingerprint":
        """The fingerprint that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        whole = {"contents_marks": None} | dict(data) if isinstance(data, Mapping) else data
        return read_dataclass(cls, whole, "data_fingerprint")


@dataclass(frozen=True, slots=True)
class DataFiles:
    """The files of a data set: paths below its root, sizes in bytes, and digests of the contents of some of them.

    A size is NO_SIZE and contents are UNREADABLE where they could not be had. Digests begin with how much was read, and
    only those of as much can be compared.
    """

    classes: tuple[str, ...]
    paths: Sequence[str]
    sizes: Sequence[int]
    contents: Mapping[str, str]

    def fingerprint(self) -> DataFingerprint:
        paths = sorted(zip(self.paths, self.sizes, strict=True))
        return DataFingerprint(
            classes=self.classes,
            files=len(paths),
            bytes=sum(size for size in self.sizes if size != NO_SIZE),
            paths_sha256=_sha256(f"{path}\0{size}\0" for path, size in paths),
            contents_sha256=_sha256(f"{path}\0{digest}\0" for path, digest in sorted(self.contents.items())),
            contents_marks=_marks(self.contents) if len(paths) > 1 else None,
        )


def summary_differences(before: DataFingerprint, after: DataFingerprint) -> list[str]:
    """What differs between two data sets of which only the fingerprints are known; empty where nothing does."""
    found = _class_differences(before.classes, after.classes)
    if before.files != after.files:
        found.append(f"{before.files:,} files then, {after.files:,} now")
    if before.bytes != after.bytes:
        found.append(f"{before.bytes:,} bytes then, {after.bytes:,} now")
    if not found and before.paths_sha256 != after.paths_sha256:
        found.append("names or sizes of files differ")
    if not found and before.contents_sha256 != after.contents_sha256:
        found.append("the contents of files differ, their names and sizes do not")
    return found


def content_differences(before: DataFingerprint, after: DataFingerprint, contents: Mapping[str, str]) -> list[str]:
    """Which files have other contents, where nothing else differs and the marks tell; empty where they do not.

    `contents` are those that `after` is made of. Of a great data set it is one of a few neighbours.
    """
    if before.paths_sha256 != after.paths_sha256 or before.classes != after.classes:
        return []
    marks, marks_now = (None if each.contents_marks is None else _unpacked(each) for each in (before, after))
    if marks is None or marks_now is None or len(marks) != len(marks_now):
        return []
    groups = _groups(contents)
    changed = [group for group, mark, now in zip(groups, marks, marks_now, strict=True) if mark != now]
    if not changed or len(changed[0]) == 1:
        return _listed([path for group in changed for path, _ in group], "has other contents", "have other contents")
    first, last = changed[0][0][0], changed[0][-1][0]
    others = f", and others in {len(changed) - 1:,} more places" if len(changed) > 1 else ""
    return [f"a file from {first!r} to {last!r} has other contents{others}"]


@dataclass(frozen=True, slots=True)
class FileChanges:
    """The paths of files that are gone, new, of another size, and of other contents, each in order."""

    gone: tuple[str, ...]
    new: tuple[str, ...]
    resized: tuple[str, ...]
    rewritten: tuple[str, ...]

    def all_among(self, paths: Collection[str]) -> bool:
        """Whether no file has changed but these."""
        return {*self.gone, *self.new, *self.resized, *self.rewritten} <= set(paths)

    def undone_by(self) -> str:
        """What makes the data set what it was, as the beginning of a sentence in small letters."""
        if not self.new:
            return BRING_BACK
        has_lost = self.gone or self.resized or self.rewritten
        return "take away what is new, and bring the other images back" if has_lost else TAKE_AWAY


def file_changes(before: DataFiles, after: DataFiles) -> FileChanges:
    """What became of the files of a data set."""
    sizes_before = dict(zip(before.paths, before.sizes, strict=True))
    sizes_after = dict(zip(after.paths, after.sizes, strict=True))
    both = sizes_before.keys() & sizes_after.keys()
    resized = {path for path in both if sizes_before[path] != sizes_after[path]}
    return FileChanges(
        gone=tuple(sorted(sizes_before.keys() - both)),
        new=tuple(sorted(sizes_after.keys() - both)),
        resized=tuple(sorted(resized)),
        rewritten=tuple(sorted(path for path in _rewritten(before, after) if path in both and path not in resized)),
    )


def differences(before: DataFiles, after: DataFiles) -> list[str]:
    """What differs between two data sets whose files are known, a line each kind; empty where nothing does."""
    found = _class_differences(before.classes, after.classes)
    other_classes = set(before.classes) ^ set(after.classes)

    def in_both(path: str) -> bool:
        # A class lies below the root or below a split. Its files say no more than its name does.
        return not other_classes.intersection(path.split("/")[:2])

    changes = file_changes(before, after)
    of_digest = {digest: path for path, digest in after.contents.items() if before.contents.get(path) != digest}

    def moved(path: str) -> str:
        other = of_digest.get(before.contents[path])
        return "" if other is None else f" (what it was is now {other!r})"

    found += _listed(list(filter(in_both, changes.gone)), "is gone", "are gone")
    found += _listed(list(filter(in_both, changes.new)), "is new", "are new")
    found += _listed(changes.resized, "has another file size", "have other file sizes")
    found += _listed(changes.rewritten, "has other contents", "have other contents", moved)
    return found


def _rewritten(before: DataFiles, after: DataFiles) -> list[str]:
    return [
        path
        for path, digest in before.contents.items()
        if digest != after.contents.get(path, digest) and _comparable(digest, after.contents[path])
    ]


def _comparable(before: str, after: str) -> bool:
    return UNREADABLE in (before, after) or before.partition(":")[0] == after.partition(":")[0]


def _class_differences(before: Sequence[str], after: Sequence[str]) -> list[str]:
    gone, new = [name for name in before if name not in set(after)], [name for name in after if name not in set(before)]
    found = []
    for names, is_what in ((gone, "missing"), (new, "new")):
        if names:
            more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
            listed = ", ".join(map(repr, names[:MOST_NAMES])) + more
            found.append(f"class {listed} is {is_what}" if len(names) == 1 else f"classes {listed} are {is_what}")
    twins = [(new_name, name) for name in gone for new_name in new if differ_in_form_alone(name, new_name)]
    found += [renamed(*twin) for twin in twins[:1]]
    if not found and tuple(before) != tuple(after):
        found.append("the classes have another order")
    return found


def _listed(paths: Sequence[str], one: str, many: str, note: Callable[[str], str] = lambda path: "") -> list[str]:
    if not paths:
        return []
    text = f"{paths[0]!r} {one}" if len(paths) == 1 else f"{len(paths):,} files {many}, such as {paths[0]!r}"
    return [text + note(paths[0])]


def _groups(contents: Mapping[str, str]) -> list[tuple[tuple[str, str], ...]]:
    """Files with what was read of them, in order, as neighbours of which there is one mark."""
    entries, each = sorted(contents.items()), max(1, -(-len(contents) // MOST_MARKS))
    return [tuple(entries[start : start + each]) for start in range(0, len(entries), each)]


def _marks(contents: Mapping[str, str]) -> str:
    digests = (_sha256(f"{path}\0{digest}\0" for path, digest in group) for group in _groups(contents))
    return base64.b64encode(b"".join(bytes.fromhex(digest)[:MARK_BYTES] for digest in digests)).decode()


def _unpacked(fingerprint: DataFingerprint) -> list[bytes]:
    marks = base64.b64decode(fingerprint.contents_marks or "")
    return [marks[start : start + MARK_BYTES] for start in range(0, len(marks), MARK_BYTES)]


def _sha256(parts: Iterable[str]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        # Names that are no text come as surrogates.
        digest.update(part.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()
