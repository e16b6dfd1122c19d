"""A trained detector as its directory holds it, read without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError
from trainers.bundle.provenance import PaperProvenance, Provenance, read_provenance
from trainers.detection.design import DetectorDesign
from trainers.detection.document import DETECTOR, DOCUMENT, WEIGHTS, read_document
from trainers.epoch_result import EpochResult
from trainers.history import HISTORY, read_history
from trainers.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrainedDetector:
    """A detector: where it lies, its design, recipe and result, and its epochs where they lie beside it.

    `weights` is the SHA-256 of its weights. `provenance` is where its network comes from, None where nobody knows.
    """

    directory: str
    design: DetectorDesign
    recipe: Recipe
    result: dict[str, Any]
    weights: str
    provenance: Provenance | PaperProvenance | None
    history: tuple[EpochResult, ...]

    @property
    def origin(self) -> str:
        """On which network it stands, in words."""
        if isinstance(self.provenance, Provenance):
            return f"trial {self.provenance.trial} of {self.provenance.search}"
        if self.provenance is None:
            return "a network that it does not say where it comes from"
        return f"{self.provenance.paper_model}, the paper's"


def holds_detector(directory: Path) -> bool:
    """Whether this is the output directory of a detector's training that has ended, or the detector in it."""
    return (directory / DETECTOR / DOCUMENT).is_file() or (directory / DOCUMENT).is_file()


def read_trained_detector(directory: Path) -> TrainedDetector:
    """The detector in such a directory. Raises UserError where it is damaged."""
    inside = directory / DETECTOR
    at = inside if (inside / DOCUMENT).is_file() else directory
    document = read_document(at)
    result, provenance = document.get("result"), document.get("provenance")
    if not isinstance(result, dict):
        raise UserError(f"{str(at / DOCUMENT)!r} is damaged: it lacks what its training came to.")
    is_beside = at.name == DETECTOR and (at.parent / HISTORY).is_file()
    return TrainedDetector(
        directory=str(directory),
        design=DetectorDesign.from_json(document.get("detector")),
        recipe=Recipe.from_json(document.get("recipe")),
        result=result,
        weights=document["files"][WEIGHTS],
        provenance=None if provenance is None else read_provenance(provenance),
        history=read_history(at.parent / HISTORY) if is_beside else (),
    )
