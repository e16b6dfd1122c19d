"""The database that holds a ledger's study: made whole, checked, found again, and what is said once it is gone."""

import contextlib
import time
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.study import StudyDirection
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, ProgrammingError

from nas.ledger.checksums import with_checksum
from nas.ledger.contents import LEDGER_FORMAT, reason
from nas.ledger.driver_claim import ClaimLost
from nas.ledger.postgresql import connecting, postgresql_engine
from nas.ledger.sqlite_files import check_sqlite
from nas.ledger.stored_trials import StoredStudy, another_name, read_study
from nas.settings.address_checks import with_driver
from nas.settings.run_directory import name_is_taken
from nas.settings.sqlite_addresses import sqlite_path, sqlite_url
from search_spaces.errors import UserError, first_line
from trainers.files import sync_directory

# What PostgreSQL says of a server or a user that writes nothing, as a standby after its primary has failed.
_READ_ONLY, _NO_RIGHT = "25006", "42501"
# Tables are made by whoever comes first, and of two one fails.
_TRIES_AT_TABLES = 3


class NotMade(UserError):
    """A new ledger could not be made, and is not there."""


def ledger_url(path: Path) -> str:
    """The URL of the SQLite ledger at `path`."""
    return sqlite_url(path)


@contextlib.contextmanager
def new_study(url: str, name: str, header: dict[str, Any], costs: int) -> Iterator[optuna.Study]:
    """A new ledger's study, of accuracy and so many costs.

    In a SQLite file, all that is written while the context lasts is there, or nothing.
    Raises UserError where it cannot be made.
    """
    path = sqlite_path(url)
    if path is None:
        try:
            storage = _storage_with_tables(url)
        except Exception as error:  # Each database has errors of its own.
            raise NotMade(f"the ledger of search {name!r} cannot be made: {reason(error, url)}.") from error
        yield _created(storage, name, header, costs)
        return
    if path.exists():
        raise name_is_taken(name)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    storage = _storage(ledger_url(part))
    try:
        yield _created(storage, name, header, costs)
    finally:
        storage.engine.dispose()
    part.replace(path)
    sync_directory(path.parent)


def existing_study(url: str, name: str) -> optuna.Study:
    """The study of an existing ledger. Raises whatever a damaged database may bring about."""
    path = sqlite_path(url)
    if path is not None:
        check_sqlite(path)
    return _loaded(_storage(url, create_tables=False), name, in_file=path is not None)


def _loaded(storage: optuna.storages.RDBStorage, name: str, *, in_file: bool) -> optuna.Study:
    try:
        return optuna.load_study(storage=storage, study_name=name)
    except KeyError:
        if not in_file:
            raise ValueError("its database holds no search of that name") from None
        others = optuna.get_all_study_names(storage)
        if len(others) != 1 or name in others:
            raise
        raise ValueError(another_name(others[0])) from None


def read_database(url: str, name: str) -> StoredStudy:
    """What a database that is no SQLite file holds of a ledger's study. No connection to it is kept.

    Raises whatever a damaged database may bring about.
    """
    with _asked(url) as storage:
        return stored_study(_loaded(storage, name, in_file=False))


@contextlib.contextmanager
def _asked(url: str) -> Iterator[optuna.storages.RDBStorage]:
    """A database that is only asked something: who reads often would leave it no connections for others."""
    storage = _storage(url, create_tables=False)
    try:
        yield storage
    finally:
        storage.engine.dispose()


def stored_study(study: optuna.Study) -> StoredStudy:
    """What the database holds of a study now."""
    # Optuna puts a cache of what has ended in front of a database.
    storage: Any = getattr(study._storage, "_backend", study._storage)
    with _create_scoped_session(storage.scoped_session) as session:
        connection = session.connection()
        return read_study(
            lambda statement, parameters: connection.execute(text(statement), dict(parameters)).all(), study.study_name
        )


