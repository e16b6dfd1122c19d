"""Where files lie together by their names, as the checkpoints of a training: a directory, or what stands for one."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from trainers.files import write_atomically
from trainers.storage.probes import is_probe


class Folder(Protocol):
    """Files by name. Whenever what writes one is cut off, it is there whole, or as it was before, or not at all.

    Whatever cannot be done raises OSError: FileNotFoundError where a file is not there. `str` says where it is.
    """

    @property
    def name(self) -> str:
        """What it is called where it is."""

    def inside(self, *names: str) -> "Folder":
        """The folder of a name in this one, there or not."""

    def names(self) -> list[str]:
        """The files in it, sorted; none where it is not there."""

    def folders(self) -> list[str]:
        """The folders in it, sorted; none where it is not there."""

    def read(self, name: str) -> bytes:
        """What a file holds."""

    def write(self, name: str, content: bytes) -> None:
        """Writes a file, for good when this returns; the folder is made where it is not there."""

    def rename(self, name: str, other: str) -> None:
        """Gives a file another name."""

    def delete(self, name: str) -> None:
        """Deletes a file; nothing where it is not there."""

    def clear(self) -> None:
        """Deletes all that is in it, and itself; nothing where it is not there. What cannot be deleted may stay."""


@dataclass(frozen=True, slots=True)
class Directory:
    """A directory as a Folder."""

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        return self.path.name

    def inside(self, *names: str) -> "Directory":
        return Directory(self.path.joinpath(*names))

    def names(self) -> list[str]:
        return sorted(path.name for path in self._entries() if path.is_file())

    def folders(self) -> list[str]:
        return sorted(path.name for path in self._entries() if path.is_dir())

    def _entries(self) -> list[Path]:
        return list(self.path.iterdir()) if self.path.is_dir() else []

    def read(self, name: str) -> bytes:
        return (self.path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path / name, content)

    def rename(self, name: str, other: str) -> None:
        (self.path / name).rename(self.path / other)

    def delete(self, name: str) -> None:
        (self.path / name).unlink(missing_ok=True)

    def clear(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


class ExistingDirectory(Directory):
    """A directory that writing does not make anew where it has fallen away.

    It would be on this machine's own disk, in the place of the one that all share, and be hidden when that is back.
    """

    def write(self, name: str, content: bytes) -> None:
        write_atomically(self.path / name, content)


def delete_probes(folder: Folder) -> None:
    """Deletes the probes in a folder. Raises OSError."""
    for name in filter(is_probe, folder.names()):
        folder.delete(name)
