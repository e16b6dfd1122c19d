"""The pictures of a report, drawn in processes of their own while the ledger is read and the page is made."""

import contextlib
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from search_spaces.blocked_signals import blocked, let_through
from search_spaces.errors import UserError
from search_spaces.exit_codes import SIGNAL_EXIT_CODES

if TYPE_CHECKING:
    from nas.records.search_facts import SearchFacts
    from nas.records.trial import TrialRecord
    from nas.reporting.importance import Importances


class DrawingProcess:
    """A process that loads Matplotlib, and draws the pictures of one report once it is told what of."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self, facts: "SearchFacts", records: "Sequence[TrialRecord]") -> None:
        """Has the pictures drawn that need nothing else. Raises UserError where the process is gone."""
        with _loss_said():
            self._connection.send((facts, tuple(records)))

    def go_on(self, importances: "Sequence[Importances]") -> None:
        """Has those drawn that need them, too. Raises UserError where the process is gone."""
        with _loss_said():
            self._connection.send(tuple(importances))

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
    with _forked(_draw) as connection:
        yield DrawingProcess(connection)


def _draw(connection: Connection) -> None:
    from nas.reporting.pictures import importance_pictures, member_pictures, result_pictures

    facts, records = connection.recv()

    def draw_members(to_here: Connection) -> None:
        connection.close()
        to_here.send(member_pictures(records))

    # Half of them is drawn by a second process, which has Matplotlib and the records by being forked here.
    with _forked(draw_members) as members:
        drawn = result_pictures(facts, records) | importance_pictures(connection.recv())
        connection.send(drawn | members.recv())


@contextlib.contextmanager
def _forked(work: Callable[[Connection], None]) -> Iterator[Connection]:
    """A process that does `work`, as one end of a pipe to it. It ends when the other end of the pipe is gone."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()

    def run() -> None:
        # Ctrl-C at a terminal is for this process, too, which has nothing to say about its end. What the one that
        # forked it ignores, as in the background of a script, it ignores as well.
        for number in SIGNAL_EXIT_CODES:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        let_through(SIGNAL_EXIT_CODES)
        # Without this, the end of this process would not be seen there.
        ours.close()
        # Where there is nothing to do, or nobody who waits for it any more.
        with contextlib.suppress(EOFError, BrokenPipeError):
            work(theirs)

    process = context.Process(target=run, name="pictures")
    with blocked(SIGNAL_EXIT_CODES):
        process.start()
    theirs.close()
    try:
        yield ours
    finally:
        ours.close()
        process.join()


@contextlib.contextmanager
def _loss_said() -> Iterator[None]:
    try:
        yield
    except (EOFError, OSError):
        raise UserError(
            "the process that draws the report's pictures has ended before its work: was it killed, or out of memory?"
        ) from None
