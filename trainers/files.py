"""Writing a file so that a crash at any moment leaves the old one, the new one, or none: never a part."""

import contextlib
import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
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


def csv_bytes(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """A table as CSV. Texts are written as they are, in UTF-8, and numbers to their last digit."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    # Names of files that are no text come as surrogates.
    return buffer.getvalue().encode("utf-8", "surrogateescape")


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
