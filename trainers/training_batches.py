"""The batches that a process trains on: its samples of each, augmented as the recipe says.

All of it follows from (seed, epoch, sample) and from the samples' places in the whole batch, so that a training may be
left at any step, and go on, on any number of processes.

Shapes: S steps of an epoch, B samples of a whole batch, P those of a process, L those that it loads, C channels,
H height, W width.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from trainers.data.augmentation import Augmentation
from trainers.data.images import Images
from trainers.data.mixing import erased, mixed
from trainers.data.random_draws import ERASING, MIXING, sample_draws
from trainers.recipe import Recipe
from trainers.sample_order import Share, epoch_samples
from trainers.schedule import train_image_size_at
from trainers.targets import BatchTargets, Targets


def mixes(recipe: Recipe) -> bool:
    """Whether images are mixed with others."""
    return recipe.mixup > 0 or recipe.cutmix > 0


@dataclass(frozen=True, slots=True)
class TrainingBatches:
    """Of `data`, `batch_size` samples in each batch, of which this process takes `share`."""

    data: Images
    recipe: Recipe
    seed: int
    batch_size: int
    share: Share
    device: torch.device

    @property
    def steps_per_epoch(self) -> int:
        """What is left over at the end of an epoch is dropped."""
        return len(self.data) // self.batch_size

    def epoch(self, epoch: int, first_step: int) -> Iterator[tuple[Tensor, BatchTargets]]:
        """The (P, C, H, W) images and the targets of each step of an epoch, counted from 1, from `first_step` on.

        Files begin to be read at once, so that the first batches may wait ready.
        """
        recipe, steps = self.recipe, self.steps_per_epoch
        samples_SB = epoch_samples(self.seed, epoch, len(self.data), steps, self.batch_size, recipe.repeats)
        samples_SL = list(samples_SB[first_step:, self.share.place_L])
        augmentation = Augmentation(
            recipe.augment, self.seed, epoch, recipe.policy, recipe.policy_magnitude, train_image_size_at(recipe, epoch)
        )
        batches = self.data.batches(samples_SL, self.device, augmentation)
        return (
            self._finished(epoch, sample_L, images_LCHW, labels_L)
            for sample_L, (images_LCHW, labels_L) in zip(samples_SL, batches, strict=True)
        )

    def _finished(
        self, epoch: int, sample_L: Tensor, images_LCHW: Tensor, labels_L: Any
    ) -> tuple[Tensor, BatchTargets]:
        """What is trained on of the images that were loaded: parts of them erased, and mixed."""
        recipe, share = self.recipe, self.share
        if recipe.random_erasing:
            draws_LR = sample_draws(self.seed, epoch, sample_L.numpy(), ERASING)
            images_LCHW = erased(images_LCHW, draws_LR, recipe.random_erasing)
        if share.partner_P is None:
            return images_LCHW, Targets(labels_L) if isinstance(labels_L, Tensor) else labels_L
        draws_PR = sample_draws(self.seed, epoch, sample_L[: share.count].numpy(), MIXING)
        partner_P = share.partner_P.to(self.device)
        images_PCHW, share_P = mixed(images_LCHW, partner_P, draws_PR, recipe.mixup, recipe.cutmix)
        return images_PCHW, Targets(labels_L[: share.count], labels_L[partner_P], share_P)
