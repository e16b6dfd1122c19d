"""How a network is trained: the configuration, its learning-rate schedule, and the full training on each data set."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import read_dataclass

# What `trainers.data.augmentation` does to training images, and what `trainers.evaluation.autocast` computes in.
AUGMENTS = ("none", "shift", "flip_crop", "resized_crop")
PRECISIONS = ("float32", "bfloat16")
# Of epochs and of images in a batch: more than that is a slip of the finger.
MOST = 1_000_000
# Pixels of a side up to which batch norm sees whole batches, if a full training leaves it open.
SMALL_IMAGE_SIZE = 64


@dataclass(frozen=True, slots=True)
class Recipe:
    """SGD with Nesterov momentum, linear warm-up and a cosine decay to zero, both a step at a time.

    `batch_size` is the global batch. `weight_decay` applies to the weights of convolutions and linear layers, not to
    norms, biases and position embeddings. `ema_decay` is that of the exponential moving average of the weights, which
    is what is evaluated and kept; 0 keeps the weights themselves. "bfloat16" is autocast. `norm_batch` is over how many
    images of a batch batch norm takes its statistics, wherever they are computed; 0 leaves it open: it is the whole
    batch in a search, and `open_norm_batch` in a full training. Raises UserError where a value is out of range.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    momentum: float
    weight_decay: float
    label_smoothing: float
    warmup_epochs: float
    ema_decay: float
    augment: str
    precision: str
    norm_batch: int = 0

    def __post_init__(self) -> None:
        self._check("epochs", 1 <= self.epochs <= MOST, f"1 to {MOST:,}")
        self._check("batch_size", 2 <= self.batch_size <= MOST, f"2, which batch norm needs, to {MOST:,}")
        self._check("learning_rate", 0 < self.learning_rate < math.inf, "a number above 0")
        self._check("weight_decay", 0 <= self.weight_decay < math.inf, "a number of at least 0")
        for name in ("momentum", "label_smoothing", "ema_decay"):
            self._check(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        self._check("warmup_epochs", 0 <= self.warmup_epochs <= MOST, f"a number from 0 to {MOST:,}")
        self._check(
            "norm_batch",
            self.norm_batch == 0 or (self.norm_batch >= 2 and self.batch_size % self.norm_batch == 0),
            f"0, or at least 2 that divide the batch of {self.batch_size}",
        )
        if self.augment not in AUGMENTS:
            raise unknown_name("recipe augment", self.augment, AUGMENTS)
        if self.precision not in PRECISIONS:
            raise unknown_name("recipe precision", self.precision, PRECISIONS)

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise UserError(
                f"recipe {name} is {getattr(self, name)!r}: expected {expected} (training.{name} of a search, "
                f"recipe.{name} of a full training)."
            )

    def to_json(self) -> dict[str, Any]:
        """The fields; `norm_batch` only where it is set, as files of earlier code have it."""
        fields = dataclasses.asdict(self)
        return fields if self.norm_batch else {name: fields[name] for name in fields if name != "norm_batch"}

    @classmethod
    def from_json(cls, data: object) -> "Recipe":
        """The recipe that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, {"norm_batch": 0} | dict(data) if isinstance(data, Mapping) else data, "recipe")


def scaled_learning_rate(batch_size: int, learning_rate: float, other_batch_size: int) -> float:
    """The learning rate at another batch: in proportion to it, the rule of arXiv 1706.02677 for SGD."""
    return learning_rate * other_batch_size / batch_size


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
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * (step - warmup) / (total - warmup)))


def ema_decay_at(recipe: Recipe, updates: int) -> float:
    """The decay of the moving average after `updates` earlier ones.

    It grows from 0.1 to `ema_decay`, so that the average spans about the last tenth of a short training and never
    holds on to the weights that it began with.
    """
    return min(recipe.ema_decay, (1 + updates) / (10 + updates))


_CIFAR = Recipe(
    epochs=200,
    batch_size=128,
    learning_rate=0.1,
    momentum=0.9,
    weight_decay=5e-4,
    label_smoothing=0.1,
    warmup_epochs=5.0,
    ema_decay=0.999,
    augment="flip_crop",
    precision="float32",
)

# The trainings after which a found architecture is evaluated. ImageNet's is that of arXiv 1906.05909, section 4.1;
# weight decay and label smoothing, which the paper does not state, are the usual ones of ResNets in that setting.
FULL_TRAINING: dict[str, Recipe] = {
    "digits": Recipe(
        epochs=40,
        batch_size=64,
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=5e-4,
        label_smoothing=0.1,
        warmup_epochs=3.0,
        ema_decay=0.99,
        augment="shift",
        precision="float32",
    ),
    "cluttered_digits": Recipe(
        epochs=40,
        batch_size=64,
        learning_rate=0.1,
        momentum=0.9,
        weight_decay=5e-4,
        label_smoothing=0.1,
        warmup_epochs=3.0,
        ema_decay=0.99,
        augment="none",
        precision="float32",
    ),
    "cifar10": _CIFAR,
    "cifar100": _CIFAR,
    "image_folder": Recipe(
        epochs=100,
        batch_size=64,
        learning_rate=0.05,
        momentum=0.9,
        weight_decay=1e-4,
        label_smoothing=0.1,
        warmup_epochs=5.0,
        ema_decay=0.999,
        augment="resized_crop",
        precision="float32",
    ),
    "imagenet": Recipe(
        epochs=130,
        batch_size=4096,
        learning_rate=1.6,
        momentum=0.9,
        weight_decay=1e-4,
        label_smoothing=0.1,
        warmup_epochs=10.0,
        ema_decay=0.9999,
        augment="resized_crop",
        precision="bfloat16",
    ),
}
