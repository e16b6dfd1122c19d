"""The images below class folders, however deep and through links, each real file once, and what was passed over.

Real folders are known by their real paths, so that one that is reached twice is noticed, and a circle of links ends.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NoReturn

from search_spaces.errors import UserError, first_line
from trainers.data.folder_layout import check_class_folder
from trainers.data.skipped import BROKEN_LINKS, HIDDEN, HIDDEN_IMAGES, LEFT, NO_FILES, OUTSIDE, TWICE, Skipped
from trainers.pictures.image_formats import readable_suffixes, suffix_of

# What operating systems, file servers and tools leave beside images, in lower case. Hidden names are left anyway.
_LEFT_FOLDERS = frozenset(
    (
        "__macosx", "@eadir", "@__thumb", "@recycle", "#recycle", "$recycle.bin", "system volume information",
        "lost+found", "__pycache__", "__pypackages__", "node_modules", "bower_components", "venv", "virtualenv",
        "site-packages", "dist-packages", "cvs", "cache", "caches",
    )
)  # fmt: skip
# Files by which a folder is known as an environment of Python's or as a cache, whatever it is called.
_LEFT_MARKS = ("pyvenv.cfg", "CACHEDIR.TAG")
_LEFT_FILES = frozenset(("thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"))
# The images of a hidden folder are counted up to so many: a file server may keep copies of everything in one.
MOST_HIDDEN_IMAGES = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where an image belongs: the class of a split. The split is "" of class folders alone."""

    split: str
    name: str

    def __str__(self) -> str:
        return f"class {self.name!r}" + (f" of {self.split}" if self.split else "")


class Scan:
    """One walk over a data set, class by class, that remembers each folder it has been in."""

    def __init__(self, skipped: Skipped) -> None:
        self.skipped = skipped
        # Images that lie beside the class folders, not in one.
        self.outside: list[str] = []
        self._suffixes = readable_suffixes()
        # The real path of each folder: where its images belong, and by which path it was reached.
        self._been: dict[str, tuple[Place, str]] = {}
        self._linked: list[tuple[str, Place]] = []
        # The links inside of class folders that lead nowhere.
        self.broken: list[str] = []
        # The folders that were read, and when each had last changed before it was, in nanoseconds.
        self.read_at: dict[str, int] = {}

    def folders(self, directory: str, *, all_matter: bool = True) -> list[str]:
        """The names of the folders in a directory, in order.

        Raises UserError where a link leads nowhere that may stand for one, if they `all_matter`.
        """
        names = []
        for entry in self._entries(directory):
            if self._passed_over(entry):
                continue
            if _is_folder(entry):
                names.append(entry.name)
            elif _is_broken(entry):
                if all_matter and suffix_of(entry.name) not in self._suffixes:
                    raise UserError(
                        f"data.root: {entry.path!r} is a broken link, it leads nowhere ({os.readlink(entry.path)!r}), "
                        "and may stand for a class or a split: bring back what it leads to, or remove it."
                    )
                self.skipped.add(BROKEN_LINKS, entry.path)
            elif suffix_of(entry.name) in self._suffixes:
                self.outside.append(entry.path)
                self.skipped.add(OUTSIDE, entry.path)
            else:
                self.skipped.add_file(entry.path)
        return sorted(names)

    def images(self, directory: str, place: Place) -> list[str]:
        """The images of a class folder, in the order of their paths."""
        found: list[str] = []
        # Links come last, so that what can be reached without one keeps its own path.
        folders, links = [(directory, os.path.realpath(directory))], list[str]()
        while folders or links:
            path, real = folders.pop() if folders else (links[0], os.path.realpath(links.pop(0)))
            if not self._is_new(path, real, place):
                continue
            inner = self._read(path, place, found, links)
            if path == directory:
                check_class_folder(path, [*inner, *map(os.path.basename, links)])
            folders += [(os.path.join(path, name), os.path.join(real, name)) for name in inner]
        return sorted(found)

    def linked_twice(self) -> set[str]:
        """The links to images that have been found by another path, too. Raises UserError where it is elsewhere."""
        twice: set[str] = set()
        real_folders: dict[str, str] = {}
        first: dict[str, tuple[Place, str]] = {}
        for path, place in sorted(self._linked, key=lambda linked: linked[0]):
            real = _real_file(path, real_folders)
            folder, name = os.path.split(real)
            if folder in self._been and not name.startswith(".") and suffix_of(name) in self._suffixes:
                other, other_path = self._been[folder][0], real
            else:
                other, other_path = first.setdefault(real, (place, path))
            if other != place:
                raise _two_places(path, place, other_path, other)
            if other_path != path:
                twice.add(path)
                self.skipped.add(TWICE, path)
        return twice

    def holds_image(self, directory: str) -> bool:
        """Whether an image lies anywhere below a folder."""
        for _, folders, files in os.walk(directory, onerror=_refuse):
            folders[:] = [name for name in folders if name[0] != "." and name.casefold() not in _LEFT_FOLDERS]
            if any(suffix_of(name) in self._suffixes and not name.startswith(".") for name in files):
                return True
        return False

    def _images_below(self, directory: str) -> list[str]:
        """The images anywhere in a hidden folder, the first ones of very many; of what cannot be read there none."""
        found = (
            os.path.join(folder, name)
            for folder, _, files in os.walk(directory)
            for name in files
            if suffix_of(name) in self._suffixes
        )
        return list(islice(found, MOST_HIDDEN_IMAGES))

    def _is_new(self, path: str, real: str, place: Place) -> bool:
        other, other_path = self._been.get(real, (place, path))
        if real in self._been and other == place:
            self.skipped.add(TWICE, path)
            return False
        if os.path.islink(path) and _is_above(real, path):
            raise UserError(
                f"data.root: {path!r} is a link to {real!r}, a folder above it, which holds the other classes, too: "
                "remove that link."
            )
        if other != place:
            raise _two_places(path, place, other_path, other)
        self._been[real] = place, path
        return True

    def _read(self, directory: str, place: Place, found: list[str], links: list[str]) -> list[str]:
        """Adds a folder's images to `found` and its links to folders to `links`; the names of its own folders."""
        inner = []
        suffixes = self._suffixes
        for entry in self._entries(directory):
            name = entry.name
            # What most entries are, and without a look at the file itself.
            if name[name.rfind(".") :].lower() in suffixes and name[0] != "." and entry.is_file(follow_symlinks=False):
                found.append(entry.path)
            elif self._passed_over(entry):
                continue
            elif entry.is_symlink():
                self._follow(entry, place, found, links)
            elif entry.is_dir():
                inner.append(name)
            elif entry.is_file():
                self.skipped.add_file(entry.path)
            else:
                self.skipped.add(NO_FILES, entry.path)
        return inner

    def _follow(self, entry: os.DirEntry[str], place: Place, found: list[str], links: list[str]) -> None:
        if os.path.isdir(entry.path):
            links.append(entry.path)
        elif os.path.isfile(entry.path):
            if suffix_of(entry.name) in self._suffixes:
                found.append(entry.path)
                self._linked.append((entry.path, place))
            else:
                self.skipped.add_file(entry.path)
        elif _is_broken(entry):
            self.broken.append(entry.path)
            self.skipped.add(BROKEN_LINKS, entry.path)
        else:
            self.skipped.add(NO_FILES, entry.path)

    def _entries(self, directory: str) -> Iterator[os.DirEntry[str]]:
        try:
            self.read_at[directory] = os.stat(directory).st_mtime_ns
            with os.scandir(directory) as entries:
                yield from entries
        except OSError as error:
            _refuse(error)

    def _passed_over(self, entry: os.DirEntry[str]) -> bool:
        if entry.name.startswith("."):
            images = self._images_below(entry.path) if _is_folder(entry) else []
            if images:
                self.skipped.add(HIDDEN_IMAGES, min(images), len(images))
            else:
                self.skipped.add(HIDDEN, entry.path)
            return True
        folded = entry.name.casefold()
        is_left = _is_left_folder(entry) if _is_folder(entry) else folded in _LEFT_FILES
        if is_left:
            self.skipped.add(LEFT, entry.path)
            return True
        return False


