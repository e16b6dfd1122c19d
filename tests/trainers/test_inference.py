"""Latency and memory: what is run, what is counted, and that the memory is what arithmetic says it must be."""

import time

import pytest
import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, Attention, Convolution
from tests.support.bundles import SUMMARY
from trainers.inference import TIMED_RUNS, WARM_UP_RUNS, measure_inference
from trainers.model import seeded_model

ARCHITECTURE = Architecture("convolution", 8, ((Convolution(),), (Attention(3, 2, "relative"),)) * 2)


class Sleeper(nn.Module):
    """Takes a known time, another one at each call, and counts its calls."""

    def __init__(self, milliseconds: list[float]) -> None:
        super().__init__()
        self.milliseconds = milliseconds
        self.calls = 0

    def forward(self, images_BCHW: Tensor) -> Tensor:
        assert not self.training and torch.is_inference_mode_enabled()
        time.sleep(self.milliseconds[self.calls % len(self.milliseconds)] / 1000)
        self.calls += 1
        return images_BCHW


def test_the_warm_up_is_not_counted_and_the_median_is_taken() -> None:
    # After the warm-up, three short runs and two long ones; the memory is measured in a run of its own.
    times = [1.0] * WARM_UP_RUNS + [20, 5, 20, 5, 5] + [1.0]
    model = Sleeper(times)
    cost = measure_inference(model, SUMMARY, batch=1, device="cpu", runs=5)
    assert model.calls == WARM_UP_RUNS + 5 + 1 and cost.runs == 5
    # A sleep is never shorter than asked for.
    assert cost.latency_ms >= 5 and cost.latency_spread_ms > 0
    assert model.training


def test_the_peak_is_the_sum_of_what_must_be_held_at_once() -> None:
    # The second layer's output stands beside its input; the input of the first one is never given back.
    model = nn.Sequential(nn.Flatten(), nn.Linear(256, 3000, bias=False), nn.ReLU(), nn.Linear(3000, 10, bias=False))
    weights, images, hidden = 4 * (256 + 10) * 3000, 4 * 16 * 256, 4 * 16 * 3000
    cost = measure_inference(model, SUMMARY, batch=16, device="cpu", runs=2)
    assert cost.peak_memory_mb * 1e6 == weights + images + 2 * hidden


def test_the_peak_of_a_network_is_repeatable_and_no_less_than_weights_and_largest_activation() -> None:
    largest = 0

    def watch(module: nn.Module, inputs: object, output: Tensor) -> None:
        nonlocal largest
        largest = max(largest, output.nbytes)

    model = seeded_model(ARCHITECTURE, SUMMARY, 0)
    hooks = [module.register_forward_hook(watch) for module in model.modules()]
    model.eval()(torch.zeros(4, 1, 16, 16))
    for hook in hooks:
        hook.remove()
    state = sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))
    costs = [measure_inference(model, SUMMARY, batch=4, device="cpu", runs=3) for _ in range(3)]
    assert len({cost.peak_memory_mb for cost in costs}) == 1
    assert costs[0].peak_memory_mb * 1e6 >= state + 4 * 4 * 256 + largest
    smaller = measure_inference(model, SUMMARY, batch=1, device="cpu", runs=3)
    assert state < smaller.peak_memory_mb * 1e6 < costs[0].peak_memory_mb * 1e6


def test_the_conditions_are_recorded() -> None:
    model = seeded_model(ARCHITECTURE, SUMMARY, 0)
    cost = measure_inference(model, SUMMARY, batch=2, device="cpu", precision="bfloat16")
    assert (cost.batch, cost.image_size, cost.precision, cost.threads) == (2, 16, "bfloat16", 1)
    assert (cost.torch_version, cost.runs, cost.attention_backend) == (torch.__version__, TIMED_RUNS, "numba")
    assert cost.device and cost.latency_ms > 0 and cost.latency_spread_ms >= 0
    for text in ("batch 2", "16×16", "bfloat16", cost.device, "1 thread,", "numba", torch.__version__, "30 runs"):
        assert text in cost.conditions


@pytest.mark.gpu
def test_a_gpu_is_measured_by_its_own_allocator() -> None:
    held = torch.zeros(10_000_000, device="cuda")
    cost = measure_inference(seeded_model(ARCHITECTURE, SUMMARY, 0), SUMMARY, batch=4, device="cuda")
    state = sum(tensor.nbytes for tensor in seeded_model(ARCHITECTURE, SUMMARY, 0).state_dict().values())
    assert state < cost.peak_memory_mb * 1e6 and cost.latency_ms > 0 and cost.attention_backend == "blocks"
    assert cost.device == torch.cuda.get_device_name() and held.is_cuda
