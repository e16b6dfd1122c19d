"""Batches in parts: the gradients and the loss are those of the whole."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.epoch_result import EpochResult
from trainers.loop import Training
from trainers.recipe import Recipe
from trainers.sample_order import epoch_samples


class Samples:
    """A data set of one batch."""

    def __init__(self, inputs: Tensor, labels: Tensor) -> None:
        self._inputs, self._labels = inputs, labels

    def __len__(self) -> int:
        return len(self._labels)

    def batches(self, indices: Any, device: object, augmentation: object = None) -> Iterator[tuple[Tensor, Tensor]]:
        for index in indices:
            yield self._inputs[index], self._labels[index]


def network() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(nn.Conv2d(2, 5, 3), nn.GELU(), nn.Flatten(), nn.Linear(5 * 16, 4)).double()


def one_epoch(count: int, micro_batches: int) -> tuple[nn.Sequential, EpochResult]:
    """A network after one step on `count` images, with the gradients that it took."""
    torch.manual_seed(5)
    samples = Samples(torch.randn(count, 2, 6, 6, dtype=torch.float64), torch.arange(count) % 4)
    recipe = Recipe(1, count, 0.1, 0.9, 0.01, 0.1, 0.0, 0.0, "none", "float32")
    run = Training(model := network(), samples, samples, recipe, seed=0, device="cpu")
    run.micro_batches = micro_batches
    (result,) = run.epochs()
    return model, result


@pytest.mark.parametrize("count", [2, 3, 7, 16, 33])
@pytest.mark.parametrize("micro_batches", [2, 5])
def test_gradients_and_loss_of_a_split_batch_are_those_of_the_whole(count: int, micro_batches: int) -> None:
    (whole, expected), (split, found) = one_epoch(count, 1), one_epoch(count, micro_batches)
    for one, other in zip(whole.parameters(), split.parameters(), strict=True):
        assert one.grad is not None and one.grad.abs().max() > 1e-6
        torch.testing.assert_close(other.grad, one.grad, rtol=0, atol=1e-12)
        torch.testing.assert_close(other, one, rtol=0, atol=1e-12)
    assert found.train_loss == pytest.approx(expected.train_loss, abs=1e-6)


def test_an_undivided_batch_is_computed_to_the_bit_as_if_there_were_no_parts() -> None:
    count = 33
    model, result = one_epoch(count, 1)
    torch.manual_seed(5)
    inputs, labels = torch.randn(count, 2, 6, 6, dtype=torch.float64), torch.arange(count) % 4
    naive, (order,) = network(), epoch_samples(0, 1, count, 1, count, 1)
    loss = F.cross_entropy(naive(inputs[order]), labels[order], label_smoothing=0.1)
    loss.backward()
    for one, other in zip(model.parameters(), naive.parameters(), strict=True):
        assert one.grad is not None and other.grad is not None and torch.equal(one.grad, other.grad)
    assert result.train_loss == loss.to(torch.float32).item()
