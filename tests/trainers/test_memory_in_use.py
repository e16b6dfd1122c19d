"""Memory of this process, beside what the test itself maps."""

import mmap

import torch

from trainers.memory_in_use import memory_in_use

BYTES = 200 * 2**20


def test_memory_is_that_of_this_process() -> None:
    before = memory_in_use(torch.device("cpu"))
    # Pages of its own, which no memory that was freed before can stand in for.
    with mmap.mmap(-1, BYTES) as pages:
        pages.write(b"x" * BYTES)
        assert memory_in_use(torch.device("cpu")) - before > 0.9 * BYTES
