"""A private PostgreSQL server on loopback, for tests; it is skipped where there is none."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.mlflow_server import free_port

DRIVER = "psycopg"
# The server asks for it where it is told to; the address has it, to be looked for where it must not be.
PASSWORD = "canary-61d0c4b9"


@dataclass(frozen=True)
class PostgresqlServer:
    """A running server; `stop` lets no client finish, and after `start` it has the same address and content."""

    url: str
    start: Callable[[], None]
    stop: Callable[[], None]


@contextmanager
def postgresql_server(asks_for_password: bool = False) -> Iterator[str]:
    """The address of an empty database."""
    with mortal_postgresql_server(asks_for_password) as server:
        yield server.url


@contextmanager
def mortal_postgresql_server(asks_for_password: bool = False, address: str = "127.0.0.1") -> Iterator[PostgresqlServer]:
    """A server with an empty database, for those in the network of its address.

    It refuses to run as root, who lends it to another user.
    """
    binaries = _binaries()
    if binaries is None:
        pytest.skip("no PostgreSQL server (initdb, pg_ctl) on this machine")
    if importlib.util.find_spec(DRIVER) is None:
        pytest.skip(f"no {DRIVER}: pip install -e '.[postgresql]'")
    # A directory of its own: those of pytest are closed to other users.
    directory = Path(tempfile.mkdtemp(prefix="cluster-"))
    user = None
    if os.geteuid() == 0:
        user = next((name for name in ("postgres", "nobody") if _exists(name)), None)
        if user is None:
            pytest.skip("PostgreSQL refuses to run as root, and there is no other user")
        shutil.chown(directory, user)
    data, port = directory / "data", free_port()

    def call(program: str, *arguments: str) -> None:
        subprocess.run([str(binaries / program), *arguments], user=user, cwd=directory, check=True, timeout=120,
                       stdout=subprocess.DEVNULL)  # fmt: skip

    def start() -> None:
        options = f"-p {port} -c listen_addresses={address} -c unix_socket_directories={directory} -c fsync=off"
        call("pg_ctl", "--pgdata", str(data), "--wait", "--log", str(directory / "log"), "-o", options, "start")

    def stop() -> None:
        call("pg_ctl", "--pgdata", str(data), "--wait", "--mode", "fast", "stop")

    try:
        secret = directory / "password"
        secret.write_text(PASSWORD, encoding="ascii")
        if user is not None:
            shutil.chown(secret, user)
        asks = ("--auth", "scram-sha-256" if asks_for_password else "trust", "--pwfile", str(secret))
        call("initdb", "--pgdata", str(data), "--username", "writer", *asks, "--encoding", "UTF8")
        with (data / "pg_hba.conf").open("a", encoding="ascii") as rules:
            rules.write(f"host all all {address}/24 {asks[1]}\n")
        start()
        try:
            url = f"postgresql+{DRIVER}://writer:{PASSWORD}@{address}:{port}/postgres"
            yield PostgresqlServer(url, start, stop)
        finally:
            stop()
    finally:
        shutil.rmtree(directory)


def _binaries() -> Path | None:
    found = shutil.which("pg_ctl")
    candidates = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((path for path in candidates if (path / "initdb").is_file()), None)


def _exists(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True
