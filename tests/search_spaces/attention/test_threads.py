"""The same bits for any number of threads, and for several callers at once."""

import threading
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from search_spaces.attention import openmp
from search_spaces.attention.dispatch import Backend
from tests.support.attention import FAST, output_and_gradients, random_inputs


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("shape", [(4, 36, 5, 8, 4), (8, 4, 4, 3, 6)])
def test_same_bits_for_any_number_of_threads(backend: Backend, shape: tuple[int, int, int, int, int]) -> None:
    inputs = random_inputs(shape, 5, "relative", torch.float32, "channels first")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = output_and_gradients(inputs, 5, backend)
        for count in (2, 3, 5):
            torch.set_num_threads(count)
            for _ in range(3):
                again = output_and_gradients(inputs, 5, backend)
                if backend == "numba":
                    assert all(map(torch.equal, one, again))
                else:
                    torch.testing.assert_close(one, again)
    finally:
        torch.set_num_threads(threads)


def test_several_threads_may_call_at_once() -> None:
    inputs = random_inputs((4, 12, 12, 8, 4), 5, "relative", torch.float32, "channels first")
    expected = output_and_gradients(inputs, 5, "numba")
    found: list[list[Tensor]] = []

    def call() -> None:
        found.extend(output_and_gradients(inputs, 5, "numba") for _ in range(5))

    callers = [threading.Thread(target=call) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(found) == 15
    assert all(torch.equal(a, b) for results in found for a, b in zip(results, expected, strict=True))


@pytest.mark.parametrize("shared", [True, False])
class TestThreads:
    """Work is split over torch's OpenMP threads, or over a pool where their runtime cannot be reached."""

    @pytest.fixture(autouse=True)
    def three_threads(self, shared: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        if not shared:
            monkeypatch.setattr(openmp, "_openmp", lambda: None)
        elif openmp._openmp() is None:
            pytest.skip("no OpenMP runtime in reach")
        threads = torch.get_num_threads()
        torch.set_num_threads(3)
        yield
        torch.set_num_threads(threads)

    @pytest.mark.parametrize("tasks", [0, 1, 2, 3, 10])
    def test_every_task_runs_once(self, tasks: int) -> None:
        calls: list[tuple[int, int, int]] = []
        openmp.run_in_threads(lambda *call: calls.append(call), tasks)
        assert sorted(task for _, first, last in calls for task in range(first, last)) == list(range(tasks))
        assert sorted(thread for thread, _, _ in calls) == list(range(max(1, min(3, tasks))))

    @pytest.mark.parametrize("bad", [0, 2])
    def test_an_error_in_a_thread_is_raised(self, bad: int) -> None:
        def run(thread: int, first: int, last: int) -> None:
            if thread == bad:
                raise ValueError(f"thread {thread}")

        with pytest.raises(ValueError, match=f"thread {bad}"):
            openmp.run_in_threads(run, 6)

    def test_attention(self) -> None:
        inputs = random_inputs((4, 36, 5, 8, 4), 5, "relative", torch.float32, "channels first")
        found, expected = (output_and_gradients(inputs, 5, backend) for backend in ("numba", "reference"))
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
