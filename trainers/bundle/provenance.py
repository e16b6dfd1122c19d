"""Where a network comes from, a search or the paper: plain facts, kept in its bundle."""

import dataclasses
from collections.abc import Mapping
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

    @property
    def origin(self) -> dict[str, str]:
        """Where it comes from, in short."""
        return {"search": self.search, "trial": str(self.trial)}

    def other_data(self, data: DataSummary) -> DataSummary | None:
        """What the search has trained on, where that is another data set than `data`, or has other classes.

        Its accuracy says nothing of `data` then. The size of the images may be another.
        """
        searched = DataSummary.from_json(self.search_data)
        return None if (searched.name, searched.classes) == (data.name, data.classes) else searched

    def measured_on_such_images(self, data: DataSummary) -> bool:
        """Whether what was measured of its inference holds for `data`: for as large images and as many classes."""
        searched = DataSummary.from_json(self.search_data)
        shape = (searched.image_size, searched.in_channels, searched.classes)
        return shape == (data.image_size, data.in_channels, data.classes)

    @property
    def search_epochs(self) -> int:
        """The epochs of a training of the search that was not stopped early."""
        return Recipe.from_json(self.search_training).epochs

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


@dataclass(frozen=True, slots=True)
class PaperProvenance:
    """A model of arXiv 1906.05909 by its name in `search_spaces.paper_models`, which no search has found or trained.

    `code_revision` and `torch_version` are those that the bundle was made with, `flops` and `params` its costs on the
    images that it was made for. `full_training` is the result of the full training, once there is one.
    """

    paper_model: str
    code_revision: str
    torch_version: str
    flops: int
    params: int
    full_training: dict[str, Any] | None = None

    @property
    def origin(self) -> dict[str, str]:
        """Where it comes from, in short."""
        return {"paper_model": self.paper_model}

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def read_provenance(data: object) -> Provenance | PaperProvenance:
    """The provenance that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
    if isinstance(data, Mapping) and "paper_model" in data:
        return read_dataclass(PaperProvenance, data, "provenance")
    return read_dataclass(Provenance, data, "provenance")
