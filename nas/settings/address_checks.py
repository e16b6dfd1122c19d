"""What can be seen of the address of a server or a database to be wrong, before anybody is asked there.

Raises UserError, naming the setting and the address without its secrets.
"""

import difflib
import importlib.util
import re

from nas.settings.addresses import redacted_address
from nas.settings.sqlite_addresses import sqlite_path
from search_spaces.errors import UserError
from search_spaces.extras import install_command

LEDGER_EXPECTED = "postgresql://USER:PASSWORD@HOST/DATABASE"
TRACKING_EXPECTED = "http://HOST:PORT of an MLflow server, or sqlite:////PATH of a file"

_SERVERS = ("http", "https")
# The databases that MLflow keeps runs in, and the module of the driver that SQLAlchemy takes where none is named.
_DRIVERS = {"postgresql": "psycopg2", "mysql": "MySQLdb", "mssql": "pyodbc"}
# The module of a driver that is called otherwise in an address.
_MODULES = {"mysqldb": "MySQLdb", "mysqlconnector": "mysql"}
# What pip knows a module by, where that is another name.
_PACKAGES = {"psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient"}

_ADDRESS = re.compile(
    r"(?P<scheme>[A-Za-z][\w+.-]*)://(?:[^\s?]*@)?(?P<host>\[[^\]/?#]*\]|[^:/?#@\s]*)(?::(?P<port>[^/?#]*))?(?:[/?#]\S*)?"
)
# Of an address's query what says where a database is, or what of it is meant, as a schema.
_QUERIES_OF_PLACE = ("host", "hostaddr", "port", "dbname", "service", "options")
_SQLITE_MAGIC = b"SQLite format 3\0"


def check_tracking_uri(uri: str, name: str) -> None:
    """Checks the address of an MLflow store."""
    scheme = _scheme(uri)
    dialect = scheme.partition("+")[0]
    if dialect == "sqlite":
        _check_sqlite(uri, name)
    elif dialect in _DRIVERS:
        _check_user(uri, name)
        _check_place(uri, name, TRACKING_EXPECTED)
        check_driver(uri, name)
    elif scheme in _SERVERS:
        _check_place(uri, name, TRACKING_EXPECTED, host_needed=True)
    elif uri != "databricks" and scheme != "databricks":
        near = difflib.get_close_matches(scheme, ("http", "https", "sqlite"), n=1, cutoff=0.5)
        hint = f" Did you mean {near[0] + redacted_address(uri)[len(scheme) :]!r}?" if near else ""
        raise UserError(f"{_said(uri, name)}: expected {TRACKING_EXPECTED}.{hint}")


def check_ledger_url(url: str, name: str) -> None:
    """Checks the address of a ledger in a database."""
    if _scheme(url) not in ("postgresql", "postgresql+psycopg"):
        raise UserError(f"{_said(url, name)}: expected {LEDGER_EXPECTED}.")
    _check_user(url, name)
    _check_place(url, name, LEDGER_EXPECTED)
    place, _, query = url.partition("://")[2].partition("?")
    if not place.partition("/")[2].strip("/") and "dbname=" not in query and "service=" not in query:
        # It would be the one that is called as its user is.
        raise UserError(f"{_said(url, name)}: it names no database, expected {LEDGER_EXPECTED}.")


def check_driver(url: str, name: str) -> None:
    """Checks that the module is installed that connects with the database of an address."""
    dialect, _, driver = _scheme(url).partition("+")
    module = _MODULES.get(driver, driver) or _DRIVERS[dialect]
    if importlib.util.find_spec(module) is None:
        # What the project itself connects by comes with an extra, in the version that it is tested with.
        command = (
            install_command("postgresql") if module == "psycopg" else f"pip install {_PACKAGES.get(module, module)!r}"
        )
        raise UserError(
            f"{_said(url, name)}: the Python package {module}, which connects with it, is not installed: {command}."
        )


def with_driver(url: str) -> str:
    """The address of a PostgreSQL database with the driver that the project names, unless it names one itself."""
    return re.sub(r"^postgresql(?:\+psycopg)?://", "postgresql+psycopg://", url, flags=re.I)


def database_place(url: str) -> str:
    """What tells the database at an address from others, without how it is connected with: addresses of one place are
    of one database, though not of one place may be so, too."""
    before, _, query = with_driver(url).partition("?")
    told = sorted(one for one in query.split("&") if one.partition("=")[0] in _QUERIES_OF_PLACE)
    return re.sub(r"(?<=//)[^@/]*@", "", re.sub(r":5432(?=/|$)", "", before)).rstrip("/") + "?" + "&".join(told)


def _scheme(uri: str) -> str:
    return uri.partition("://")[0].lower() if "://" in uri else ""


def _check_place(uri: str, name: str, expected: str, *, host_needed: bool = False) -> None:
    match = _ADDRESS.fullmatch(uri)
    _check_password(uri, name)
    if match is None or (host_needed and not match["host"]):
        raise UserError(f"{_said(uri, name)}: expected {expected}.")
    port = match["port"]
    if port is not None and not (port.isascii() and port.isdigit()):
        # It may be a password, so it is not shown.
        raise UserError(
            f"{_said(uri, name)}: what follows the colon is no port, expected a number from 1 to 65535. Of a user and "
            f"a password, expected {expected}."
        )
    if port is not None and not 0 < int(port[:6]) < 65_536:
        raise UserError(f"{_said(uri, name)}, of port {port!r}: expected a number from 1 to 65535.")


def _check_password(uri: str, name: str) -> None:
    """Checks that user and password are written so that their end can be seen."""
    before, at, _ = uri.rpartition("@")
    held = next((character for character in before if character.isspace() or character in "?#"), None)
    # A query may have an @ of its own, after the place.
    if at and held is not None and (held.isspace() or "@" not in uri.partition(held)[0]):
        raise _not_encoded(uri, name, held)


def _check_user(uri: str, name: str) -> None:
    """Checks that there is one end of user and password: a database's address ends them at the first @ or slash, so
    that the rest of a password would be taken for a host, and told to whoever resolves its name."""
    before, at, _ = uri.partition("://")[2].partition("?")[0].rpartition("@")
    held = next((character for character in before if character in "@/"), None)
    if at and held is not None:
        raise _not_encoded(uri, name, held)


def _not_encoded(uri: str, name: str, held: str) -> UserError:
    code = "".join(f"%{byte:02X}" for byte in held.encode())
    others = "" if held == "@" else ", @ as %40"
    return UserError(
        f"{_said(uri, name)}: its user or password holds {held!r}: percent-encode the password, {code} for {held!r}"
        f"{others}."
    )


def _check_sqlite(uri: str, name: str) -> None:
    path = sqlite_path(uri)
    if path is None:
        raise UserError(f"{_said(uri, name)}: expected sqlite:////PATH of a file.")
    if path.is_dir():
        raise UserError(f"{_said(uri, name)}: {str(path)!r} is a directory, expected a file.")
    if not path.is_file():
        return
    try:
        with path.open("rb") as file:
            start = file.read(len(_SQLITE_MAGIC))
    except OSError as error:
        raise UserError(f"{_said(uri, name)}: {str(path)!r} cannot be read ({error.strerror}).") from None
    if start not in (b"", _SQLITE_MAGIC):
        raise UserError(f"{_said(uri, name)}: {str(path)!r} is another file, expected one of SQLite.")


def _said(uri: str, name: str) -> str:
    return f"{name} is {redacted_address(uri)!r}"
