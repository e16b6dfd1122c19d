"""Reading batches in loader processes, where a machine lets it, and an end in words where those die or hang."""

import functools
import logging
import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from torch.utils.data import DataLoader, Dataset

from search_spaces.errors import first_line

# So long may pass between two batches: some hundred images, from the slowest of disks.
LONGEST_SILENCE_SECONDS = 300.0

Batch = TypeVar("Batch")

logger = logging.getLogger(__name__)


class LoadersStopped(Exception):
    """The loader processes have died, or hang."""


def read_batches(
    dataset: Dataset[Any], batches: Sequence[list[int]], collate: Callable[[Any], Batch], processes: int
) -> Iterator[Batch]:
    """The batches of these indices, put together by `collate`, in order.

    They may hold no tensors: those would go from a loader process to this one through shared memory, of which
    containers have little, and a batch that finds none is lost. Where no process can be had, this one reads. Raises
    LoadersStopped where they die or give nothing for LONGEST_SILENCE_SECONDS.
    """

    others = multiprocessing.active_children()
    loader: Any = _loader(dataset, batches, collate, processes)
    try:
        yield from loader
    except RuntimeError as error:
        # torch has no error of its own for them.
        if "DataLoader" not in str(error):
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
    dataset: Dataset[Any], batches: Sequence[list[int]], collate: Callable[[Any], Batch], processes: int
) -> Iterator[Batch]:
    loader = functools.partial(DataLoader[Any], dataset, batch_sampler=batches, collate_fn=collate)
    if processes:
        try:
            multiprocessing.get_context().Lock()  # Without one torch's own attempt ends in the middle.
            return iter(loader(num_workers=processes, timeout=LONGEST_SILENCE_SECONDS))
        except OSError as error:
            _warn_once(
                f"No loader processes can be had here ({error.strerror or first_line(error)}), so the process that "
                "trains reads the images. They take a /dev/shm that can be written, and room within `ulimit -u`."
            )
    return iter(loader())


@functools.lru_cache(maxsize=8)
def _warn_once(message: str) -> None:
    logger.warning("%s", message)
