"""Writing a file that several processes may write at the same time: each reader finds that of one of them, whole."""

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Collection, Iterator
from pathlib import Path

# No file takes nearly as long to be written, by whatever clock it has its date.
_LEFT_AFTER_SECONDS = 3600


def replace_shared_file(path: Path, content: bytes) -> None:
    """Replaces `path`, whole or not at all, whoever else does so; its directory is made where it is not there.

    It can be read by everybody. Raises OSError, and leaves `path` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _written_beside(path, content, 0o644) as partial:
        os.replace(partial, path)


def create_shared_file(path: Path, content: bytes, mode: int) -> None:
    """Creates `path`, whole or not at all, with the permissions `mode`, in a directory that is there.

    Raises FileExistsError where `path` is there, which stays as it is, and OSError where it cannot be written.
    """
    with _written_beside(path, content, mode) as partial:
        os.link(partial, path)


@contextlib.contextmanager
def _written_beside(path: Path, content: bytes, mode: int) -> Iterator[str]:
    """A file beside `path` that holds `content`, for good; it is gone when the context ends, unless it was moved."""
    descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        yield partial
    finally:
        with contextlib.suppress(OSError):
            os.unlink(partial)


def remove_leftovers(directory: Path, names: Collection[str]) -> None:
    """Removes what writers of these files have left in their directory that were killed an hour ago or earlier.

    Another process may write them at this moment, which a younger one may be of. Raises OSError.
    """
    of_names = re.compile(rf"\.({'|'.join(map(re.escape, names))})\.[a-z0-9_]{{8}}")
    oldest = time.time() - _LEFT_AFTER_SECONDS
    for path in directory.iterdir():
        if of_names.fullmatch(path.name):
            with contextlib.suppress(FileNotFoundError):
                if path.lstat().st_mtime < oldest:
                    path.unlink()
