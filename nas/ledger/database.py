"""The database that holds a ledger's study: made whole, checked, found again, and what is said once it is gone."""

import contextlib
import uuid
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.study import StudyDirection
from sqlalchemy import NullPool, create_engine, text
from sqlalchemy.exc import InterfaceError, OperationalError

from nas.ledger.checksums import with_checksum
from nas.ledger.contents import LEDGER_FORMAT, reason
from nas.ledger.sqlite_files import check_sqlite
from nas.ledger.stored_trials import StoredStudy, another_name, read_study
from nas.settings.address_checks import check_driver, with_driver
from nas.settings.sqlite_addresses import sqlite_path, sqlite_url
from search_spaces.errors import UserError, first_line
from trainers.files import sync_directory

ANSWER_SECONDS = 10


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
            storage = _storage(url)
        except Exception as error:  # Each database has errors of its own.
            raise UserError(f"the ledger of search {name!r} cannot be made: {reason(error, url)}.") from error
        yield _created(storage, name, header, costs)
        return
    if path.exists():
        raise _taken(name)
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
        others = optuna.get_all_study_names(storage) if in_file else []
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
        with _asked(url) as storage:
            return name in optuna.get_all_study_names(storage)
    except UserError:
        raise
    except Exception as error:  # Each database has errors of its own.
        raise UserError(f"the ledger of search {name!r} cannot be read: {reason(error, url)}.") from error


@contextlib.contextmanager
def claimed(url: str, name: str) -> Iterator[None]:
    """Claims a search in a PostgreSQL database, where drivers meet that share no file system, for one of them.

    A driver that vanishes with its machine has lost its claim within a minute. Raises UserError where another has it.
    """
    engine = create_engine(
        with_driver(url), poolclass=NullPool, isolation_level="AUTOCOMMIT", connect_args=_answer_in_time(url)
    )
    try:
        connection = engine.connect()
    except Exception as error:
        raise UserError(f"the ledger of search {name!r} cannot be opened: {reason(error, url)}.") from error
    with contextlib.closing(connection):
        for setting, value in (("idle", 15), ("interval", 10), ("count", 3)):
            connection.execute(text(f"SET tcp_keepalives_{setting} = {value}"))
        if not connection.scalar(text("SELECT pg_try_advisory_lock(hashtext(:claim))"), {"claim": f"driver of {name}"}):
            raise UserError(
                f"search {name!r} is being run by another driver, as nas/status.py says: wait for its end, or end it."
            )
        yield


def loss_of_ledger(error: BaseException | None) -> str | None:
    """What the database said, in a line, where it is the reason of an exception; None where it is not.

    What it finds wrong with a statement, as a key that is there already, is a mistake of this project and no loss.
    """
    while error is not None:
        if isinstance(error, (OperationalError, InterfaceError)):
            return first_line(error.orig or error)
        error = error.__cause__ or error.__context__
    return None


def _created(storage: optuna.storages.RDBStorage, name: str, header: dict[str, Any], costs: int) -> optuna.Study:
    try:
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=[StudyDirection.MAXIMIZE, *([StudyDirection.MINIMIZE] * costs)],
            load_if_exists=False,
        )
    except optuna.exceptions.DuplicatedStudyError:
        raise _taken(name) from None
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
    url = with_driver(url)
    check_driver(url, "its address")
    # The server may have been away in the meantime.
    options = {"pool_pre_ping": True, "connect_args": _answer_in_time(url)}
    return optuna.storages.RDBStorage(url, options, skip_table_creation=not create_tables)


def _answer_in_time(url: str) -> dict[str, int]:
    """How long a server may take to answer, unless its address says so: one that never does would be waited for."""
    return {} if "connect_timeout=" in url else {"connect_timeout": ANSWER_SECONDS}


def _taken(name: str) -> UserError:
    return UserError(f"a search named {name!r} exists already: resume it with --resume {name}.")
