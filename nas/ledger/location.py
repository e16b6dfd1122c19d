"""Where a search keeps its ledger: in its directory (SQLite), or in a PostgreSQL database whose address is noted there.

The note is without user and password, so the address has to be given again, or be in the environment. Optuna is loaded
where a ledger is to be written, or is in a database, as it takes a second.
"""

import contextlib
import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from nas.ledger.contents import LEDGER_FORMAT, LedgerContents, ledger_format, other_format, unreadable_said
from nas.ledger.sqlite_files import copy_sqlite, read_sqlite
from nas.ledger.stored_trials import StoredStudy
from nas.settings.address_checks import database_place
from nas.settings.addresses import redacted, redacted_address, whole_address
from nas.settings.header import SearchHeader
from nas.settings.run_directory import NameIsTaken, RunDirectory, existing_run, name_is_taken, run_directory
from nas.settings.sqlite_addresses import sqlite_url
from nas.settings.store_settings import LEDGER_VARIABLE, LedgerSettings
from search_spaces.errors import UserError

if TYPE_CHECKING:
    from nas.ledger.driver_claim import DriverClaim
    from nas.ledger.ledger import Ledger

# PostgreSQL refuses every write of a connection opened with this, and shows it the trials as they were at one moment.
_READ_ONLY = (
    "options=-c%20default_transaction_read_only%3Don%20-c%20default_transaction_isolation%3Drepeatable%5C%20read"
)


def create_ledger(
    directory: RunDirectory, url: str | None, header: SearchHeader, begin: "Callable[[Ledger], None] | None" = None
) -> "Ledger":
    """The ledger of a new search: at `url`, or else where the environment says, or else in its directory.

    `begin` writes what is to be in it from the first. Raises UserError where it cannot be made.
    """
    if directory.has_ledger:
        raise name_is_taken(directory.name)
    from nas.ledger.ledger import Ledger

    directory.path.mkdir(parents=True, exist_ok=True)
    url = LedgerSettings(url).of_new_search().url
    if url is None:
        return Ledger.create(sqlite_url(directory.ledger), directory.name, header, begin)
    # First the note: a ledger without one could not be found again.
    directory.ledger_note.write_text(redacted(url) + "\n", encoding="utf-8")
    from nas.ledger.database import NotMade, has_study

    try:
        ledger = Ledger.create(url, directory.name, header)
    except (NotMade, NameIsTaken):
        directory.ledger_note.unlink()
        raise
    except BaseException:
        # Of a database that was lost amid this only itself knows how far it came.
        with contextlib.suppress(UserError):
            if not has_study(url, directory.name):
                directory.ledger_note.unlink()
        raise
    # The ledger is there from here on, so its note stays whatever becomes of this: `forking.check_whole` looks at it.
    if begin is not None:
        begin(ledger)
    return ledger


def found_run(runs: str, name: str, url: str | None, *, ledger_alone: bool = False) -> RunDirectory:
    """The directory of a search that has a ledger. Raises UserError.

    Where there is none, and the database that `url` or the environment names has the ledger of a search whose
    checkpoints are at a storage, it was begun on another machine, and its directory is made here. For who needs the
    `ledger_alone` nothing is made, and checkpoints may be anywhere.
    """
    directory = run_directory(runs, name)
    address = None if directory.has_ledger else LedgerSettings(url).of_new_search().url
    if address is None:
        return existing_run(runs, name)
    from nas.ledger.database import has_study

    if not has_study(address, name):
        return existing_run(runs, name)
    if ledger_alone:
        return directory
    found = _read(directory, address)
    if found.header.storage is None:
        on = "" if found.driver is None else f" of {found.driver.host}"
        raise UserError(
            f"search {name!r} keeps its checkpoints in a runs directory{on}, and not in {str(directory.runs)!r}: name "
            f"it by --runs-dir. {without_directory(directory, url)}"
        )
    directory.path.mkdir(parents=True, exist_ok=True)
    directory.ledger_note.write_text(redacted(address) + "\n", encoding="utf-8")
    return directory


def check_database(directory: RunDirectory, url: str | None) -> None:
    """Asks the database that a search has its ledger in, or is going to: for nothing where it is a file of its own.

    Raises UserError where it does not answer, is not to be written by this user or at all, another driver has the
    search, or a new one has the name of another.
    """
    address = _address(directory, url)
    if address is None:
        return
    from nas.ledger.database import check_writable, has_study
    from nas.ledger.driver_claim import claimed

    with claimed(address, directory.name):
        check_writable(address, directory.name)
        if not directory.has_ledger and has_study(address, directory.name):
            raise name_is_taken(directory.name)


