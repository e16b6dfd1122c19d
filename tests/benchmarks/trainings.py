"""The trainings of a table that `trained_table.py` made, as its file has them."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from nas.strategy.candidates import choice_domains
from search_spaces.errors import UserError
from search_spaces.space import Space, Value
from search_spaces.space_reading import space_from_mapping
from trainers.data.config import DataConfig
from trainers.recipe import Recipe


@dataclass(frozen=True, slots=True)
class OneTraining:
    """A row. `choices` are those that apply and leave a choice, `epoch_seconds` those of one thread.

    `accuracies`: of validation, in [0, 1], after each epoch; of a training that diverged, up to the epoch before.
    """

    architecture: str
    seed: int
    choices: Mapping[str, Value]
    flops: float
    params: float
    epoch_seconds: float
    accuracies: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Trainings:
    """What the rows were trained on and by, and the rows in their order."""

    space: Space
    data: DataConfig
    recipe: Recipe
    rows: tuple[OneTraining, ...]

    def finished(self) -> list[OneTraining]:
        """Those that came to their end."""
        return [row for row in self.rows if len(row.accuracies) == self.recipe.epochs]

    def by_architecture(self) -> list[list[OneTraining]]:
        """The trainings of each architecture, by their seeds, in the order in which architectures come."""
        found: dict[str, list[OneTraining]] = {row.architecture: [] for row in self.rows}
        for row in sorted(self.rows, key=lambda row: row.seed):
            found[row.architecture].append(row)
        return list(found.values())


def are_trainings(text: str) -> bool:
    """Whether a table is one of `trained_table.py`: those alone begin with what they were made with."""
    return text.startswith("# {")


def read_trainings(path: Path) -> Trainings:
    """Raises UserError where the file holds something else."""
    return parsed_trainings(path.read_text(encoding="utf-8"), path)


def parsed_trainings(text: str, path: Path) -> Trainings:
    """The same of the text of a file; `path` is for what is said of it."""
    first, _, rest = text.partition("\n")
    # The last row may be in writing.
    whole = rest[: rest.rfind("\n") + 1]
    try:
        made_of = json.loads(first.removeprefix("#"))
        space, data = space_from_mapping("of the table", made_of["space"]), DataConfig.from_json(made_of["data"])
        recipe = Recipe.from_json(made_of["recipe"])
        rows = tuple(_training(row, space, recipe) for row in csv.DictReader(whole.splitlines()))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"table {str(path)!r}: expected one of trained_table.py ({error}).") from None
    return Trainings(space, data, recipe, rows)


def _training(row: Mapping[str, str], space: Space, recipe: Recipe) -> OneTraining:
    domains = choice_domains(space).items()
    cells = [row[f"val_accuracy_{epoch}"] for epoch in range(1, recipe.epochs + 1)]
    reached = cells.index("") if "" in cells else len(cells)
    return OneTraining(
        architecture=row["architecture"],
        seed=int(row["seed"]),
        choices={name: value for name, values in domains for value in values if str(value) == row[f"choice_{name}"]},
        flops=float(row["flops"]),
        params=float(row["params"]),
        epoch_seconds=float(row["epoch_seconds"]),
        accuracies=tuple(float(cell) / 100 for cell in cells[:reached]),
    )
