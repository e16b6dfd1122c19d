"""What changes in the course of a training, a step at a time, and what follows from the batch."""

import math

from search_spaces.architecture import stem_stride
from trainers.recipe import Recipe

# Pixels of a side up to which batch norm sees whole batches, if a full training leaves it open.
SMALL_IMAGE_SIZE = 64
# After this share of the epochs training images are of their full size.
GROWTH = 0.75
# By how much the stages of a network reduce what comes from its stem.
_STAGES_STRIDE = 8


def unfinished_warmup(recipe: Recipe) -> list[str]:
    """That the warm-up is not over when the training is, if so, in a line."""
    if recipe.warmup_epochs <= recipe.epochs:
        return []
    reached = recipe.learning_rate * recipe.epochs / recipe.warmup_epochs
    return [
        f"a warm-up of {recipe.warmup_epochs:g} epochs is not over after {recipe.epochs}: the learning rate "
        f"gets no higher than {reached:.3g}, and never falls"
    ]


def scaled_learning_rate(recipe: Recipe, batch_size: int) -> float:
    """The learning rate at another batch: for SGD in proportion to it, the rule of arXiv 1706.02677.

    For AdamW and Muon, whose steps do not grow with the gradients, in proportion to its square root (arXiv 2205.10287).
    """
    if recipe.optimizer == "sgd":
        return recipe.learning_rate * batch_size / recipe.batch_size
    return recipe.learning_rate * math.sqrt(batch_size / recipe.batch_size)


def open_norm_batch(batch_size: int, image_size: int) -> int:
    """Over how many images batch norm takes its statistics in a full training whose recipe leaves it open.

    Over the whole batch where images are small, since any device holds that, and small passes would make it slow. Else
    over a quarter of it, from 16 to 32 images: what a GPU has of a large batch in arXiv 1706.02677. It does not follow
    the machines, so that a training is the same on any of them.
    """
    if image_size <= SMALL_IMAGE_SIZE:
        return batch_size
    return nearest_norm_batch(min(max(batch_size // 4, 16), 32), batch_size)


def nearest_norm_batch(norm_batch: int, batch_size: int) -> int:
    """What divides the batch and is nearest to `norm_batch`, as a factor."""
    pairs = ((size, batch_size // size) for size in range(1, math.isqrt(batch_size) + 1) if batch_size % size == 0)
    divisors = (divisor for pair in pairs for divisor in pair if divisor >= 2)
    return min(divisors, key=lambda divisor: (max(divisor / norm_batch, norm_batch / divisor), divisor))


def learning_rate_at(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of optimizer step `step`, counted from 0 over the whole training.

    A warm-up as long as the training or longer never reaches the decay.
    """
    total = recipe.epochs * steps_per_epoch
    warmup = round(recipe.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule == "linear":
        return recipe.learning_rate * (1 - (step - warmup) / (total - warmup))
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def ema_decay_at(recipe: Recipe, updates: int) -> float:
    """The decay of the moving average after `updates` earlier ones.

    It grows from 0.1 to `ema_decay`, so that the average spans about the last tenth of a short training and never
    holds on to the weights that it began with.
    """
    return min(recipe.ema_decay, (1 + updates) / (10 + updates))


def train_image_size_at(recipe: Recipe, epoch: int) -> int | None:
    """The side in pixels of the training images of an epoch, counted from 1; None for that of the data.

    Where it grows, it does so evenly over the first GROWTH of the epochs, in steps that divide the network's feature
    maps evenly, to its full size in all others.
    """
    first, last = recipe.first_image_size, recipe.train_image_size
    if not first or first == last:
        return last or None
    growing = GROWTH * (recipe.epochs - 1)
    share = min(1.0, (epoch - 1) / growing) if growing else 1.0
    if share == 1:
        return last
    stride = _STAGES_STRIDE * stem_stride(last)
    return max(first, min(last, round((first + share * (last - first)) / stride) * stride))
