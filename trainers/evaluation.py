"""Evaluating a network: mean cross-entropy and accuracy over a split of a data set.

Shapes: B batch, C channels, H height, W width, K classes.
"""

import itertools
import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from trainers.data.images import Images


def evaluate(
    model: nn.Module,
    data: Images,
    device: torch.device | str,
    batch_size: int,
    *,
    precision: str = "float32",
    rank: int = 0,
    world_size: int = 1,
    between_batches: Callable[[], None] = lambda: None,
    begun: Iterator[tuple[Tensor, Any]] | None = None,
) -> tuple[float, float]:
    """(loss, accuracy) of `model` in evaluation mode; the accuracy is 0 to 1. The model's own mode is restored.

    Of several processes each evaluates every `world_size`-th image with equal weights, and all get the same result.
    `between_batches` is called equally often in each of them; what it raises ends the evaluation. `begun` is what
    `evaluation_batches` gave of the same images, if it was called before.
    """
    device = torch.device(device)
    sums = torch.zeros(3, dtype=torch.float64, device=device)

    def take(logits_BK: Tensor, labels_B: Tensor) -> None:
        sums[0] += F.cross_entropy(logits_BK, labels_B, reduction="sum")
        sums[1] += (logits_BK.argmax(1) == labels_B).sum()
        sums[2] += len(labels_B)

    for_each_batch(
        take, model, data, device, batch_size,
        precision=precision, rank=rank, world_size=world_size, between_batches=between_batches, begun=begun,
    )  # fmt: skip
    loss, correct, count = sum_over_processes(sums, world_size).tolist()
    return loss / count, correct / count


def evaluation_shares(images: int, batch_size: int, rank: int, world_size: int) -> tuple[Tensor, ...]:
    """The images of each batch of one of several processes: of all images every `world_size`-th."""
    return torch.split(torch.arange(rank, images, world_size), batch_size)


def evaluation_batches(
    data: Images, device: torch.device, batch_size: int, rank: int, world_size: int
) -> Iterator[tuple[Tensor, Any]]:
    """The batches that a process evaluates. Files begin to be read at once, so that the first may wait ready."""
    return data.batches(evaluation_shares(len(data), batch_size, rank, world_size), device)


def for_each_batch(
    take: Callable[[Tensor, Tensor], None],
    model: nn.Module,
    data: Images,
    device: torch.device,
    batch_size: int,
    *,
    precision: str,
    rank: int,
    world_size: int,
    between_batches: Callable[[], None],
    begun: Iterator[tuple[Tensor, Any]] | None = None,
) -> None:
    """Hands the float32 logits and the labels of this process's share of the images to `take`, batch by batch.

    Of several processes each has every `world_size`-th image. `between_batches` is called equally often in each of
    them. `begun` is as in `evaluate`.
    """
    batches = evaluation_batches(data, device, batch_size, rank, world_size) if begun is None else begun
    was_training = model.training
    model.eval()
    try:
        with torch.inference_mode(), autocast(device, precision):
            for _ in range(math.ceil(math.ceil(len(data) / world_size) / batch_size)):
                for images_BCHW, labels_B in itertools.islice(batches, 1):
                    take(model(images_BCHW).float(), labels_B)
                between_batches()
    finally:
        model.train(was_training)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[None]:
    """The context in which a network computes at this precision."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16")


def sum_over_processes(values: Tensor, world_size: int) -> Tensor:
    """The sum of all processes' `values`, in place."""
    if world_size > 1:
        torch.distributed.all_reduce(values)
    return values
