"""What went wrong with a training, by what was raised: a package, the images, the storage, memory, or else."""

import errno
import re
from collections.abc import Iterator
from pathlib import Path

from nas.engine.faults import Cause
from search_spaces.errors import UserError, first_line
from trainers.data.datasets import ImagesChanged
from trainers.data.loader_processes import LoadersStopped
from trainers.data.tar_members import is_there, shard_directory
from trainers.data.unreadable import UnreadableImages
from trainers.distributed import is_lost_connection

# torch has no exception of its own for most of what an accelerator may do wrong.
_DEVICE = re.compile(
    r"\b(CUDA|cuDNN|cuBLAS\w*|CUBLAS_\w+|CUDNN_\w+|NVIDIA|NVML|NCCL|HIP|ROCm|device-side)\b", re.IGNORECASE
)


# Nor for memory that is not to be had, the machine's or what its processes share, in files that torch names so.
_MEMORY = re.compile(r"can('t|not) allocate memory|not enough memory|shared memory object|</torch_", re.IGNORECASE)


class DataUnusable(Exception):
    """The images of a search could not be loaded."""


class StorageMissing(Exception):
    """The directory of a search is not there."""


def cause_of(error: BaseException, data_root: str | None) -> Cause:
    """What `error`, or one that led to it, says went wrong; `data_root` is where the images lie."""
    for each in _chain(error):
        if isinstance(each, ImportError):
            return "import"
        if isinstance(each, (DataUnusable, ImagesChanged, UnreadableImages)):
            return "data"
        if isinstance(each, MemoryError) or (isinstance(each, OSError) and each.errno == errno.ENOMEM):
            return "memory"
        if isinstance(each, (TimeoutError, LoadersStopped)):
            return "timeout"
        if isinstance(each, StorageMissing):
            return "storage"
        if isinstance(each, OSError):
            return "data" if _lies_in(each.filename, data_root and shard_directory(data_root)) else "storage"
        if isinstance(each, RuntimeError) and is_lost_connection(each):
            return "death"
        if isinstance(each, RuntimeError) and _MEMORY.search(str(each)):
            return "memory"
        if isinstance(each, (RuntimeError, AssertionError)) and _DEVICE.search(str(each)):
            return "device"
    return "error"


def reason_of(error: BaseException) -> str:
    """What went wrong, in a line."""
    if isinstance(error, UnreadableImages):
        gone = [file for file in error.files if not is_there(file)]
        if gone:
            return f"images are gone: {len(gone)} of those that were to be read, such as {gone[0]!r}"
    if isinstance(error, (DataUnusable, StorageMissing, UserError)):
        return first_line(error).rstrip(".")
    return f"{type(error).__name__}: {first_line(error)}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _lies_in(file: object, directory: str | None) -> bool:
    if directory is None or not isinstance(file, (str, bytes)):
        return False
    path = Path(file.decode(errors="surrogateescape") if isinstance(file, bytes) else file)
    return path.is_relative_to(directory)
