"""The ledger's database gone while a search writes it: a server that was stopped, a file that cannot be written."""

from sqlalchemy.exc import InterfaceError, OperationalError

from search_spaces.errors import first_line


def loss_of_ledger(error: BaseException | None) -> str | None:
    """What the database said, in a line, where it is the reason of an exception; None where it is not.

    What it finds wrong with a statement, as a key that is there already, is a mistake of this project and no loss.
    """
    while error is not None:
        if isinstance(error, (OperationalError, InterfaceError)):
            return first_line(error.orig or error)
        error = error.__cause__ or error.__context__
    return None
