"""Whether anybody answers where a search is going to write: asked by its plan, which starts nothing."""

import os
import socket
from urllib.parse import urlsplit

from nas.settings.addresses import redacted
from nas.settings.command import Command

# By the scheme of an address, the port where none is named.
_PORTS = {"http": 80, "https": 443, "postgresql": 5432, "mysql": 3306, "mssql": 1433}
# A server that is there takes a connection at once.
ANSWER_SECONDS = 3.0
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")


def unanswered(command: Command) -> list[str]:
    """What is to be said of servers that take no connection now, a line each: of the ledger's, and of MLflow's."""
    said = []
    ledger = None if command.resume else command.ledger.of_new_search().url
    if ledger is not None and (trouble := _trouble(ledger)) is not None:
        said.append(
            f"the ledger's database, {redacted(ledger)}, does not answer now ({trouble}): no search begins then"
        )
    store = command.tracking.uri
    is_web = store is not None and store.lower().startswith("http")
    # A proxy may reach what this machine cannot.
    if is_web and any(os.environ.get(name) or os.environ.get(name.upper()) for name in _PROXIES):
        return said
    if store is not None and (trouble := _trouble(store)) is not None:
        said.append(
            f"the MLflow store, {redacted(store)}, does not answer now ({trouble}): a search goes on without it, and "
            "brings it up to date once it does"
        )
    return said


def _trouble(address: str) -> str | None:
    """Why no connection comes about with the server of an address; None where one does, or there is no server."""
    parts = urlsplit(address)
    default = _PORTS.get(parts.scheme.partition("+")[0])
    if default is None or not parts.hostname:
        return None
    try:
        socket.create_connection((parts.hostname, parts.port or default), timeout=ANSWER_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return None
