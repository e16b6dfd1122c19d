"""A database that is away for a while, as a server that is started again: what it did not take is written once it is
back, and once only."""

import logging
import time
from collections.abc import Callable

from nas.ledger.database import ClaimIsTaken, loss_of_ledger

# For so long a database that does not answer is asked again.
PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 1.0

logger = logging.getLogger(__name__)


class Patience:
    """Has what is written to a database wait for it. Where it was waited for in vain once, nothing waits any more.

    `take_up` is called before anything is written to a database that was away: it raises ClaimIsTaken while another
    driver may still have the search, and UserError where one has gone on with it.
    """

    def __init__(self, take_up: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> None:
        self._take_up = take_up
        self._seconds = seconds
        self._has_given_up = False

    def write(self, attempt: Callable[[], None], was_written: Callable[[], bool | None] = lambda: False) -> None:
        """Does `attempt`, again where the database was away: unless `was_written` says that it came to its end, though
        that was not heard of. None is that the database is still at it.

        Raises what `attempt` raised where the database is away for longer.
        """
        try:
            return attempt()
        except Exception as error:
            said = loss_of_ledger(error)
            if said is None or self._has_given_up:
                raise
            lost = error
        logger.warning("the ledger cannot be written, tried again for %.0f s: %s", self._seconds, said)
        deadline = time.monotonic() + self._seconds
        while time.monotonic() < deadline:
            time.sleep(_PAUSE_SECONDS)
            try:
                self._take_up()
                written = was_written()
                if written is None:
                    continue
                if not written:
                    attempt()
            except ClaimIsTaken as error:
                lost = error
            except Exception as error:
                if loss_of_ledger(error) is None:
                    raise
                lost = error
            else:
                logger.warning("the ledger is written again")
                return None
        self._has_given_up = True
        raise lost
