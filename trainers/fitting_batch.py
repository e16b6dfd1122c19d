"""How many images of a batch a GPU can take through a network at a time, by training a step on as many."""

import dataclasses
import gc
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from trainers.batch_layout import layout_of
from trainers.data.config import DataSummary
from trainers.data.images import MemoryImages
from trainers.distributed import Processes
from trainers.loop import Training
from trainers.model import seeded_model
from trainers.recipe import Recipe

# What a step may take of the memory that is free: the parts of a real one lie otherwise.
SHARE_OF_MEMORY = 0.9


def fitting_micro_batch(
    architecture: Architecture,
    summary: DataSummary,
    recipe: Recipe,
    norm_batch: int,
    processes: Processes,
    make_model: Callable[..., nn.Module] = seeded_model,
) -> int:
    """The most images at a time that divide this process's share of a batch, hold groups of batch norm, and fit.

    Where not even the fewest do, they are what it is: the training then says so. Must be called with nothing else on
    the device.
    """
    sizes = _possible(recipe.batch_size, summary.train_images, processes.world_size, norm_batch)
    for size in sizes[:-1]:
        if _fits(make_model, architecture, summary, recipe, processes.device, size):
            return size
    return sizes[-1]


def _possible(batch_size: int, train_images: int, world_size: int, norm_batch: int) -> list[int]:
    """The numbers of images at a time that a process may have, the most first."""
    share = layout_of(batch_size, train_images, world_size).micro_batch
    found = []
    for size in range(share, 1, -1):
        try:
            layout = layout_of(batch_size, train_images, world_size, size, norm_batch)
        except UserError:
            continue
        if layout.micro_batch == size:
            found.append(size)
    return found or [share]


def _fits(
    make_model: Callable[..., nn.Module],
    architecture: Architecture,
    summary: DataSummary,
    recipe: Recipe,
    device: torch.device,
    size: int,
) -> bool:
    """Whether a step on `size` images, and an evaluation of as many, leave some of the device's memory."""
    on_gpu = device.type == "cuda"
    if on_gpu:
        free, _ = torch.cuda.mem_get_info(device)
        torch.cuda.reset_peak_memory_stats(device)
    images = torch.zeros(size, summary.in_channels, summary.image_size, summary.image_size, dtype=torch.uint8)
    one: Any = {"mean": (0.5,) * summary.in_channels, "std": (0.5,) * summary.in_channels}
    data = MemoryImages(images, torch.arange(size) % summary.classes, image_size=summary.image_size, **one)
    one_step: dict[str, Any] = {"epochs": 1, "batch_size": size, "warmup_epochs": 0.0, "norm_batch": 0, "repeats": 1}
    step = dataclasses.replace(recipe, **one_step, augment="none", policy="none", first_image_size=0)
    try:
        weights = _step(make_model(architecture, summary, 0), data, step, device)
        # Room for a second copy of the gradients: those of several processes lie in buckets, which are larger.
        return not on_gpu or torch.cuda.max_memory_reserved(device) + weights <= SHARE_OF_MEMORY * free
    except torch.cuda.OutOfMemoryError:
        return False
    finally:
        gc.collect()
        if on_gpu:
            torch.cuda.empty_cache()


def _step(model: nn.Module, data: MemoryImages, recipe: Recipe, device: torch.device) -> int:
    """Trains a model for a step and evaluates it. The bytes of its weights."""
    for _ in Training(model, data, data, recipe, seed=0, device=device).epochs():
        pass
    return sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
