"""One driver a search: the lock that a driver holds on the directory of its search.

The operating system keeps the lock and drops it with the process, however that ends, so none is ever stale. It works
between machines where the shared file system has locks, as NFS 4 does and as the ledger needs anyhow. The file says who
holds it, for whoever comes second.
"""

import contextlib
import datetime
import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from nas.records.whereabouts import DriverRun
from nas.settings.run_directory import RunDirectory
from search_spaces.errors import UserError
from trainers.file_lock import take_lock
from trainers.folders import Directory, delete_probes

_SINCE = "%Y-%m-%d %H:%M:%S %z"


@contextlib.contextmanager
def driver_lock(directory: RunDirectory) -> Iterator[None]:
    """Holds the search for this process. Raises UserError naming the holder where another process has it.

    Makes the directory of the search, and takes it away again where no ledger came into it.
    """
    descriptor = _locked(directory)
    try:
        _write_holder(descriptor)
        yield
    finally:
        leave_unbegun(directory)
        os.close(descriptor)


def leave_unbegun(directory: RunDirectory) -> None:
    """Takes away the directory of a search into which no ledger came. Only for whoever holds its lock.

    What has lost its ledger stays as it is.
    """
    if not directory.has_ledger and not directory.left_without_ledger:
        with contextlib.suppress(OSError):
            directory.data_index.unlink(missing_ok=True)
            delete_probes(Directory(directory.path))
            directory.lock.unlink()
            directory.path.rmdir()


def living_holder(directory: RunDirectory) -> DriverRun | None:
    """The process of this machine that the lock's file names, if it lives. Takes no lock, which would be in its way."""
    found = _last_holder(directory)
    return found if found is not None and _is_here(found) and process_drives(directory, found.process) else None


def may_be_starting(directory: RunDirectory) -> bool:
    """Whether a driver may be on its way to the ledger of a new search: one of another machine nobody here can tell."""
    if directory.has_ledger:
        return False
    holder = _last_holder(directory)
    return holder is not None and (not _is_here(holder) or process_drives(directory, holder.process))


def listens_here(directory: RunDirectory, driver: DriverRun) -> bool:
    """Whether a driver may see what is asked of it in a directory.

    It does not where another machine's runs directory, or another one of this machine, is that of a search whose
    checkpoints are at a storage: what led to the directory here is a note of where its ledger is.
    """
    if directory.ledger.is_file():
        return True
    holder = _last_holder(directory)
    if holder is None:
        return False
    is_driver = (holder.host, holder.process) == (driver.host, driver.process)
    return is_driver or not _is_here(holder) or process_drives(directory, holder.process)


def _last_holder(directory: RunDirectory) -> DriverRun | None:
    """Who has the lock, or had it last, as its file says; None where nobody had it, or is just about to write it."""
    try:
        holder = json.loads(directory.lock.read_bytes())
        since = datetime.datetime.strptime(holder["since"], _SINCE).timestamp()
        return DriverRun(str(holder["host"]), int(holder["pid"]), since, None)
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_here(driver: DriverRun) -> bool:
    return driver.host == socket.gethostname()


def process_drives(directory: RunDirectory, process: int) -> bool:
    """Whether a process of this machine is there that may be the driver of a search.

    In a container that was started again another process soon has the same id: a driver has the file of the lock open,
    where its ledger is in the directory. Where nobody may look, the id has to do.
    """
    if not _process_lives(process):
        return False
    try:
        lock = directory.lock.stat()
        opened = list(Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return True
    return not directory.ledger.is_file() or any(_is_file(descriptor, lock) for descriptor in opened)


def is_suspended(process: int) -> bool:
    """Whether a process of this machine is stopped, as by Ctrl-Z; False where nobody may look."""
    try:
        status = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return False
    # The state follows the name in brackets, which may hold anything.
    return status.rpartition(")")[2].split()[0] == "T"


def _is_file(descriptor: Path, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(descriptor.stat(), file)
    except OSError:
        return False  # It was just closed.


def _process_lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def check_free(directory: RunDirectory) -> None:
    """Raises UserError naming the holder where another process has the search. Creates nothing."""
    if directory.lock.exists():
        with driver_lock(directory):
            return


def _locked(directory: RunDirectory) -> int:
    """The descriptor of the lock's file, locked."""
    while True:
        try:
            directory.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(directory.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except (FileNotFoundError, FileExistsError):
            if directory.path.is_file():
                raise
            continue  # Its last holder is just deleting the directory.
        try:
            _lock(descriptor, directory)
            # Its last holder may have deleted the file since it was opened; the lock is then one of nothing.
            if _is_at(descriptor, directory):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _lock(descriptor: int, directory: RunDirectory) -> None:
    try:
        taken = take_lock(descriptor)
    except OSError as error:
        raise UserError(
            f"runs directory {str(directory.runs)!r} is on a file system without locks ({error.strerror}): "
            "expected one that has them."
        ) from None
    if not taken:
        raise UserError(
            f"search {directory.name!r} is being run by {_holder(descriptor)}: "
            "wait for it, or end it; a new search needs another --name."
        )


def _is_at(descriptor: int, directory: RunDirectory) -> bool:
    """Whether the open file is the one that the lock's path leads to."""
    try:
        return os.path.samestat(os.fstat(descriptor), directory.lock.stat())
    except FileNotFoundError:
        return False


def _write_holder(descriptor: int) -> None:
    holder = {"host": socket.gethostname(), "pid": os.getpid(), "since": time.strftime(_SINCE)}
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(holder).encode() + b"\n", 0)


def _holder(descriptor: int) -> str:
    """Who has the lock, as its file says."""
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        return "another process, which is just starting"
