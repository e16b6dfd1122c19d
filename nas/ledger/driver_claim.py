"""The claim of one driver to a search in a PostgreSQL database, where drivers meet that share no file system."""

import contextlib
from collections.abc import Iterator

from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from nas.ledger.contents import reason
from nas.ledger.postgresql import KEEPALIVES, postgresql_engine
from search_spaces.errors import UserError


class ClaimIsTaken(UserError):
    """Another driver has a search, or one that vanished has not lost it yet."""


class ClaimLost(Exception):
    """The connection that held a claim is gone, and the claim with it."""


class DriverClaim:
    """It is a lock of a connection's session, in which all is written that the driver writes: who has lost the lock
    cannot write. A driver that vanishes with its machine has lost it within a minute.
    """

    def __init__(self, url: str, name: str) -> None:
        self._name = name
        self._engine = postgresql_engine(url)
        self._connection: Connection | None = None

    def take(self) -> None:
        """Raises ClaimIsTaken where another has it, and the database's own errors where that cannot be asked."""
        self.drop()
        connection = self._engine.connect()
        claim = {"claim": f"driver of {self._name}"}
        # Until the lock is there the connection is no claim's, whatever this ends by.
        with contextlib.ExitStack() as otherwise:
            otherwise.callback(connection.close)
            with connection.begin():
                for setting, value in KEEPALIVES.items():
                    connection.execute(text(f"SET tcp_{setting} = {value}"))
                is_mine = connection.scalar(text("SELECT pg_try_advisory_lock(hashtext(:claim))"), claim)
            if not is_mine:
                raise ClaimIsTaken(
                    f"search {self._name!r} is being run by another driver, as nas/status.py says: "
                    "wait for its end, or end it."
                )
            otherwise.pop_all()
        self._connection = connection

    def renew(self) -> None:
        """Takes it again where the connection is lost, and with it the lock. Raises as `take` does."""
        # What became of the database is said by taking it.
        with contextlib.suppress(SQLAlchemyError, ClaimLost):
            return self.check()
        self.take()

    def check(self) -> None:
        """Raises ClaimLost, or the database's own errors, where it is lost."""
        with self.transaction() as connection:
            connection.scalar(text("SELECT 1"))

    @contextlib.contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A transaction of the claim's own session. Raises ClaimLost where that is gone."""
        connection = self._connection
        # One that SQLAlchemy has found to be lost it would connect again, without the lock.
        if connection is None or connection.invalidated:
            raise ClaimLost("the connection to its database was lost")
        with connection.begin():
            yield connection

    def drop(self) -> None:
        """Leaves it to others, if the server is there to hear of it."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError):
                connection.close()


@contextlib.contextmanager
def claimed(url: str, name: str) -> Iterator[DriverClaim]:
    """Claims a search in a PostgreSQL database for this driver. Raises UserError where another has it."""
    claim = DriverClaim(url, name)
    try:
        claim.take()
    except UserError:
        raise
    except Exception as error:
        raise UserError(f"the ledger of search {name!r} cannot be opened: {reason(error, url)}.") from error
    try:
        yield claim
    finally:
        claim.drop()
