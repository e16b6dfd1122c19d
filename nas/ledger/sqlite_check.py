"""Whether a SQLite file is whole, seen before anything else opens it."""

import sqlite3
from contextlib import closing
from pathlib import Path

_MAGIC = b"SQLite format 3\0"
# Bytes 18 and 19 of the file are the versions needed to write and to read it: 1 with a journal, 2 with a log.
_VERSIONS = slice(18, 20)


def check_sqlite(path: Path) -> None:
    """Raises ValueError or sqlite3.Error, saying what is wrong, where a file is cut short or its structure is damaged.

    Values are not checked: SQLite keeps no checksum of them. An unfinished transaction is rolled back, as by any
    opening of the file.
    """
    with path.open("rb") as file:
        header = file.read(_VERSIONS.stop)
    if header[: len(_MAGIC)] != _MAGIC or not set(header[_VERSIONS]) <= {1, 2}:
        raise ValueError("it is no SQLite file")
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)) as connection:
        found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if found != "ok":
            raise ValueError(" ".join(str(found).split()))
        stray = connection.execute("PRAGMA foreign_key_check").fetchone()
        if stray is not None:
            raise ValueError(f"a row of {stray[0]} belongs to nothing")
