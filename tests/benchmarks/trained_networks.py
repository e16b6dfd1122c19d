"""The networks of a table that `trained_table.py` made, each built again from its row."""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.strategy.candidates import Candidate, SpaceCandidates, choice_domains, choice_name
from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from search_spaces.space import Space, Value
from search_spaces.space_reading import space_from_mapping
from trainers.data.config import DataConfig, DataSummary
from trainers.data.datasets import check_data
from trainers.recipe import Recipe


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """`accuracies`: [E] of validation after each epoch of the training of seed 0, in [0, 1]; `final_accuracy`: the last
    one's mean over the seeds. `epoch_seconds` are those of one epoch on one thread."""

    architecture: Architecture
    candidate: Candidate
    accuracies: tuple[float, ...]
    final_accuracy: float
    epoch_seconds: float


@dataclass(frozen=True, slots=True)
class TrainedNetworks:
    """What they were trained on and by, and the networks whose training of seed 0 came to its end."""

    space: Space
    data: DataConfig
    summary: DataSummary
    recipe: Recipe
    networks: tuple[TrainedNetwork, ...]


def read_trained_networks(path: Path) -> TrainedNetworks:
    """Raises UserError where a row's choices do not make its architecture."""
    first, _, rest = path.read_text(encoding="utf-8").partition("\n")
    made_of = json.loads(first.removeprefix("#"))
    space, data = space_from_mapping("of the table", made_of["space"]), DataConfig.from_json(made_of["data"])
    recipe, summary = Recipe.from_json(made_of["recipe"]), check_data(data)
    candidates = SpaceCandidates(space, summary)
    last = f"val_accuracy_{recipe.epochs}"
    # The last row may be in writing.
    whole = rest[: rest.rfind("\n") + 1]
    finished = [row for row in csv.DictReader(whole.splitlines()) if row[last]]
    networks = []
    for row in (row for row in finished if row["seed"] == "0"):
        architecture = _architecture(row, space)
        finals = [float(other[last]) / 100 for other in finished if other["architecture"] == architecture.id]
        curve = tuple(float(row[f"val_accuracy_{epoch}"]) / 100 for epoch in range(1, recipe.epochs + 1))
        final, seconds = sum(finals) / len(finals), float(row["epoch_seconds"])
        networks.append(TrainedNetwork(architecture, candidates.candidate(architecture), curve, final, seconds))
    return TrainedNetworks(space, data, summary, recipe, tuple(networks))


def _architecture(row: Mapping[str, str], space: Space) -> Architecture:
    domains = choice_domains(space).items()
    choices = {name: value for name, values in domains for value in values if str(value) == row[f"choice_{name}"]}

    def pick(name: str, values: Sequence[Value]) -> Value:
        return choices.get(choice_name(name), values[0])

    architecture = space.decide(pick)
    if architecture.id != row["architecture"]:
        raise UserError(f"architecture {row['architecture']!r}: its choices make {architecture.id!r} here.")
    return architecture
