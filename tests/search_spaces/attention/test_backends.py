"""Every fast backend against the reference, and how one is chosen."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from search_spaces.attention import dispatch, openmp
from search_spaces.attention.dispatch import Backend, backend_for, local_attention
from search_spaces.errors import UserError

PROJECT = Path(__file__).resolve().parents[3]
FAST: tuple[Backend, ...] = ("blocks", "numba")
Inputs = list[Tensor | None]


def random_inputs(
    shape: tuple[int, int, int, int, int], extent: int, encoding: str, dtype: torch.dtype, layout: str, seed: int = 0
) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    batch, height, width, heads, depth = shape

    def features() -> Tensor:
        if layout == "channels first":
            numbers = torch.randn(batch, heads, depth, height, width, generator=generator, dtype=torch.float64)
            return numbers.to(dtype).permute(0, 3, 4, 1, 2).requires_grad_()
        if layout == "slice":
            numbers = torch.randn(batch, height + 1, width, heads, 3 * depth, generator=generator, dtype=torch.float64)
            return numbers.to(dtype)[:, 1:, :, :, depth : 2 * depth].requires_grad_()
        numbers = torch.randn(batch, height, width, heads, depth, generator=generator, dtype=torch.float64)
        return numbers.to(dtype).requires_grad_()

    query, key, value = features(), features(), features()
    row, column = (
        torch.randn(heads, extent, depth // 2, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()
        for _ in range(2)
    )
    relative = encoding != "none"
    return [query, None if encoding == "relative_only" else key, value, *((row, column) if relative else (None, None))]


def output_and_gradients(inputs: Inputs, extent: int, backend: Backend, seed: int = 0) -> list[Tensor]:
    output = local_attention(*inputs, spatial_extent=extent, backend=backend)  # type: ignore[arg-type]
    assert output.shape == inputs[0].shape and output.dtype == inputs[0].dtype  # type: ignore[union-attr]
    gradient = torch.randn(output.shape, generator=torch.Generator().manual_seed(seed)).to(output.dtype)
    differentiated = [tensor for tensor in inputs if tensor is not None]
    return [output.detach(), *torch.autograd.grad(output, differentiated, gradient)]


TOLERANCE = {torch.float64: 1e-11, torch.float32: 2e-5, torch.bfloat16: 0.04}


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("dtype", TOLERANCE)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 5),
    height=st.sampled_from([1, 2, 3, 5, 7, 8, 9, 14, 17, 33, 36]),
    width=st.sampled_from([1, 2, 3, 5, 7, 8, 9, 14, 17]),
    heads=st.sampled_from([1, 2, 3, 5, 8]),
    half=st.sampled_from([1, 2, 3, 4, 8]),
    extent=st.sampled_from([1, 3, 5, 7, 11]),
    encoding=st.sampled_from(["none", "relative", "relative_only"]),
    layout=st.sampled_from(["channels first", "channels last", "slice"]),
)
def test_equals_the_reference(
    backend: Backend,
    dtype: torch.dtype,
    batch: int,
    height: int,
    width: int,
    heads: int,
    half: int,
    extent: int,
    encoding: str,
    layout: str,
) -> None:
    inputs = random_inputs((batch, height, width, heads, 2 * half), extent, encoding, dtype, layout)
    expected = output_and_gradients(inputs, extent, "reference")
    for found, right in zip(output_and_gradients(inputs, extent, backend), expected, strict=True):
        # Sums of many terms that cancel are compared on the scale of the tensor.
        tolerance = TOLERANCE[dtype] * max(1.0, float(right.abs().max()))
        torch.testing.assert_close(found, right, rtol=0, atol=tolerance)


@pytest.mark.parametrize("backend", FAST)
@pytest.mark.parametrize("depth", [1, 3, 5])
def test_odd_channels_a_head(backend: Backend, depth: int) -> None:
    inputs = random_inputs((2, 5, 6, 3, depth), 3, "none", torch.float32, "channels last")
    expected = output_and_gradients(inputs, 3, "reference")
    for found, right in zip(output_and_gradients(inputs, 3, backend), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", FAST)
def test_large_logits(backend: Backend) -> None:
    inputs = random_inputs((1, 6, 6, 2, 8), 3, "relative", torch.float32, "channels last")
    with torch.no_grad():
        inputs[0].mul_(100)  # type: ignore[union-attr]
    expected = output_and_gradients(inputs, 3, "reference")
    for found, right in zip(output_and_gradients(inputs, 3, backend), expected, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("backend", FAST)
def test_what_is_not_a_number_is_not_hidden(backend: Backend) -> None:
    inputs = random_inputs((1, 5, 5, 1, 4), 3, "none", torch.float32, "channels last")
    with torch.no_grad():
        inputs[1][0, 0, 0] = torch.nan  # type: ignore[index]
    output = local_attention(*inputs, spatial_extent=3, backend=backend)  # type: ignore[arg-type]
    assert output[0, :2, :2].isnan().all()


@pytest.mark.parametrize("backend", FAST)
def test_expanded_gradient_and_unused_inputs(backend: Backend) -> None:
    inputs = random_inputs((2, 5, 5, 2, 4), 3, "relative", torch.float32, "channels last")
    query, row = inputs[0], inputs[3]
    assert query is not None and row is not None
    found, expected = (
        torch.autograd.grad(
            local_attention(*inputs, spatial_extent=3, backend=chosen).sum(),  # type: ignore[arg-type]
            [query, row],
        )
        for chosen in (backend, "reference")
    )
    torch.testing.assert_close(found, expected)


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


def test_an_empty_batch() -> None:
    inputs = random_inputs((0, 5, 5, 2, 4), 3, "relative", torch.float32, "channels last")
    output, *gradients = output_and_gradients(inputs, 3, "auto")
    assert output.shape == (0, 5, 5, 2, 4)
    assert not gradients[3].any()


class TestChoice:
    def test_by_device_and_dtype(self) -> None:
        assert backend_for(torch.empty(2, 4, 4, 2, 4)) == "numba"
        assert backend_for(torch.empty(2, 4, 4, 2, 4, dtype=torch.bfloat16)) == "numba"
        assert backend_for(torch.empty(2, 4, 4, 2, 4, dtype=torch.float64)) == "blocks"
        assert backend_for(torch.empty(2, 4, 4, 2, 4, device="meta")) == "reference"

    def test_forced(self) -> None:
        for backend in ("reference", "blocks", "numba"):
            assert backend_for(torch.empty(2, 4, 4, 2, 4), backend) == backend  # type: ignore[arg-type]

    def test_unknown(self) -> None:
        with pytest.raises(UserError, match=r"'block'.*Did you mean 'blocks'"):
            backend_for(torch.empty(1), "block")  # type: ignore[arg-type]

    def test_numba_needs_a_cpu(self) -> None:
        with pytest.raises(UserError, match="meta"):
            backend_for(torch.empty(1, device="meta"), "numba")

    def test_without_numba(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(dispatch, "has_numba", lambda: False)
        assert backend_for(torch.empty(2, 4, 4, 2, 4)) == "blocks"
        with pytest.raises(UserError, match="not installed"):
            backend_for(torch.empty(2, 4, 4, 2, 4), "numba")


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


COUNT_COMPILATIONS = """
import os, sys
import torch
from numba.core import event
from search_spaces.attention.dispatch import local_attention

def run():
    query = torch.ones(2, 4, 4, 8, 4, requires_grad=True)
    row = torch.ones(8, 3, 2, requires_grad=True)
    local_attention(query, query, query, row, row, spatial_extent=3, backend="numba").sum().backward()

with event.install_recorder("numba:compile") as recorder:
    run()
print(len(recorder.buffer))
if "fork" in sys.argv:
    process = os.fork()
    if process == 0:
        torch.set_num_threads(1)
        run()
        os._exit(0)
    assert os.waitpid(process, 0)[1] == 0
"""


def run_python(program: str, *arguments: str, cache: Path) -> str:
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        cwd=PROJECT,
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_a_second_process_compiles_nothing_and_a_fork_works(tmp_path: Path) -> None:
    assert int(run_python(COUNT_COMPILATIONS, cache=tmp_path)) > 0
    assert int(run_python(COUNT_COMPILATIONS, "fork", cache=tmp_path)) == 0
