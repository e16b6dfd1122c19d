"""A ledger in a SQLite file: checked, copied while a driver may be writing it, and read."""

import contextlib
import sqlite3
import time
from pathlib import Path

from nas.ledger.stored_trials import StoredStudy, read_study

_MAGIC = b"SQLite format 3\0"
# Bytes 18 and 19 of the file are the versions needed to write and to read it: 1 with a journal, 2 with a log.
_VERSIONS = slice(18, 20)

_NOT_WRITTEN = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE)

# A driver locks its ledger for milliseconds. Who waits looks again after so long, and listens to Ctrl-C in between.
MOST_LOCKED_SECONDS = 10.0
_SECONDS_BETWEEN_LOOKS = 0.1


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
    """Copies a file that another process may be writing, as it is at one moment.

    Raises sqlite3.Error, also where another process keeps it locked for `MOST_LOCKED_SECONDS`, and OSError where the
    copy cannot be written.
    """
    deadline = time.monotonic() + MOST_LOCKED_SECONDS

    def give_up(status: int, _remaining: int, _pages: int) -> None:
        if status in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) and time.monotonic() > deadline:
            raise sqlite3.OperationalError("database is locked")

    # SQLite itself does not wait: Python's copy would, for ever, and hear nothing.
    with contextlib.closing(_opened(path, timeout=0.0)) as source, contextlib.closing(sqlite3.connect(copy)) as target:
        try:
            source.backup(target, progress=give_up, sleep=_SECONDS_BETWEEN_LOOKS)
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorcode", None) not in _NOT_WRITTEN:
                raise
            raise OSError(
                f"it is copied first, and the copy cannot be written to {str(copy)!r} ({error}): expected room there, "
                f"and files of {path.stat().st_size / 1e6:,.2f} MB allowed (ulimit -f)"
            ) from error


def read_sqlite(path: Path, name: str) -> StoredStudy:
    """The study of a ledger in a file that nobody writes. Raises whatever a damaged database may bring about."""
    check_sqlite(path)
    with contextlib.closing(_opened(path)) as connection:
        return read_study(lambda statement, parameters: connection.execute(statement, parameters).fetchall(), name)


def _opened(path: Path, timeout: float = 5.0) -> sqlite3.Connection:
    # To be written, too: what a killed driver left unfinished has to be rolled back before it can be read.
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True, timeout=timeout)
