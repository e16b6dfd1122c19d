"""The pictures of a report, drawn in a process of its own while the ledger is read and the page is made."""

import contextlib
import multiprocessing
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from search_spaces.errors import UserError

if TYPE_CHECKING:
    from nas.records.search_facts import SearchFacts
    from nas.records.trial import TrialRecord
    from nas.reporting.importance import Importances


class DrawingProcess:
    """A process that loads Matplotlib, and draws the pictures of one report once it is told what of."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(
        self, facts: "SearchFacts", records: "Sequence[TrialRecord]", importances: "Sequence[Importances]"
    ) -> None:
        """Has the pictures drawn. Raises UserError where the process is gone."""
        with _loss_said():
            self._connection.send((facts, tuple(records), tuple(importances)))

    def pictures(self) -> dict[str, bytes]:
        """The contents of the picture files by their names, waited for. Raises UserError where the process is gone."""
        with _loss_said():
            found: dict[str, bytes] = self._connection.recv()
        return found


@contextlib.contextmanager
def drawing_process() -> Iterator[DrawingProcess]:
    """A process that draws the pictures of a report, and ends with the context, or with this process.

    It is forked, so this is for a process that has no threads yet.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_draw, args=(theirs, ours), name="pictures", daemon=True)
    process.start()
    theirs.close()
    try:
        yield DrawingProcess(ours)
    finally:
        ours.close()
        process.join()


def _draw(connection: Connection, other_end: Connection) -> None:
    # Without this, the end of the other process would not be seen here.
    other_end.close()
    from nas.reporting.pictures import report_pictures

    # Where there is nothing to draw, or nobody who waits for it any more.
    with contextlib.suppress(EOFError, BrokenPipeError):
        connection.send(report_pictures(*connection.recv()))


@contextlib.contextmanager
def _loss_said() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError):
        raise UserError(
            "the process that draws the report's pictures has ended before its work: was it killed, or out of memory?"
        ) from None
