"""A training of a second, its results without their times, and models that run out of memory."""

import dataclasses
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from search_spaces.architecture import Architecture, Convolution
from trainers.data.config import DATA_DEFAULTS
from trainers.epoch_result import EpochResult
from trainers.model import seeded_model
from trainers.recipe_files import full_training

TINY = Architecture("convolution", 8, ((Convolution(),),) * 4)
# Eight pixels and large batches: what is tested with it is not how much is learned.
DATA = dataclasses.replace(DATA_DEFAULTS["digits"], image_size=8)
RECIPE = dataclasses.replace(full_training("digits"), epochs=3, batch_size=256, warmup_epochs=1.0)
# Of such a training the whole batch is too much for a small memory, and its half is not.
ENOUGH_FOR = 128


def without_time(result: EpochResult) -> EpochResult:
    return dataclasses.replace(result, epoch_seconds=0.0)


def short_of_memory(enough_for: int, after_passes: int = 0) -> tuple[Callable[..., nn.Module], list[int]]:
    """Makes models that run out of memory, after some passes, in training on more than so many images.

    And the list of the sizes on which they do.
    """
    failed: list[int] = []
    passes = 0

    def check(module: nn.Module, arguments: tuple[Tensor, ...]) -> None:
        nonlocal passes
        passes += module.training
        if module.training and passes > after_passes and len(arguments[0]) > enough_for:
            failed.append(len(arguments[0]))
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    def make(*arguments: Any) -> nn.Module:
        model = seeded_model(*arguments)
        model.register_forward_pre_hook(check)
        return model

    return make, failed
