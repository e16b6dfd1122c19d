"""How the Gaussian process sees an architecture: its choices and its costs as numbers. Pure, on plain data."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from nas.strategy.candidates import Candidate
from search_spaces.space import Value

Array = NDArray[np.float64]

# Two candidates that differ in a choice differ in two columns by this, a squared distance of 1.
SAME = math.sqrt(0.5)


class FeatureEncoder:
    """Turns candidates into features, in groups that a Gaussian process weighs one by one.

    For each choice whether it is the same (a squared distance of 1 where it is not); for choices of numbers also how
    far apart they are in rank; for each value that several choices share, how many of them take it; FLOPs and
    parameters, log-scaled to the range of `sample`.
    """

    def __init__(self, domains: Mapping[str, Sequence[Value]], sample: Sequence[Candidate]) -> None:
        """`domains`: the values of every choice, by its name. Raises ValueError on an empty domain or sample."""
        if not domains or not sample:
            raise ValueError("an encoder needs choices and a sample of candidates")
        logarithms = np.log([(candidate.flops, candidate.params) for candidate in sample])
        self._lowest = logarithms.min(axis=0)
        self._range = np.maximum(logarithms.max(axis=0) - self._lowest, 1e-9)
        sizes: list[int] = []
        # What a candidate of no choices has, and what each choice changes in that, as columns and their values.
        absent: list[tuple[int, float]] = []
        changed: dict[tuple[str, Value], list[tuple[int, float]]] = {}
        for name, values in domains.items():
            first, last = sum(sizes), sum(sizes) + len(values)
            absent.append((last, SAME))
            for rank, value in enumerate(values):
                changed[name, value] = [(last, -SAME), (first + rank, SAME)]
            sizes.append(len(values) + 1)
        for name, values in domains.items():
            if _is_ordered(values):
                # A choice that does not apply is as far from both ends.
                absent.append((sum(sizes), 0.5))
                for rank, value in enumerate(values):
                    changed[name, value].append((sum(sizes), rank / (len(values) - 1) - 0.5))
                sizes.append(1)
        for names, values in _shared_values(domains):
            for value in values:
                for name in names:
                    changed[name, value].append((sum(sizes), 1 / len(names)))
                sizes.append(1)
        self.groups = np.repeat(np.arange(len(sizes) + 2), [*sizes, 1, 1])
        self._empty = np.zeros(len(self.groups))
        for column, number in absent:
            self._empty[column] = number
        self._changed = {choice: tuple(zip(*pairs, strict=True)) for choice, pairs in changed.items()}

    def encode(self, candidates: Sequence[Candidate]) -> Array:
        """[N, P] features; column p belongs to group `groups[p]`."""
        width = len(self._empty)
        places: list[int] = []
        amounts: list[float] = []
        counts: list[int] = []
        for candidate in candidates:
            before = len(places)
            for choice in candidate.choices.items():
                columns, values = self._changed.get(choice, ((), ()))
                places.extend(columns)
                amounts.extend(values)
            counts.append(len(places) - before)
        flat = np.repeat(np.arange(len(candidates)) * width, counts) + np.array(places, dtype=np.int64)
        rows = np.bincount(flat, amounts, len(candidates) * width).reshape(-1, width) + self._empty
        costs = np.log([(candidate.flops, candidate.params) for candidate in candidates])
        rows[:, -2:] = (costs - self._lowest) / self._range
        return rows


def _is_ordered(values: Sequence[Value]) -> bool:
    return len(values) > 2 and not any(isinstance(value, str) for value in values) and list(values) in (
        sorted(values, key=float),
        sorted(values, key=float, reverse=True),
    )  # fmt: skip


def _shared_values(domains: Mapping[str, Sequence[Value]]) -> list[tuple[list[str], tuple[Value, ...]]]:
    """The choices that are alike, being of the same kind and values, such as the operators of all stages."""
    alike: dict[tuple[str, tuple[Value, ...]], list[str]] = {}
    for name, values in domains.items():
        kind = name.rpartition(".")[2] if "." in name else ""
        alike.setdefault((kind, tuple(values)), []).append(name)
    return [(names, values) for (_, values), names in alike.items() if len(names) > 1]
