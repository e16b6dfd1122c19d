"""Starting a full training from the weights of its bundle, on the same classes or on others."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.architecture import stem_stride
from search_spaces.errors import UserError
from trainers.bundle.contents import Bundle
from trainers.data.config import DataSummary

if TYPE_CHECKING:
    from torch import nn

# What the weights of a network's classifier are called.
_CLASSIFIER = ("head.weight", "head.bias")


@dataclass(frozen=True, slots=True)
class InitialWeights:
    """The bundle whose weights a training starts from, and what becomes of its classifier, in words.

    `rows` has for each class the place of its row in that classifier, None where the classifier is made anew.
    """

    directory: Path
    rows: tuple[int, ...] | None
    note: str


def initial_weights(directory: Path, bundle: Bundle, summary: DataSummary, classes: tuple[str, ...]) -> InitialWeights:
    """How the weights of a bundle serve for images of these classes. Raises UserError where they cannot."""
    before = bundle.data_summary
    if before.in_channels != summary.in_channels:
        raise UserError(
            f"--init weights: the bundle's network takes images of {before.in_channels} channels, and those of "
            f"{summary.name!r} have {summary.in_channels}: expected as many, or --init scratch."
        )
    if stem_stride(before.image_size) != stem_stride(summary.image_size):
        raise UserError(
            f"--init weights: a network for images of {summary.image_size} pixels has another stem than the bundle's, "
            f"for {before.image_size}: expected data.image_size={before.image_size}, or --init scratch."
        )
    kept = "those of the bundle, with its classifier: its classes are the same"
    if bundle.class_names is not None and set(bundle.class_names) == set(classes):
        # Numbers are in the order of texts as folders, and in that of numbers as labels of tar files.
        rows = tuple(map(bundle.class_names.index, classes))
        other_order = "" if bundle.class_names == classes else " in another order, into which its rows are put"
        return InitialWeights(directory, rows, kept + other_order)
    were = "unknown" if bundle.class_names is None else f"{len(bundle.class_names)} others"
    return InitialWeights(
        directory, None,
        f"those of the bundle, but for its classifier: made anew for {len(classes)} classes, the bundle's were {were}",
    )  # fmt: skip


def load_initial_weights(model: "nn.Module", initial: InitialWeights) -> None:
    """Puts the weights into a fresh network. Raises UserError where they are damaged, or do not fit."""
    from trainers.bundle.files import read_weights

    weights = read_weights(initial.directory)
    classifier = {name: model.get_parameter(name).detach() for name in _CLASSIFIER}
    if initial.rows is None:
        weights |= classifier
    try:
        model.load_state_dict(weights)
    except RuntimeError:
        raise UserError(f"the weights of {str(initial.directory)!r} do not fit its architecture.") from None
    if initial.rows is not None:
        for values in classifier.values():
            values.copy_(values[list(initial.rows)])