def is_deleted(directory: RunDirectory, url: str | None) -> bool:
    """Whether the database that had a search's ledger answers, and has it no more."""
    if not directory.has_ledger or (address := _address(directory, url)) is None:
        return False
    from nas.ledger.database import has_study

    try:
        return not has_study(address, directory.name)
    except UserError:
        return False


def sole_driver(directory: RunDirectory, url: str | None) -> "AbstractContextManager[DriverClaim | None]":
    """Keeps other drivers from a search whose ledger is in a database, or is going to be. Raises UserError.

    Those of one in its directory meet at the lock there, and nothing is claimed.
    """
    address = _address(directory, url)
    if address is None:
        return contextlib.nullcontext()
    from nas.ledger.driver_claim import claimed

    return claimed(address, directory.name)


def _address(directory: RunDirectory, url: str | None) -> str | None:
    """Of the database that has a search's ledger, or is going to; None where that is a file in its directory."""
    if directory.ledger.is_file():
        return None
    return _existing_url(directory, url) if directory.has_ledger else LedgerSettings(url).of_new_search().url


def open_ledger(directory: RunDirectory, url: str | None) -> "Ledger":
    """The ledger of an existing search; `url` is its address, where the user gave it. Raises UserError."""
    from nas.ledger.ledger import Ledger

    return Ledger.open(_existing_url(directory, url), directory.name)


def read_ledger(directory: RunDirectory, url: str | None) -> LedgerContents:
    """What the ledger of a search holds at one moment, while a driver may be writing it. It is only to be read."""
    return _read(directory, _existing_url(directory, url))


def _read(directory: RunDirectory, url: str) -> LedgerContents:
    with unreadable_said(directory.name, url):
        if directory.ledger.is_file():
            stored = _read_file(directory)
        else:
            from nas.ledger.database import read_database

            stored = read_database(f"{url}{'&' if '?' in url else '?'}{_READ_ONLY}", directory.name)
        found = ledger_format(stored.attributes)
        if found == LEDGER_FORMAT:
            return LedgerContents(stored)
    raise other_format(directory.name, found)


def _read_file(directory: RunDirectory) -> StoredStudy:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / directory.ledger.name
        copy_sqlite(directory.ledger, copy)
        return read_sqlite(copy, directory.name)


def _existing_url(directory: RunDirectory, url: str | None) -> str:
    if directory.ledger.is_file():
        if url is not None:
            raise UserError(f"the ledger of search {directory.name!r} is {str(directory.ledger)!r}: leave out its URL.")
        return sqlite_url(directory.ledger)
    if not directory.has_ledger and (address := LedgerSettings(url).of_new_search().url) is not None:
        return address
    noted = directory.ledger_note.read_text(encoding="utf-8").strip()
    if url is not None and database_place(redacted(url)) != database_place(noted):
        raise UserError(
            f"the ledger of search {directory.name!r} is at {noted}, not at {redacted_address(url)}. "
            f"{_moved(directory)}"
        )
    whole = whole_address(noted, url, LEDGER_VARIABLE, database_place)
    if whole is None:
        held = os.environ.get(LEDGER_VARIABLE)
        other = f", and {LEDGER_VARIABLE} holds {redacted_address(held)}" if held else ""
        raise UserError(
            f"the ledger of search {directory.name!r} is at {noted}{other}: give its whole address in "
            f"{LEDGER_VARIABLE} (or by ledger.url=URL to nas/search.py, --ledger-url URL to the others). "
            f"{_moved(directory)}"
        )
    return whole


def _moved(directory: RunDirectory) -> str:
    return (
        "Where the database has moved, or is called otherwise from here, write its address, with *** for user and "
        f"password, into {str(directory.ledger_note)!r}."
    )


def without_directory(directory: RunDirectory, url: str | None) -> str | None:
    """What lets a search go on whose directory is gone, in a sentence; None where its ledger was there, too."""
    address = None if directory.has_ledger else LedgerSettings(url).of_new_search().url
    if address is None:
        return None
    return (
        f"Where it is gone for good, a file {str(directory.ledger_note)!r} that says {redacted(address)} has the "
        "search go on without its checkpoints."
    )