def _is_left_folder(entry: os.DirEntry[str]) -> bool:
    """Whether a folder is one that tools keep for themselves."""
    marked = any(os.path.exists(os.path.join(entry.path, mark)) for mark in _LEFT_MARKS)
    return marked or entry.name.casefold() in _LEFT_FOLDERS


def _is_folder(entry: os.DirEntry[str]) -> bool:
    # DirEntry.is_dir raises on a link that leads to itself.
    return os.path.isdir(entry.path) if entry.is_symlink() else entry.is_dir()


def _is_above(real: str, link: str) -> bool:
    """Whether a real path is that of a folder in which a link lies, however deep."""
    beside = os.path.realpath(os.path.dirname(link))
    return os.path.commonpath((real, beside)) == real


def _is_broken(entry: os.DirEntry[str]) -> bool:
    """Whether it is a link that leads nowhere, or in a circle."""
    return entry.is_symlink() and not os.path.exists(entry.path)


def _refuse(error: OSError) -> NoReturn:
    raise UserError(f"data.root: folder {error.filename!r} cannot be read: {first_line(error)}.") from error


def _real_file(path: str, real_folders: dict[str, str]) -> str:
    """The real path of a linked file, quicker than os.path.realpath where many lie in few folders."""
    for _ in range(40):
        folder, name = os.path.split(path)
        if folder not in real_folders:
            real_folders[folder] = os.path.realpath(folder)
        path = os.path.join(real_folders[folder], name)
        try:
            path = os.path.join(real_folders[folder], os.readlink(path))
        except OSError:
            return path
    return path


def _two_places(path: str, place: Place, other_path: str, other: Place) -> UserError:
    return UserError(
        f"data.root: {path!r}, in {place}, is {other_path!r}, in {other}: expected each image in one class of one "
        "split."
    )
