"""Measuring what a trained network costs to run: the time of one batch and the memory that it takes.

Shapes: B batch, C channels, H height, W width.
"""

import platform
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from search_spaces.attention.dispatch import backend_for
from search_spaces.errors import UserError
from trainers.data.config import DataSummary
from trainers.evaluation import autocast
from trainers.inference_cost import InferenceCost
from trainers.latency_rounds import is_median_known

# The first runs compile kernels, choose algorithms and fill caches; they are not counted.
WARM_UP_RUNS = 5
TIMED_RUNS = 30
MOST_RATIO_RUNS = 150


def measure_inference(
    model: nn.Module,
    summary: DataSummary,
    *,
    batch: int,
    device: torch.device | str,
    precision: str = "float32",
    runs: int = TIMED_RUNS,
) -> InferenceCost:
    """Runs `model`, which is on the CPU, on images of the data set at random values. It is left on `device`.

    Nothing else should be running there meanwhile. Raises UserError where the batch does not fit into a GPU's memory.
    """
    device = torch.device(device)
    images_BCHW = _random_images(summary, batch)
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), autocast(device, precision):
            measure = _measure_on_cuda if device.type == "cuda" else _measure_on_cpu
            milliseconds, peak_bytes = measure(model, images_BCHW, device, runs)
    except torch.cuda.OutOfMemoryError:
        raise UserError(f"a batch of {batch} does not fit into the memory of {_device_name(device)}.") from None
    finally:
        model.train(was_training)
    first, median, third = statistics.quantiles(milliseconds, n=4, method="inclusive")
    return InferenceCost(
        latency_ms=median,
        latency_spread_ms=third - first,
        peak_memory_mb=peak_bytes / 1e6,
        device=_device_name(device),
        threads=torch.get_num_threads(),
        batch=batch,
        image_size=summary.image_size,
        precision=precision,
        attention_backend=backend_for(torch.empty(1, device=device)),
        torch_version=torch.__version__,
        runs=runs,
        latency_low_ms=first,
        latency_high_ms=third,
        rounds=1,
    )


def latency_ratio(
    model: nn.Module,
    reference: nn.Module,
    summary: DataSummary,
    *,
    batch: int,
    device: torch.device | str,
    precision: str = "float32",
    runs: int = TIMED_RUNS,
    most_runs: int = MOST_RATIO_RUNS,
) -> float:
    """How many times as long as `reference` `model` takes: the median over runs of the two in turn.

    Other work may go on meanwhile, since what slows both alike cancels. There are `runs` of them, and again as many
    until their median is known well enough or there are `most_runs`. Both networks are left on `device`, in
    evaluation mode. Raises UserError where the batch does not fit into a GPU's memory.
    """
    device = torch.device(device)
    try:
        with torch.inference_mode(), autocast(device, precision):
            images_BCHW = _random_images(summary, batch).to(device)
            for network in (model, reference):
                network.to(device).eval()
            for _ in range(WARM_UP_RUNS):
                model(images_BCHW)
                reference(images_BCHW)
            ratios: list[float] = []
            while not ratios or (len(ratios) < most_runs and not is_median_known(ratios)):
                ratios += [
                    _milliseconds(model, images_BCHW) / _milliseconds(reference, images_BCHW) for _ in range(runs)
                ]
    except torch.cuda.OutOfMemoryError:
        raise UserError(f"a batch of {batch} does not fit into the memory of {_device_name(device)}.") from None
    return statistics.median(ratios)


def _random_images(summary: DataSummary, batch: int) -> Tensor:
    shape = (batch, summary.in_channels, summary.image_size, summary.image_size)
    images_BCHW = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    return images_BCHW.contiguous(memory_format=torch.channels_last)


def _measure_on_cuda(model: nn.Module, images: Tensor, device: torch.device, runs: int) -> tuple[list[float], int]:
    """(milliseconds of each run, peak bytes). The peak is the caching allocator's own, with the libraries' workspaces.

    What other tenants of this process hold is taken off.
    """
    torch.cuda.reset_peak_memory_stats(device)
    held = torch.cuda.memory_allocated(device)
    model.to(device)
    images = images.to(device)
    milliseconds = _timed_runs(model, images, runs)
    return milliseconds, torch.cuda.max_memory_allocated(device) - held


def _measure_on_cpu(model: nn.Module, images: Tensor, device: torch.device, runs: int) -> tuple[list[float], int]:
    """(milliseconds of each run, peak bytes).

    The peak is the high-water mark of torch's allocator over a run of its own, which is the same at every repetition.
    The size of the process is not: it holds the libraries, and pages that were freed.
    """
    model.to(device)
    milliseconds = _timed_runs(model, images, runs)
    with torch.autograd.profiler.profile(profile_memory=True) as profile:
        model(images)
    held = peak = 0
    for event in profile.kineto_results.events():
        if event.name() == "[memory]":
            held += event.nbytes()
            peak = max(peak, held)
    state = [*model.parameters(), *model.buffers(), images]
    return milliseconds, peak + sum(tensor.nbytes for tensor in state)


def _timed_runs(model: nn.Module, images: Tensor, runs: int) -> list[float]:
    for _ in range(WARM_UP_RUNS):
        model(images)
    return [_milliseconds(model, images) for _ in range(runs)]


def _milliseconds(model: nn.Module, images: Tensor) -> float:
    """The time of one run, from an idle device until it is idle again."""
    _wait_for(images.device)
    start = time.perf_counter()
    model(images)
    _wait_for(images.device)
    return 1000 * (time.perf_counter() - start)


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _device_name(device: torch.device) -> str:
    """What the maker calls it: `NVIDIA H100 80GB HBM3`, or a processor's model."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