def has_study(url: str, name: str) -> bool:
    """Whether a database holds the ledger of a search. Raises UserError where it cannot be asked."""
    try:
        with postgresql_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
            if not inspect(connection).has_table("studies"):
                # Nobody has a ledger there yet.
                return False
        with _asked(url) as storage:
            return name in optuna.get_all_study_names(storage)
    except UserError:
        raise
    except Exception as error:  # Each database has errors of its own.
        raise UserError(f"the ledger of search {name!r} cannot be read: {reason(error, url)}.") from error


def check_writable(url: str, name: str) -> None:
    """Raises UserError where a search could not write its ledger to a PostgreSQL database: one that is only to be read,
    as a standby, or a user without the right to."""
    right = "has_schema_privilege(current_schema(), 'CREATE')"
    try:
        with postgresql_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
            if inspect(connection).has_table("studies"):
                right = "has_table_privilege('studies', 'INSERT')"
            is_read_only = connection.scalar(text("SELECT current_setting('transaction_read_only')")) == "on"
            may_write = connection.scalar(text(f"SELECT {right}"))
    except Exception as error:  # Each database has errors of its own.
        raise UserError(f"the ledger of search {name!r} cannot be opened: {reason(error, url)}.") from error
    if is_read_only:
        raise UserError(f"the ledger of search {name!r} cannot be written: the database is read-only, as a standby is.")
    if not may_write:
        raise UserError(
            f"the ledger of search {name!r} cannot be written: the database's user may not, expected one with the "
            "right to create tables and to write them."
        )


def loss_of_ledger(error: BaseException | None) -> str | None:
    """What the database said, in a line, where it is the reason of an exception; None where it is not.

    One that can be read and not written is lost, too. What it finds wrong with a statement, as a key that is there
    already, is a mistake of this project and no loss.
    """
    while error is not None:
        if isinstance(error, (OperationalError, InterfaceError, ClaimLost)) or _says(error, _READ_ONLY, _NO_RIGHT):
            return first_line(getattr(error, "orig", None) or error)
        error = error.__cause__ or error.__context__
    return None


def _says(error: BaseException, *states: str) -> bool:
    """Whether a database's error is one of these, by PostgreSQL's codes."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) in states


def _storage_with_tables(url: str) -> optuna.storages.RDBStorage:
    """A PostgreSQL database whose tables are made where they are not there, also by others at the same moment."""
    for tries_left in reversed(range(_TRIES_AT_TABLES)):
        try:
            return _storage(url)
        except (IntegrityError, ProgrammingError) as error:
            if tries_left == 0 or _says(error, _NO_RIGHT):
                raise
        time.sleep(1.0)
    raise AssertionError("every try returns or raises")


def _created(storage: optuna.storages.RDBStorage, name: str, header: dict[str, Any], costs: int) -> optuna.Study:
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=[StudyDirection.MAXIMIZE, *([StudyDirection.MINIMIZE] * costs)],
            load_if_exists=False,
        )
    except optuna.exceptions.DuplicatedStudyError:
        raise name_is_taken(name) from None
    # For whoever looks at the study by Optuna's own tools, as optuna-dashboard; nothing here reads them.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([str(name) for name in header["search"]["objectives"]])
    facts = {"search_id": uuid.uuid4().hex, "header": {"ledger_format": LEDGER_FORMAT, **header}}
    for key, value in facts.items():
        study.set_user_attr(key, with_checksum("search", key, value))
    return study


def _storage(url: str, *, create_tables: bool = True) -> optuna.storages.RDBStorage:
    # Optuna announces every study and trial; what a user has to know is said by the search.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if sqlite_path(url) is not None:
        return optuna.storages.RDBStorage(url, skip_table_creation=not create_tables)
    # The server may have been away in the meantime.
    options = {"pool_pre_ping": True, **connecting(url)}
    return optuna.storages.RDBStorage(with_driver(url), options, skip_table_creation=not create_tables)
