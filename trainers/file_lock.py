"""A lock on a file against other processes, which the operating system keeps and drops with the process."""

import fcntl


def take_lock(descriptor: int) -> bool:
    """Locks an open file for as long as it is open. False where another process has it.

    Raises OSError where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
