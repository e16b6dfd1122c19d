"""How much each choice mattered for accuracy: the importances of functional ANOVA, of a search's trials.

Accuracies are compared after the same number of epochs only. What a stage's extent, heads and encoding matter is asked
of the trials that have attention there; where the blocks of a stage differ, its numbers are their means.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from nas.records.compute_used import STOPPED_EARLY
from nas.records.trial import TrialRecord
from nas.reporting.functional_anova import variance_shares
from nas.reporting.regression_forest import regression_forest
from nas.reporting.stages import stage_choices
from search_spaces.architecture import STAGE_COUNT, Architecture

# Below this, importances say more of chance than of the choices.
LEAST_TRIALS = 20

# Deeper trees would follow the noise of single trials.
TREES, TREE_DEPTH = 16, 6

ALWAYS = ("stem", "depth", "width", *(f"stage{index + 1}.operator" for index in range(STAGE_COUNT)))

Value = str | float


@dataclass(frozen=True, slots=True)
class ChoiceImportance:
    """The share (0 to 1) of the explained variance of accuracy that is due to one choice.

    `stage` is None where all `trials` were asked, else the stage (1 to 4) that was attention in each of them; the
    choice then shares with all that those trials were free in.
    """

    choice: str
    importance: float
    stage: int | None
    trials: int


@dataclass(frozen=True, slots=True)
class Importances:
    """Importances for the accuracy after `epoch` epochs, which `trials` trials reached. Empty where those are few."""

    epoch: int
    trials: int
    choices: tuple[ChoiceImportance, ...]


def importances(records: Sequence[TrialRecord], full_epochs: int) -> list[Importances]:
    """The importances after the fewest epochs of any trial that was stopped, and at the full budget."""
    stopped = [len(record.epochs) for record in records if record.epochs and record.outcome in STOPPED_EARLY]
    return [importances_at(records, epoch) for epoch in sorted({min([*stopped, full_epochs]), full_epochs})]


def importances_at(records: Sequence[TrialRecord], epoch: int) -> Importances:
    """The importances for the accuracy after `epoch` epochs (1 or more), of all trials that reached it from scratch."""
    reached = [record for record in records if len(record.epochs) >= epoch and record.inheritance is None]
    values = [choice_values(record.architecture) for record in reached]
    accuracies = [record.epochs[epoch - 1].val_accuracy for record in reached]
    found = _shares(values, accuracies, ALWAYS, None)
    for stage in range(1, STAGE_COUNT + 1):
        conditional = tuple(f"stage{stage}.{name}" for name in ("spatial_extent", "heads", "positional_encoding"))
        having = [index for index, choices in enumerate(values) if conditional[0] in choices]
        shares = _shares(
            [values[index] for index in having], [accuracies[index] for index in having], ALWAYS + conditional, stage
        )
        found += [share for share in shares if share.choice in conditional]
    return Importances(epoch, len(reached), tuple(found))


def choice_values(architecture: Architecture) -> dict[str, Value]:
    """The choices of an architecture by name; extent, heads and encoding only where a stage has attention."""
    values: dict[str, Value] = {
        "stem": architecture.stem,
        "depth": float(architecture.depth),
        "width": float(architecture.base_channels),
    }
    for index, choice in enumerate(stage_choices(architecture)):
        name = f"stage{index + 1}"
        values[f"{name}.operator"] = choice.attention
        if choice.spatial_extent is not None and choice.heads is not None and choice.positional_encoding is not None:
            values[f"{name}.spatial_extent"] = choice.spatial_extent
            values[f"{name}.heads"] = choice.heads
            values[f"{name}.positional_encoding"] = choice.positional_encoding
    return values


def _shares(
    values: Sequence[Mapping[str, Value]], accuracies: Sequence[float], names: Sequence[str], stage: int | None
) -> list[ChoiceImportance]:
    """The importance of each of `names` that varies, none where there are too few trials or all are as accurate."""
    if len(values) < LEAST_TRIALS or len(set(accuracies)) == 1:
        return []
    columns: list[list[float]] = []
    columns_of: dict[str, list[int]] = {}
    for name in names:
        chosen = [choices[name] for choices in values]
        if len(set(chosen)) > 1:
            encoded = _columns(chosen)
            columns_of[name] = list(range(len(columns), len(columns) + len(encoded)))
            columns += encoded
    if not columns:
        return []
    forest = regression_forest(np.array(columns).T, np.array(accuracies), TREES, TREE_DEPTH, seed=0)
    shares = variance_shares(forest, list(columns_of.values()))
    ranked = sorted(zip(columns_of, shares, strict=True), key=lambda share: -share[1]) if shares else []
    return [ChoiceImportance(name, share, stage, len(values)) for name, share in ranked]


def _columns(values: Sequence[Value]) -> list[list[float]]:
    """A choice as columns of numbers: numbers as they are, of words a column for each that tells where it is."""
    words = sorted({value for value in values if isinstance(value, str)})
    if not words:
        return [[float(value) for value in values]]
    return [[float(value == word) for value in values] for word in words]
