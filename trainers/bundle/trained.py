"""One full training as its directory holds it, read without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError
from search_spaces.pasted_commands import python_command, shell_word
from trainers.bundle.contents import Bundle
from trainers.bundle.document import DOCUMENT, read_bundle
from trainers.bundle.provenance import Provenance
from trainers.epoch_result import EpochResult
from trainers.history import HISTORY, read_history

# Beside the settings of a training whose loss was not finite any more: in which epoch.
DIVERGED = "diverged.json"


@dataclass(frozen=True, slots=True)
class Trained:
    """A full training: where it lies, its network's bundle, its result, and its epochs where they lie beside it."""

    directory: str
    bundle: Bundle
    result: dict[str, Any]
    history: tuple[EpochResult, ...]

    @property
    def origin(self) -> str:
        """Which network it is, in words."""
        provenance = self.bundle.provenance
        if isinstance(provenance, Provenance):
            return f"trial {provenance.trial} of {provenance.search}"
        return f"{provenance.paper_model}, the paper's"

    @property
    def promised(self) -> float | None:
        """Its validation accuracy in the search; None where it was not trained there, or not on the same data, or was
        stopped early."""
        provenance = self.bundle.provenance
        if not isinstance(provenance, Provenance) or provenance.epochs < provenance.search_epochs:
            return None
        return None if provenance.other_data(self.bundle.data_summary) else provenance.val_accuracy


def read_trained(directory: Path) -> Trained:
    """The training whose output directory this is, or whose bundle. Raises UserError where it is none that ended."""
    inside = directory / "bundle"
    at = inside if (inside / DOCUMENT).is_file() else directory
    holder = directory if at == inside else directory.parent
    if at == directory and (directory / DIVERGED).is_file():
        raise UserError(
            f"{str(directory)!r} holds a full training that has diverged: expected one that ended; try a lower "
            "recipe.learning_rate, in another --out."
        )
    if at == directory and (directory / "settings.json").is_file():
        before = sorted(each.parent.parent for each in directory.glob(f"after-*-epochs/bundle/{DOCUMENT}"))
        kept = f"; what it came to before it was made longer is in {str(before[-1])!r}" if before else ""
        raise UserError(
            f"{str(directory)!r} holds a full training that has not ended yet: the same command goes on{kept}."
        )
    if at == directory and any(directory.glob(f"*/bundle/{DOCUMENT}")):
        several = f"{shell_word(str(directory))}/*"
        raise UserError(f"{str(directory)!r} holds several full trainings: expected each of them, as {several}.")
    bundle = read_bundle(at)
    result = bundle.provenance.full_training
    if result is None:
        raise UserError(
            f"{str(directory)!r} is a bundle that was not trained fully: "
            f"{python_command('trainers/train.py', str(directory))} trains it."
        )
    is_beside = at.name == "bundle" and (holder / HISTORY).is_file()
    return Trained(str(directory), bundle, result, read_history(holder / HISTORY) if is_beside else ())
