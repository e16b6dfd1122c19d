"""The database that holds a ledger's study: made whole, found again, and what is said where it cannot be read."""

import contextlib
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna

from nas.ledger.checksums import seal
from nas.ledger.sqlite_check import check_sqlite
from nas.settings.addresses import without_secrets
from search_spaces.errors import UserError, first_line
from trainers.files import sync_directory

LEDGER_FORMAT = 3
SQLITE = "sqlite:///"


def ledger_url(path: Path) -> str:
    """The URL of the SQLite ledger at `path`."""
    return f"{SQLITE}{path.resolve()}"


@contextlib.contextmanager
def new_study(url: str, name: str, header: dict[str, Any]) -> Iterator[optuna.Study]:
    """A new ledger's study. In a SQLite file, all that is written while the context lasts is there, or nothing.

    Raises UserError where it cannot be made.
    """
    if not url.startswith(SQLITE):
        try:
            storage = _storage(url)
        except Exception as error:  # Each database has errors of its own.
            raise UserError(f"the ledger of search {name!r} cannot be made: {reason(error, url)}.") from error
        yield _created(storage, name, header)
        return
    path = Path(url.removeprefix(SQLITE))
    if path.exists():
        raise _taken(name)
    part = path.with_name(f"{path.name}.part")
    part.unlink(missing_ok=True)
    storage = _storage(ledger_url(part))
    try:
        yield _created(storage, name, header)
    finally:
        storage.engine.dispose()
    part.replace(path)
    sync_directory(path.parent)


def existing_study(url: str, name: str) -> optuna.Study:
    """The study of an existing ledger. Raises whatever a damaged database may bring about."""
    if url.startswith(SQLITE):
        check_sqlite(Path(url.removeprefix(SQLITE)))
    return optuna.load_study(storage=_storage(url, create_tables=False), study_name=name)


def ledger_format(study: optuna.Study) -> object:
    """The format that a ledger says it has."""
    header = study.user_attrs.get("header", {})
    return header.get("value", header).get("ledger_format")  # Up to format 2 nothing was sealed.


def reason(error: Exception, url: str) -> str:
    """The first line of an error, without the secrets of the address."""
    return without_secrets(first_line(error), url)


def _created(storage: optuna.storages.RDBStorage, name: str, header: dict[str, Any]) -> optuna.Study:
    try:
        study = optuna.create_study(
            storage=storage, study_name=name, directions=["maximize", "minimize"], load_if_exists=False
        )
    except optuna.exceptions.DuplicatedStudyError:
        raise _taken(name) from None
    facts = {"search_id": uuid.uuid4().hex, "header": {"ledger_format": LEDGER_FORMAT, **header}}
    for key, value in facts.items():
        study.set_user_attr(key, seal("search", key, value))
    return study


def _storage(url: str, *, create_tables: bool = True) -> optuna.storages.RDBStorage:
    # Optuna announces every study and trial; what a user has to know is said by the search.
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    if url.startswith(SQLITE):
        return optuna.storages.RDBStorage(url, skip_table_creation=not create_tables)
    # Of PostgreSQL's drivers this is the one that the project names. The server may have been away in the meantime.
    url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return optuna.storages.RDBStorage(url, {"pool_pre_ping": True}, skip_table_creation=not create_tables)


def _taken(name: str) -> UserError:
    return UserError(f"a search named {name!r} exists already: resume it with --resume {name}.")
