"""How a network is trained, as plain data. The recipes that come with the project are in `trainers/recipes/`."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import read_dataclass

# What `trainers.optimizer` steps with, and how `trainers.schedule` lets the learning rate fall.
OPTIMIZERS = ("sgd", "adamw", "muon")
SCHEDULES = ("cosine", "linear")
# What `trainers.data.augmentation` does to training images, and `trainers.data.policies` after it.
AUGMENTS = ("none", "shift", "flip_crop", "resized_crop")
POLICIES = ("none", "rand_augment", "trivial_augment", "aug_mix")
# What `trainers.evaluation.autocast` computes in.
PRECISIONS = ("float32", "bfloat16")
# How `trainers.compilation` has torch compile a network, in torch's words, if at all.
NOT_COMPILED = "none"
COMPILATIONS = (NOT_COMPILED, "default", "reduce-overhead")
# Of epochs and of images in a batch: more than that is a slip of the finger.
MOST = 1_000_000
# RandAugment's magnitudes are 0 to this.
MOST_MAGNITUDE = 30


@dataclass(frozen=True, slots=True)
class Recipe:
    """An optimizer, a linear warm-up and a decay to zero, both a step at a time, and what is done to images.

    - `batch_size` is the global batch; `norm_batch` is over how many images of it batch norm takes its statistics,
      wherever they are computed. 0 leaves that open: it is the whole batch in a search, and `open_norm_batch` in a full
      training.
    - `optimizer` is SGD with Nesterov momentum, AdamW, or Muon. `momentum` is AdamW's first beta, too. Weights of
      convolutions and linear layers decay by `weight_decay`; norms, biases and position embeddings do not.
    - `ema_decay` is that of the exponential moving average of the weights, which is what is evaluated and kept; 0 keeps
      the weights themselves.
    - `augment` moves and crops images, `policy` then changes them as RandAugment (of magnitude `policy_magnitude`),
      TrivialAugment or AugMix do. `random_erasing` is the probability that a rectangle is erased. `mixup` and `cutmix`
      are the alpha of the mixtures of two images, 0 for none; of both, each image takes one by chance. `repeats` is how
      often an image stands in a batch, each time changed otherwise.
    - `train_image_size` is the side of training images in pixels, 0 for `data.image_size`, by which a network is
      evaluated, tested and kept. `first_image_size`, if it is not 0, is the side at first: it grows from there.
    - `precision` "bfloat16" is autocast.

    Raises UserError where a value is out of range.
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
    optimizer: str = "sgd"
    schedule: str = "cosine"
    policy: str = "none"
    policy_magnitude: int = 9
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    repeats: int = 1
    train_image_size: int = 0
    first_image_size: int = 0

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
        self._check("policy_magnitude", 0 <= self.policy_magnitude <= MOST_MAGNITUDE, f"0 to {MOST_MAGNITUDE}")
        self._check("random_erasing", 0 <= self.random_erasing <= 1, "a probability from 0 to 1")
        for name in ("mixup", "cutmix"):
            self._check(name, 0 <= getattr(self, name) <= 100, "a number from 0 to 100")
        most_repeats = self.batch_size // 2
        self._check("repeats", 1 <= self.repeats <= most_repeats, f"1 to {most_repeats}, half of the batch")
        self._check_image_sizes()
        for name, known in (
            ("optimizer", OPTIMIZERS), ("schedule", SCHEDULES), ("augment", AUGMENTS), ("policy", POLICIES),
            ("precision", PRECISIONS),
        ):  # fmt: skip
            if getattr(self, name) not in known:
                raise unknown_name(f"recipe.{name}", getattr(self, name), known)

    def _check_image_sizes(self) -> None:
        last, first = self.train_image_size, self.first_image_size
        self._check("train_image_size", last == 0 or 8 <= last <= 4096, "8 to 4096 pixels, or 0 for data.image_size")
        expected = f"8 to the train_image_size of {last} pixels, or 0" if last else "0, or a train_image_size, too"
        self._check("first_image_size", first == 0 or 8 <= first <= last, expected)

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise UserError(
                f"recipe.{name} is {getattr(self, name)!r}: expected {expected} (training.{name} of a search, "
                f"recipe.{name} of a full training)."
            )

    def shortened(self, epochs: int) -> "Recipe":
        """The same with its whole schedule, the warm-up among it, in fewer epochs."""
        return dataclasses.replace(self, epochs=epochs, warmup_epochs=self.warmup_epochs * epochs / self.epochs)

    def to_json(self) -> dict[str, Any]:
        """The fields; of those that files of earlier code lack only what is set otherwise than they were trained."""
        return {
            name: value
            for name, value in dataclasses.asdict(self).items()
            if name not in ADDED_FIELDS or value != ADDED_FIELDS[name]
        }

    @classmethod
    def from_json(cls, data: object) -> "Recipe":
        """The recipe that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, ADDED_FIELDS | dict(data) if isinstance(data, Mapping) else data, "recipe")


# The fields that were added in time, and what stands for them in files that lack them.
ADDED_FIELDS = {
    field.name: field.default for field in dataclasses.fields(Recipe) if field.default is not dataclasses.MISSING
}


def check_optimizer(before: Mapping[str, Any], after: Mapping[str, Any], *, rate_given: bool) -> None:
    """Raises UserError where the fields of a recipe name another optimizer and no learning rate that suits it."""
    if after["optimizer"] in OPTIMIZERS and after["optimizer"] != before["optimizer"] and not rate_given:
        raise UserError(
            f"recipe.optimizer is {after['optimizer']!r}, and the learning rate of {before['learning_rate']} is for "
            f"{before['optimizer']}: expected a learning_rate, too, or a recipe of that optimizer."
        )
