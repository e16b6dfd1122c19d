"""What a search has written in its directory, brought to the address of its storage."""

from collections.abc import Iterable
from pathlib import Path

from nas.settings.run_directory import RunDirectory


def store_files(directory: RunDirectory, paths: Iterable[Path]) -> None:
    """Brings files in the directory of a search to its storage, by the same names, where it has one.

    Raises StorageLost.
    """
    if directory.storage is None:
        return
    for path in paths:
        *folders, name = path.relative_to(directory.path).parts
        directory.kept.inside(*folders).write(name, path.read_bytes())
