"""Storage without any room left: what a worker raises, and how it is told from other errors."""

import errno
import os

_NUMBERS = (errno.ENOSPC, errno.EDQUOT)
# In words, since Ray hands an exception on as the text of its trace. The last is SQLite's.
_WORDS = (*map(os.strerror, _NUMBERS), "database or disk is full")


class StorageFull(Exception):
    """A worker found no room for a checkpoint."""


def is_full(error: BaseException | None) -> bool:
    """Whether an exception, or one that led to it, says that there is no room left."""
    while error is not None:
        if getattr(error, "errno", None) in _NUMBERS or any(words in str(error) for words in _WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False
