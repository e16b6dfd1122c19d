"""Connections to a PostgreSQL database, none of which waits without end for a server that does not answer."""

import time
from collections.abc import Generator
from functools import cache
from typing import Any

from sqlalchemy import Engine, NullPool, create_engine, make_url

from nas.settings.address_checks import check_driver, with_driver

ANSWER_SECONDS = 10
# Nor is one that answers its connections' keepalives and nothing else, as a server that is suspended, or whose disk is.
SILENT_SECONDS = 30.0
# What has fallen silent between a driver and its database is noticed on both sides within a minute.
KEEPALIVES = {"keepalives_idle": 15, "keepalives_interval": 10, "keepalives_count": 3}
_UNACKNOWLEDGED_MILLISECONDS = 45_000


def connecting(url: str) -> dict[str, Any]:
    """How an engine of such an address connects, as keywords of SQLAlchemy's `create_engine`.

    Raises UserError where what connects is not installed.
    """
    url = with_driver(url)
    check_driver(url, "its address")
    place = make_url(url)
    _, address = place.get_dialect()().create_connect_args(place)
    waits = {"connect_timeout": ANSWER_SECONDS, **KEEPALIVES, "tcp_user_timeout": _UNACKNOWLEDGED_MILLISECONDS}
    return {"creator": lambda: _connected({**waits, **address})}


def postgresql_engine(url: str, **options: Any) -> Engine:
    """A PostgreSQL database without what Optuna makes of it. It keeps no connection."""
    return create_engine(with_driver(url), poolclass=NullPool, **connecting(url), **options)


def _connected(address: dict[str, Any]) -> Any:
    return _connection_class().connect(**address)


@cache
def _connection_class() -> Any:
    """A class of psycopg's connections, which is loaded where a database is asked."""
    import psycopg

    class AnsweredConnection(psycopg.Connection[Any]):
        """One that is lost once its server has been silent for too long while it was waited for."""

        def wait(self, gen: Generator[Any, Any, Any], *arguments: Any, **options: Any) -> Any:
            try:
                return super().wait(_while_answered(gen), *arguments, **options)
            except _Silence as silence:
                self.pgconn.finish()
                raise psycopg.OperationalError(str(silence)) from silence

    return AnsweredConnection


class _Silence(Exception):
    """A server has not answered for so long as one waits."""


def _while_answered(steps: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """The same steps of psycopg's, each of which asks for a socket to be ready and is told whether it was, up to a
    silence."""
    heard_at = time.monotonic()
    try:
        wanted = next(steps)
        while True:
            if ready := (yield wanted):
                heard_at = time.monotonic()
            elif time.monotonic() - heard_at > SILENT_SECONDS:
                raise _Silence(f"no answer for {SILENT_SECONDS:.0f} s: the server hangs, or something there is locked")
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value
