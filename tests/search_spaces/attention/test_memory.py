"""What attention keeps in memory: the fast backends nothing of K² size."""

import torch
from torch.profiler import ProfilerActivity, profile

from search_spaces.attention.dispatch import Backend
from tests.support.attention import Inputs, output_and_gradients, random_inputs


def peak_bytes(inputs: Inputs, extent: int, backend: Backend) -> int:
    output_and_gradients(inputs, extent, backend)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        output_and_gradients(inputs, extent, backend)
    assert profiler.profiler is not None and profiler.profiler.kineto_results is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak


def test_memory_does_not_grow_with_the_neighbourhood() -> None:
    """The fast kernels keep nothing of K² size; the reference does."""
    shape = (16, 14, 14, 8, 8)
    bytes_of = {
        (backend, extent): peak_bytes(
            random_inputs(shape, extent, "relative", torch.float32, "channels last"), extent, backend
        )
        for backend in ("numba", "reference")
        for extent in (3, 11)
    }
    features = 4 * 16 * 14 * 14 * 8 * 8
    assert bytes_of["numba", 11] < 1.2 * bytes_of["numba", 3] < 1.2 * 10 * features
    assert bytes_of["reference", 11] > 100 * features


def test_blocks_keep_less_than_a_third_of_the_reference() -> None:
    inputs = random_inputs((16, 14, 14, 8, 8), 7, "relative", torch.float32, "channels last")
    assert peak_bytes(inputs, 7, "blocks") < peak_bytes(inputs, 7, "reference") / 3
