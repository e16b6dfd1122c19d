"""Whose the memory of a GPU is."""

import pytest

from cluster.gpu_memory import GpuMemory

GB = 10**9


@pytest.mark.parametrize(
    ("memory", "share", "text"),
    [
        # A trial that fills the GPU by itself.
        (GpuMemory(80 * GB, 1 * GB, 78 * GB), 1.0, None),
        (GpuMemory(80 * GB, 79 * GB, 0), 1.0, None),
        # What another program has left behind.
        (GpuMemory(80 * GB, 1 * GB, 9 * GB), 1.0, "other programs hold 70.0 of 80.0 GB"),
        (GpuMemory(8 * GB, 0, 3 * GB), 1.0, "other programs hold 5.0 of 8.0 GB"),
        # Two trials share one: what the other one may take is not due to this one, nor are its contexts.
        (GpuMemory(80 * GB, 0, 39 * GB), 0.5, None),
        (GpuMemory(8 * GB, 0, 3 * GB), 0.5, None),
        (GpuMemory(80 * GB, 0, 20 * GB), 0.5, "other programs hold 60.0 of 80.0 GB"),
    ],
)
def test_others_are_named_where_they_hold_what_is_due(memory: GpuMemory, share: float, text: str | None) -> None:
    assert memory.text_of_others(share) == text
