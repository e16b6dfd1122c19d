"""Latency beside a reference: what slows both cancels, and nothing of the trial is touched."""

import json
import math
import time

import pytest
import torch
from torch import Tensor, nn

from nas.records.cost_limits import CostLimits
from nas.records.latency_reference import LatencyReference
from nas.strategy.proposals import slow_architectures
from nas.workers.relative_latency import measured_latency
from search_spaces.space_cost import flops_range
from tests.support.searches import DIGITS, shipped_space, tiny_space
from tests.support.trials import trial_config
from trainers.inference import latency_ratio

SPACE = tiny_space()


class Clock:
    """Time that passes only as networks run, on a machine that is at times busy, and now and then interrupts one."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.runs = 0

    def __call__(self) -> float:
        return self.seconds

    def run(self, work: float) -> None:
        self.runs += 1
        load = 3.0 if self.runs // 20 % 2 else 1.0
        self.seconds += work * load * (40.0 if self.runs % 11 == 0 else 1.0)


class Working(nn.Module):
    def __init__(self, clock: Clock, work: float) -> None:
        super().__init__()
        self.clock = clock
        self.work = work

    def forward(self, images: Tensor) -> Tensor:
        assert images.shape == (2, 1, 16, 16) and not self.training and torch.is_inference_mode_enabled()
        self.clock.run(self.work)
        return images


def test_what_slows_both_alike_cancels(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", clock)
    ratio = latency_ratio(Working(clock, 0.007), Working(clock, 0.002), DIGITS, batch=2, device="cpu")
    assert ratio == pytest.approx(3.5)


def test_a_worker_measures_without_touching_the_random_state() -> None:
    threads = torch.get_num_threads()
    reference = LatencyReference(SPACE.anchors()[1], 2.5, 2)
    trial = trial_config(architecture=SPACE.anchors()[0], latency_reference=reference)
    before = torch.random.get_rng_state()
    try:
        milliseconds = measured_latency(trial, reference)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
    assert math.isfinite(milliseconds) and milliseconds > 0
    assert torch.equal(torch.random.get_rng_state(), before)
    assert LatencyReference.from_json(json.loads(json.dumps(reference.to_json()))) == reference


@pytest.mark.parametrize("share", [None, 0.2])
def test_what_may_be_slow_is_the_anchors_and_the_highest_cost_within_the_limit(share: float | None) -> None:
    space = shipped_space()
    low, high = flops_range(space, image_size=16, in_channels=1, classes=10)
    limit = None if share is None else low + share * (high - low)
    slow = slow_architectures(space, DIGITS, CostLimits(limit), 0)
    flops = [DIGITS.cost(architecture).flops for architecture in slow]
    most = high if limit is None else limit
    assert max(flops) <= most and flops[-1] == max(flops) > 0.9 * most
    assert slow[:-1] == tuple(a for a in space.anchors() if DIGITS.cost(a).flops <= most)
    assert slow_architectures(space, DIGITS, CostLimits(limit), 0) == slow
