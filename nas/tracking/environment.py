"""What MLflow has to find before it is used: its environment, and a store that can be written."""

import contextlib
import logging
import os
import sqlite3
from pathlib import Path

from nas.settings.sqlite_addresses import sqlite_path

LOOPBACK = "127.0.0.1,localhost,::1"


def check_store(uri: str) -> None:
    """Raises sqlite3.Error where a SQLite store cannot be written; MLflow itself would retry that for 100 s."""
    path = sqlite_path(uri)
    if path is None:
        return
    connection = sqlite3.connect(path, timeout=5)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
    finally:
        connection.close()


def remove_mistaken_directory(uri: str) -> None:
    """Removes the empty directories that MLflow makes for a SQLite store, called as its percent-encoded address."""
    path = sqlite_path(uri)
    for mistaken in Path(uri.removeprefix("sqlite:///")).parents:
        if path is None or path.is_relative_to(mistaken):
            return
        with contextlib.suppress(OSError):
            mistaken.rmdir()


def quiet_mlflow() -> None:
    """Keeps MLflow's start-up messages, and the address that it would guess a server at, out of the terminal.

    Its requests are made once, and not waited for long.
    """
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    # A store that cannot be written is said in a line by who writes it, without the trace that MLflow would add.
    logging.getLogger("mlflow.store").setLevel(logging.CRITICAL)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    # A server on this machine is not to be asked through a proxy, whatever that is for.
    direct = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    if LOOPBACK not in direct:
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = f"{direct},{LOOPBACK}".lstrip(",")
    # A server that does not answer is found out in seconds, not in minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    # MLflow would repeat a request whose answer was lost without looking whether it arrived.
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
