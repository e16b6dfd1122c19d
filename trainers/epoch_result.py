"""What one epoch of a training gave, as plain data."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from search_spaces.json_fields import read_dataclass


@dataclass(frozen=True, slots=True)
class EpochResult:
    """What one epoch gave. Accuracies are 0 to 1; `learning_rate` is that of its last step.
    Of a detector `val_accuracy` is its mean average precision."""

    epoch: int
    train_loss: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    epoch_seconds: float

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "EpochResult":
        """The result that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "epoch result")
