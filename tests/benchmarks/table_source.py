"""The rows of a table as what a search may train."""

import random
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from nas.strategy.candidates import Candidate, choice_name
from nas.strategy.posterior import TrialView
from search_spaces.space import Pick, Space, Value
from tests.benchmarks.table import Table


class Exhausted(Exception):
    """A sampler has nothing new to propose."""


class TableSource:
    """The rows of a table as candidates for the proposals (nas.strategy.candidates.CandidateSource).

    A table of `trained_table.py` is a sample of its space: there a proposal that is not in it is moved to the nearest
    row that was not taken, and what was taken is not drawn again.
    """

    def __init__(self, table: Table) -> None:
        self.domains = table.domains
        self.table = table
        # None of a table that holds its whole space.
        self.space = None if table.replay is None else table.replay.space
        self._names = list(table.domains)
        self._index = {row: index for index, row in enumerate(table.rows)}
        self._left = list(range(len(table.rows)))
        self._sample = np.array(table.rows if self.space else [], dtype=object)

    def candidate(self, index: int) -> Candidate:
        row = self.table.rows[index]
        choices = {name: value for name, value in zip(self._names, row, strict=True) if value is not None}
        return Candidate(str(index), choices, float(self.table.flops[index]), float(self.table.params[index]))

    def index_of(self, choices: Mapping[str, Value]) -> int | None:
        """The row of these choices, None where the table has none."""
        return self._index.get(tuple(choices.get(name) for name in self._names))

    def take(self, index: int) -> None:
        """This row is trained from now on."""
        if self.space is not None:
            self._left.remove(index)

    def nearest(
        self, choices: Mapping[str, Value], rng: random.Random, besides: Collection[int | None] = ()
    ) -> int | None:
        """Of the rows of a sample that were not taken the one that differs in the fewest choices, of several any one.

        Not to apply is a value like others: else networks of few choices, such as convolutions alone, would be near to
        everything. None where nothing is left.
        """
        left = np.array([index for index in self._left if index not in besides], dtype=np.int64)
        if not left.size:
            return None
        wanted = np.array([choices.get(name) for name in self._names], dtype=object)
        differing = (self._sample[left] != wanted).sum(axis=1)
        return int(rng.choice(left[differing == differing.min()].tolist()))

    def buildable(self, choices: Mapping[str, Value], rng: random.Random) -> dict[str, Value]:
        """Those of the choices that can be had together in the space of a sample, and random ones where they lack."""

        def pick(name: str, values: Sequence[Value]) -> Value:
            value = choices.get(choice_name(name))
            return value if value is not None and value in values else rng.choice(values)

        assert self.space is not None
        return picked(self.space, pick)

    def row_for(self, choices: Mapping[str, Value], rng: random.Random) -> int | None:
        """The row of these choices; in a sample, of those of them that can be built, or the nearest to it."""
        if self.space is None:
            return self.index_of(choices)
        built = self.buildable(choices, rng)
        index = self.index_of(built)
        return self.nearest(built, rng) if index is None else index

    def sample(self, rng: random.Random) -> Candidate | None:
        return self.candidate(rng.choice(self._left)) if self._left else None

    def random_besides(self, known: Collection[int], rng: random.Random) -> int | None:
        """Any row but the known ones; None where no other is left."""
        return rng.choice(new) if (new := [index for index in self._left if index not in known]) else None

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate | None:
        choices = dict(candidate.choices)
        names = [name for name in self._names if name in choices]
        while True:
            name = rng.choice(names)
            choices[name] = rng.choice(self.domains[name])
            if rng.random() < 0.5:
                break
        index = self.row_for(choices, rng)
        return None if index is None else self.candidate(index)


def picked(space: Space, pick: Pick) -> dict[str, Value]:
    """The choices by which a sampler decides on an architecture of a space, as candidates have them."""
    choices: dict[str, Value] = {}

    def note(name: str, values: Sequence[Value]) -> Value:
        value = choices[choice_name(name)] = pick(name, values)
        return value

    space.decide(note)
    return choices


def finished_trials(table: Table, rows: Sequence[int]) -> list[TrialView]:
    """Full trainings of these rows, of one epoch each, in their order."""
    source = TableSource(table)
    return [
        TrialView(number, source.candidate(row), (float(table.observed[row]),), "finished")
        for number, row in enumerate(rows)
    ]
