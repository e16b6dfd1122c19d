"""Reading batches in loader processes, where a machine lets it, and an end in words where those die or hang."""

import functools
import logging
import multiprocessing
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from search_spaces.errors import first_line

# So long may pass between two batches: some hundred images, from the slowest of disks.
LONGEST_SILENCE_SECONDS = 300.0
SHARED_MEMORY = "/dev/shm"
# Of the shared memory that is free one training may take so large a part: others train beside it.
SHARE = 1 / 16
# How many batches each process reads ahead, as torch has it.
READ_AHEAD = 2

# Tensors, and whatever goes with them.
Batch = tuple[Any, ...]

logger = logging.getLogger(__name__)


class LoadersStopped(Exception):
    """The loader processes have died, or hang."""


def read_batches(
    dataset: Dataset[Any],
    batches: Sequence[list[int]],
    collate: Callable[[Any], Batch],
    *,
    processes: int,
    batch_bytes: int,
    pin_memory: bool,
) -> Iterator[Batch]:
    """The batches of these indices, put together by `collate`, in order; of `batch_bytes` each.

    They pass through pipes, which takes this process some 0.2 ms an image of 224 pixels, and to a GPU (`pin_memory`)
    through shared memory where there is plenty. Where no process can be had, this one reads. Raises LoadersStopped
    where the processes die or give nothing for LONGEST_SILENCE_SECONDS.
    """
    others = multiprocessing.active_children()
    loader: Any = _loader(dataset, batches, collate, processes, batch_bytes, pin_memory)
    try:
        for batch in loader:
            yield tuple(torch.from_numpy(part) if isinstance(part, np.ndarray) else part for part in batch)
    except RuntimeError as error:
        # torch has no error of its own for them.
        if not str(error).startswith("DataLoader "):
            raise
        loader._shutdown_workers()
        # One that is frozen is still there, and the end of this process would wait for it for ever.
        for process in set(multiprocessing.active_children()) - set(others):
            process.kill()
            process.join()
        raise LoadersStopped(
            f"the loader processes gave nothing more ({first_line(error).rstrip('. ')}): with "
            "data.loader_workers=0 the process that trains reads the images."
        ) from error


def _loader(
    dataset: Dataset[Any],
    batches: Sequence[list[int]],
    collate: Callable[[Any], Batch],
    processes: int,
    batch_bytes: int,
    pin_memory: bool,
) -> Iterator[Batch]:
    loader = functools.partial(DataLoader[Any], dataset, batch_sampler=batches, pin_memory=pin_memory)
    if processes:
        # A tensor goes through shared memory. Where that is full the batch is lost, and torch waits for it for ever, as
        # it does for the tensor of a process that has frozen since.
        shares_memory = pin_memory and READ_AHEAD * processes * batch_bytes < SHARE * _free_shared_memory()
        passed = collate if shares_memory else functools.partial(_as_arrays, collate)
        try:
            multiprocessing.get_context().Lock()  # Without one torch's own attempt ends in the middle.
            return iter(loader(num_workers=processes, collate_fn=passed, timeout=LONGEST_SILENCE_SECONDS))
        except OSError as error:
            _warn_once(
                f"No loader processes can be had here ({error.strerror or first_line(error)}), so the process that "
                "trains reads the images. They take a /dev/shm that can be written, and room within `ulimit -u`."
            )
    return iter(loader(collate_fn=collate))


def _as_arrays(collate: Callable[[Any], Batch], items: Any) -> Batch:
    return tuple(part.numpy() if isinstance(part, Tensor) else part for part in collate(items))


def _free_shared_memory() -> int:
    """In bytes; 0 where there is none."""
    try:
        return shutil.disk_usage(SHARED_MEMORY).free
    except OSError:
        return 0


@functools.lru_cache(maxsize=8)
def _warn_once(message: str) -> None:
    logger.warning("%s", message)
