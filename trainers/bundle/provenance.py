"""Where a found network comes from: plain facts, kept in its bundle."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from search_spaces.errors import UserError
from search_spaces.json_fields import read_dataclass
from trainers.data.config import DataSummary
from trainers.inference_cost import InferenceCost
from trainers.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Provenance:
    """The search and the trial that found a network, what the trial came to, and what it ran on.

    `pick` is how it was chosen from the front, `seed` the trial's own seed and `search_seed` that of the search. The
    losses and the validation accuracy (0 to 1) are those after `epochs` epochs of `search_training`, the recipe of the
    search, on `search_data`, a DataSummary as JSON. `inference` is an InferenceCost as JSON, or None where the trial
    was not measured; `torch_version` is the one that the bundle was made with; `full_training` is the result of the
    full training, once there is one. Raises UserError where one of them is anything else.
    """

    search: str
    search_id: str
    pick: str
    trial: int
    seed: int
    search_seed: int
    code_revision: str
    torch_version: str
    search_training: dict[str, Any]
    search_data: dict[str, Any]
    epochs: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    flops: int
    params: int
    inference: dict[str, Any] | None = None
    full_training: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        Recipe.from_json(self.search_training)
        DataSummary.from_json(self.search_data)
        if self.inference is not None:
            InferenceCost.from_json(self.inference)
        if not 0 <= self.val_accuracy <= 1:
            raise UserError(f"provenance val_accuracy is {self.val_accuracy!r}: expected 0 to 1.")

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "Provenance":
        """The provenance that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "provenance")
