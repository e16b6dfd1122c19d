"""What a program needs of its machine, looked at before it starts: temporary files, open and large files, threads.

Where there is another way it is taken, and said; else an error names what to set.
"""

import errno
import logging
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from search_spaces.errors import UserError

# What a process maps that loads torch and its compiled kernels, and what one that trains takes besides.
TORCH_ADDRESS_BYTES, TRAINING_ADDRESS_BYTES = 2_000_000_000, 3_000_000_000
# What temporary files take: logs, sockets, copies of a ledger.
LEAST_TEMPORARY_BYTES = 50_000_000
# A socket's path has 107 bytes, on macOS 103, of which Ray takes 68 for its own names.
LONGEST_TEMPORARY_PATH = (103 if sys.platform == "darwin" else 107) - 68
_TEMPORARY_DIRECTORIES = ("/tmp", "/var/tmp", "/dev/shm")
# Where the one is that macOS gives each user, which is longer than that, and which nobody has named.
_GIVEN_BY_MACOS = "/var/folders/"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Needs:
    """How many files a program's largest process has open at a time, how many threads it has with its children, how
    many bytes its largest file takes, and how many a process maps."""

    open_files: int
    threads: int
    file_bytes: int
    address_bytes: int = TRAINING_ADDRESS_BYTES


def prepare_machine(needs: Needs) -> None:
    """Raises the limits of open files and of their size where that is allowed, and sees that there are a place for
    temporary files and room for threads. Raises UserError where there is not enough."""
    prepare_temporary_directory()
    check_address_space(needs.address_bytes)
    _allow_open_files(needs.open_files)
    allow_file_bytes(needs.file_bytes)
    for limit, used, name in _thread_limits():
        if limit - used < needs.threads:
            raise UserError(
                f"{name} allows {limit} threads, {used} of which are there, and this takes {needs.threads} more: "
                "raise that limit."
            )


def prepare_temporary_directory() -> None:
    """Has this program and its children keep temporary files where they can be, by TMPDIR, and warns where that is not
    the place that was named. Raises UserError where there is none."""
    named = os.environ.get("TMPDIR")
    found: list[str] = []
    for directory in dict.fromkeys([*([named] if named else []), *_TEMPORARY_DIRECTORIES]):
        trouble = temporary_trouble(directory)
        if trouble is None:
            if found:
                if not (named or "").startswith(_GIVEN_BY_MACOS):
                    logger.warning("%s; temporary files go to %s", "; ".join(found), directory)
                os.environ["TMPDIR"] = tempfile.tempdir = directory
            return
        found.append(f"{directory} {trouble}")
    raise UserError(
        f"there is no place for temporary files: {'; '.join(found)}. Set TMPDIR to a directory that can be written."
    )


def temporary_trouble(directory: str) -> str | None:
    """Why temporary files cannot be in a directory; None where they can."""
    if len(os.fsencode(directory)) > LONGEST_TEMPORARY_PATH:
        return f"is over {LONGEST_TEMPORARY_PATH} characters long, too long for sockets"
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            file.write(b"x")
            file.flush()
        free = shutil.disk_usage(directory).free
    except OSError as error:
        return "is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else f"cannot be written ({error.strerror})"
    return None if free >= LEAST_TEMPORARY_BYTES else f"has {free / 1e6:.1f} MB free"


def check_address_space(needed: int) -> None:
    """Raises UserError where a process may not map so many bytes: what is loaded then ends it without a word, or with
    one of its own."""
    hard = _limit_below(resource.RLIMIT_AS, needed)
    if hard is not None:
        raise UserError(
            f"a process may have {hard / 1e6:,.0f} MB of address space, and this takes some {needed / 1e6:,.0f} MB: "
            "raise that limit (ulimit -v unlimited)."
        )


def allow_file_bytes(needed: int) -> None:
    """Has this program and its children write files of so many bytes. Raises UserError where that is not allowed."""
    hard = _limit_below(resource.RLIMIT_FSIZE, needed)
    if hard is not None:
        raise UserError(
            f"files of {hard / 1e6:,.2f} MB are allowed at most, and this takes one of {needed / 1e6:,.0f} MB: raise "
            f"that limit (ulimit -f {-(-needed // 1024)}, or unlimited)."
        )


def allowed_file_bytes() -> float:
    """How many bytes a file may have that this program writes."""
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return float("inf") if soft == resource.RLIM_INFINITY else soft


def _allow_open_files(needed: int) -> None:
    hard = _limit_below(resource.RLIMIT_NOFILE, needed)
    if hard is not None:
        raise UserError(f"{hard} open files are allowed, and this takes {needed}: raise that limit (ulimit -n).")


def _limit_below(kind: int, needed: int) -> int | None:
    """A limit that is below what is needed and cannot be raised; where it can be, it is."""
    soft, hard = resource.getrlimit(kind)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return None
    if hard != resource.RLIM_INFINITY and hard < needed:
        return hard
    resource.setrlimit(kind, (needed, hard))
    return None


def _thread_limits() -> Iterator[tuple[int, int, str]]:
    """(threads allowed, threads there are, what limits them) for each limit that there is."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    # The kernel counts no threads of root's.
    if soft != resource.RLIM_INFINITY and os.getuid() != 0:
        yield soft, _threads_of_user(), "`ulimit -u`"
    for directory in ("/sys/fs/cgroup", "/sys/fs/cgroup/pids"):
        try:
            allowed, used = (Path(directory, name).read_text(encoding="ascii") for name in ("pids.max", "pids.current"))
        except OSError:
            continue  # No such group, or none that can be seen.
        if allowed.strip() != "max":
            yield int(allowed), int(used), "this container (--pids-limit)"


def _threads_of_user() -> int:
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if process.stat().st_uid == os.getuid():
                count += len(list((process / "task").iterdir()))
        except OSError:
            continue  # It has ended.
    return count
