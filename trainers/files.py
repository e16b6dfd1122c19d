"""Writing a file so that a crash at any moment leaves the old one, the new one, or none: never a part."""

import contextlib
import json
import os
from pathlib import Path
from typing import Any


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces `path` with `content`, on disk when this returns. Raises OSError, and leaves `path` as it was."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        write_durably(partial, content)
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def write_json_atomically(path: Path, value: Any) -> None:
    """`write_atomically` of a value as JSON."""
    write_atomically(path, json_text(value))


def json_text(value: Any) -> bytes:
    """A value as JSON for people to read: indented, with a line break at its end."""
    return (json.dumps(value, indent=2) + "\n").encode()


def write_durably(path: Path, content: bytes) -> None:
    """Writes `path` and waits until it is on disk. Raises OSError, which names the file."""
    try:
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error


def sync_directory(directory: Path) -> None:
    """Waits until the names in `directory` are on disk."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
