"""A table of trained networks: its rows as candidates, its front as what a search is measured against."""

import csv
import gzip
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from nas.records.pareto import Point, front, hypervolume
from nas.strategy.candidates import Candidate
from nas.strategy.posterior import TrialView
from search_spaces.errors import UserError
from search_spaces.space import Value

Array = np.ndarray


@dataclass(frozen=True)
class Table:
    """rows: [N] of one category a choice. flops, params, observed, accuracy: [N]; accuracies in [0, 1].

    A search sees `observed`; what it found is scored on `accuracy`, the mean of all trainings.
    """

    domains: Mapping[str, tuple[Value, ...]]
    rows: list[tuple[Value, ...]]
    flops: Array
    params: Array
    observed: Array
    accuracy: Array

    def reference(self, accuracy: float | None, flops: float | None) -> Point:
        """The given reference, or the median accuracy and the largest FLOPs of the table."""
        return (
            float(np.median(self.accuracy)) if accuracy is None else accuracy,
            float(self.flops.max()) if flops is None else flops,
        )

    def points(self, indices: Sequence[int]) -> list[Point]:
        """(accuracy, FLOPs), as scored."""
        return [(float(self.accuracy[index]), float(self.flops[index])) for index in indices]

    def hypervolume(self, reference: Point) -> float:
        """That of the true front."""
        return hypervolume(self.points(range(len(self.rows))), reference)


def read_table(path: Path, observe: str | None = None) -> Table:
    """A CSV file, or one of gzip, with columns choice_*, flops, accuracy_* (per cent) and, optionally, params.

    `observe` is the accuracy column that searches see; None is the mean of all. Raises UserError in one line.
    """
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            records = list(reader)
    except OSError as error:
        raise UserError(f"table {str(path)!r} cannot be read: {error.strerror or error}.") from None
    choices = [column for column in columns if column.startswith("choice_")]
    accuracies = [column for column in columns if column.startswith("accuracy_")]
    if not choices or not accuracies or "flops" not in columns or not records:
        raise UserError(f"table {str(path)!r}: expected rows with columns choice_*, flops and accuracy_*.")
    if observe is not None and observe not in accuracies:
        raise UserError(f"--observe is {observe!r}: expected one of {', '.join(accuracies)}.")
    domains = {choice: _values([record[choice] for record in records]) for choice in choices}
    by_text = {choice: {str(value): value for value in values} for choice, values in domains.items()}
    percent = np.array([[float(record[column]) for column in accuracies] for record in records])
    flops = np.array([float(record["flops"]) for record in records])
    return Table(
        domains=domains,
        rows=[tuple(by_text[choice][record[choice]] for choice in choices) for record in records],
        flops=flops,
        params=np.array([float(record["params"]) for record in records]) if "params" in columns else flops,
        observed=(percent.mean(axis=1) if observe is None else percent[:, accuracies.index(observe)]) / 100,
        accuracy=percent.mean(axis=1) / 100,
    )


@dataclass(frozen=True)
class NamedTable:
    """A table, the name of its file, and the reference of its hypervolume."""

    name: str
    table: Table
    reference: Point


def named_table(text: str, observe: str | None, per_cent: float | None, flops: float | None) -> NamedTable:
    """The table of FILE or FILE@PER_CENT/FLOPS; `per_cent` and `flops` hold where it states no reference.

    Raises UserError in one line.
    """
    path, at, stated = text.partition("@")
    if at:
        try:
            per_cent, flops = (float(part) for part in stated.split("/"))
        except ValueError:
            raise UserError(f"--table {text!r}: expected FILE@PER_CENT/FLOPS, as table.csv@85/90e6.") from None
    table = read_table(Path(path), observe)
    return NamedTable(Path(path).name, table, table.reference(None if per_cent is None else per_cent / 100, flops))


def _values(texts: Sequence[str]) -> tuple[Value, ...]:
    """The distinct values, as whole numbers where they all are, sorted."""
    distinct = set(texts)
    if all(text.isascii() and text.isdigit() and str(int(text)) == text for text in distinct):
        return tuple(sorted(int(text) for text in distinct))
    return tuple(sorted(distinct))


class TableSource:
    """The rows of a table as candidates for the proposals (nas.strategy.candidates.CandidateSource)."""

    def __init__(self, table: Table) -> None:
        self.domains = table.domains
        self._table = table
        self._names = list(table.domains)
        self._index = {row: index for index, row in enumerate(table.rows)}

    def candidate(self, index: int) -> Candidate:
        row = self._table.rows[index]
        choices = dict(zip(self._names, row, strict=True))
        return Candidate(str(index), choices, float(self._table.flops[index]), float(self._table.params[index]))

    def index_of(self, choices: Mapping[str, Value]) -> int | None:
        """The row of these choices, None where the table has none."""
        return self._index.get(tuple(choices[name] for name in self._names))

    def sample(self, rng: random.Random) -> Candidate | None:
        return self.candidate(rng.randrange(len(self._table.rows)))

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate | None:
        choices = dict(candidate.choices)
        while True:
            name = rng.choice(self._names)
            choices[name] = rng.choice(self.domains[name])
            if rng.random() < 0.5:
                break
        index = self.index_of(choices)
        return None if index is None else self.candidate(index)


def finished_trials(table: Table, rows: Sequence[int]) -> list[TrialView]:
    """Full trainings of these rows, of one epoch each, in their order."""
    source = TableSource(table)
    return [
        TrialView(number, source.candidate(row), (float(table.observed[row]),), "finished")
        for number, row in enumerate(rows)
    ]


def low_flops_third(table: Table, reference: Point) -> Point:
    """The reference of the cheap third: a third of the way from the true front's fewest FLOPs to the reference."""
    members = front(table.points(range(len(table.rows))))
    fewest = float(table.flops[members[0]])
    return reference[0], fewest + (reference[1] - fewest) / 3
