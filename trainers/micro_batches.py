"""A training that takes too much of a GPU's memory: once more, with every batch in two parts."""

import gc
import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

T = TypeVar("T")

PARTS = 2

logger = logging.getLogger(__name__)


def split_where_memory_is_short(attempt: Callable[[int], Iterator[T]]) -> Iterator[T]:
    """What `attempt(1)` yields and, where the GPU's memory does not suffice for that, from there on `attempt(2)`.

    The argument is the number of parts of a batch. The second attempt has to take up what the first one saved, and has
    all of its memory, provided that what the first one yielded holds none. Raises torch.cuda.OutOfMemoryError where
    that does not suffice either.
    """
    try:
        yield from attempt(1)
        return
    except torch.cuda.OutOfMemoryError:
        logger.warning("the GPU's memory does not suffice: once more, each batch in %d parts", PARTS)
    # Only here, past the exception, nothing refers to the tensors of the first attempt any more.
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    yield from attempt(PARTS)
