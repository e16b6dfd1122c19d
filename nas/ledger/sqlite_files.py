"""A ledger in a SQLite file: checked, copied while a driver may be writing it, and read."""

import contextlib
import sqlite3
from pathlib import Path

from nas.ledger.stored_trials import StoredStudy, read_study

_MAGIC = b"SQLite format 3\0"
# Bytes 18 and 19 of the file are the versions needed to write and to read it: 1 with a journal, 2 with a log.
_VERSIONS = slice(18, 20)


def check_sqlite(path: Path) -> None:
    """Raises ValueError or sqlite3.Error, saying what is wrong, where a file is cut short or its structure is damaged.

    Values are not checked: SQLite keeps no checksum of them. An unfinished transaction is rolled back, as by any
    opening of the file.
    """
    with path.open("rb") as file:
        start = file.read(_VERSIONS.stop)
    if start[: len(_MAGIC)] != _MAGIC or not set(start[_VERSIONS]) <= {1, 2}:
        raise ValueError("it is no SQLite file")
    with contextlib.closing(_opened(path)) as connection:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise ValueError(" ".join(str(found).split()))
        stray = connection.execute("PRAGMA foreign_key_check").fetchone()
        if stray is not None:
            raise ValueError(f"a row of {stray[0]} belongs to nothing")


def copy_sqlite(path: Path, copy: Path) -> None:
    """Copies a file that another process may be writing, as it is at one moment. Raises sqlite3.Error."""
    with contextlib.closing(_opened(path)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def read_sqlite(path: Path, name: str) -> StoredStudy:
    """The study of a ledger in a file that nobody writes. Raises whatever a damaged database may bring about."""
    check_sqlite(path)
    with contextlib.closing(_opened(path)) as connection:
        return read_study(lambda statement, parameters: connection.execute(statement, parameters).fetchall(), name)


def _opened(path: Path) -> sqlite3.Connection:
    # To be written, too: what a killed driver left unfinished has to be rolled back before it can be read.
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)
