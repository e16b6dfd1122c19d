"""How a full training is carried out on the machine at hand: nothing of it decides what is trained."""

import math
from dataclasses import dataclass

from search_spaces.errors import UserError, unknown_name
from trainers.recipe import COMPILATIONS, NOT_COMPILED

AUTO = "auto"


@dataclass(frozen=True, slots=True)
class Conduct:
    """`micro_batch` is how many images a process takes through the network at a time: a number, or "auto" for all of
    its share of a batch, on a GPU as many of them as a measured step shows to fit. `checkpoint_minutes` is how often it
    is checkpointed within an epoch, `report_seconds` how often a line says within an epoch how it goes. `compile` is
    whether torch.compile makes kernels for the network first, and how: "reduce-overhead" records CUDA graphs, too.

    Raises UserError where a value is out of range.
    """

    micro_batch: str = AUTO
    checkpoint_minutes: float = 10.0
    report_seconds: float = 30.0
    compile: str = NOT_COMPILED

    def __post_init__(self) -> None:
        if self.micro_batch != AUTO and not (self.micro_batch.isdecimal() and int(self.micro_batch) >= 2):
            raise UserError(
                f"recipe.micro_batch is {self.micro_batch!r}: expected auto, or a whole number of at least 2."
            )
        if not 0 <= self.checkpoint_minutes < math.inf:
            raise UserError(
                f"recipe.checkpoint_minutes is {self.checkpoint_minutes!r}: expected a number of at least 0."
            )
        if not 0 < self.report_seconds < math.inf:
            raise UserError(f"recipe.report_seconds is {self.report_seconds!r}: expected a number above 0.")
        if self.compile not in COMPILATIONS:
            raise unknown_name("recipe.compile", self.compile, COMPILATIONS)

    @property
    def micro_images(self) -> int | None:
        """The number that was given, None for "auto"."""
        return None if self.micro_batch == AUTO else int(self.micro_batch)
