"""A new MLflow store in a SQLite file, which is there with all its tables or not at all.

MLflow makes the tables one after the other, for seconds. Of two that do so in one file at a time one fails, and what
one that is killed leaves behind no other can complete.
"""

import errno
import os
import stat
import tempfile
from pathlib import Path

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from nas.settings.sqlite_addresses import sqlite_path, sqlite_url
from nas.tracking.moved_store import ARTIFACTS
from search_spaces.shared_files import create_shared_file

# Where a file cannot have two names, MLflow makes the store in its place.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)


def make_store(uri: str) -> None:
    """Makes the store of an address that names a SQLite file that is not there, in a directory that can be written.

    Whoever else makes it at the same time, one of them is there. Raises OSError where it cannot be written.
    """
    path = sqlite_path(uri)
    if path is None or path.exists() or not os.access(path.parent, os.W_OK | os.X_OK):
        return
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch) / path.name
        artifacts = (path.parent.resolve() / ARTIFACTS).as_uri()
        store = SqlAlchemyStore(sqlite_url(made), artifacts)  # type: ignore[no-untyped-call]
        store.engine.dispose()
        content, mode = made.read_bytes(), stat.S_IMODE(made.stat().st_mode)
    try:
        create_shared_file(path, content, mode)
    except OSError as error:
        if error.errno not in (errno.EEXIST, *_NO_LINKS):
            raise
