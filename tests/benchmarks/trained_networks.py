"""The networks of a table that `trained_table.py` made, each built again from its row."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.strategy.candidates import Candidate, SpaceCandidates, choice_name
from search_spaces.architecture import Architecture
from search_spaces.errors import UserError
from search_spaces.space import Space, Value
from tests.benchmarks.trainings import OneTraining, read_trainings
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
    table = read_trainings(path)
    summary, finished = check_data(table.data), table.finished()
    candidates = SpaceCandidates(table.space, summary)
    networks = []
    for row in (row for row in finished if row.seed == 0):
        architecture = _architecture(row, table.space)
        finals = [other.accuracies[-1] for other in finished if other.architecture == row.architecture]
        final = sum(finals) / len(finals)
        candidate = candidates.candidate(architecture)
        networks.append(TrainedNetwork(architecture, candidate, row.accuracies, final, row.epoch_seconds))
    return TrainedNetworks(table.space, table.data, summary, table.recipe, tuple(networks))


def _architecture(row: OneTraining, space: Space) -> Architecture:
    def pick(name: str, values: Sequence[Value]) -> Value:
        return row.choices.get(choice_name(name), values[0])

    architecture = space.decide(pick)
    if architecture.id != row.architecture:
        raise UserError(f"architecture {row.architecture!r}: its choices make {architecture.id!r} here.")
    return architecture
