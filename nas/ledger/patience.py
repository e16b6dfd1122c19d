"""A database that is away for a while, as a server that is started again: what it did not take is written once it is
back, and once only."""

import logging
import time
from collections.abc import Callable

from nas.ledger.database import loss_of_ledger
from nas.ledger.driver_claim import ClaimIsTaken

# For so long a database that does not answer is asked again.
PATIENCE_SECONDS = 120.0
_PAUSE_SECONDS = 1.0
# So often it is looked whether the claim still holds where nothing is written, and less often where looking takes long.
LOOK_SECONDS = 10.0

logger = logging.getLogger(__name__)


class Patience:
    """Has what is written to a database wait for it; not any more where it was waited for in vain once, or another
    driver has gone on with the search.

    `check` raises where the driver's claim to the search is lost with its connection. `take_up` is called before
    anything is written to a database that was away: it raises ClaimIsTaken while another driver may still have the
    search, and UserError where one has gone on with it.
    """

    def __init__(
        self, check: Callable[[], object], take_up: Callable[[], object], seconds: float = PATIENCE_SECONDS
    ) -> None:
        self._check = check
        self._take_up = take_up
        self._seconds = seconds
        self._has_given_up = False
        self._next_look = 0.0
        self._has_told = False

    def keep(self) -> None:
        """Checks the claim where that is due, and takes it up again where it is lost: waits for nothing.

        Until then another driver might begin to go on with the search. Raises UserError where one has.
        """
        began = time.monotonic()
        if began < self._next_look:
            return
        lost: Exception | None = None
        try:
            self._check()
        except Exception as error:
            lost = error
        # Not while that is handled: what comes of this would seem to be of the loss.
        if lost is not None:
            self._take_up_lost(lost)
        now = time.monotonic()
        self._next_look = now + max(LOOK_SECONDS, 4 * (now - began))

    def _take_up_lost(self, loss: Exception) -> None:
        if (said := loss_of_ledger(loss)) is None:
            raise loss
        if not self._has_told:
            logger.warning("the ledger's database is away: %s", said)
            self._has_told = True
        try:
            self._take_up()
        except ClaimIsTaken:
            return  # The database may not have noticed yet that the connection is lost.
        except Exception as error:
            if loss_of_ledger(error) is None:
                self._has_given_up = True
                raise
            return
        logger.warning("the ledger's database is back")
        self._has_told = False

    def write(self, attempt: Callable[[], None], was_written: Callable[[], bool | None] = lambda: False) -> None:
        """Does `attempt`, again where the database was away: unless `was_written` says that it came to its end, though
        that was not heard of. None is that the database is still at it.

        Raises what `attempt` raised where the database is away for longer.
        """
        if self._has_given_up:
            self._take_up()
            return attempt()
        try:
            return attempt()
        except Exception as error:
            said = loss_of_ledger(error)
            if said is None:
                raise
            lost = error
        logger.warning("the ledger cannot be written, tried again for %.0f s: %s", self._seconds, said)
        told = {said}
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
                if (said := loss_of_ledger(error)) is None:
                    self._has_given_up = True
                    raise
                lost = error
                if said not in told:
                    logger.warning("the ledger still cannot be written: %s", said)
                told.add(said)
            else:
                logger.warning("the ledger is written again")
                return None
        self._has_given_up = True
        raise lost
