"""Replacing a file that several processes may replace at the same time: each reader finds one of them whole."""

import contextlib
import os
import tempfile
from pathlib import Path


def replace_shared_file(path: Path, content: bytes) -> None:
    """Replaces `path`, whole or not at all, whoever else does so; its directory is made where it is not there.

    It can be read by everybody. Raises OSError, and leaves `path` as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(partial)
        raise
