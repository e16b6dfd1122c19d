"""A table of trained networks, whose front is what a search is measured against."""

import csv
import gzip
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from nas.records.pareto import Point, front, hypervolume
from nas.strategy.candidates import choice_domains
from search_spaces.errors import UserError
from search_spaces.space import Value
from tests.benchmarks.replay import Replay, replay_of
from tests.benchmarks.schedule import MADE_UP, Schedule
from tests.benchmarks.trainings import Trainings, are_trainings, parsed_trainings

Array = np.ndarray


@dataclass(frozen=True)
class Table:
    """rows: [N] of one category a choice, None where it does not apply. flops, params, observed, accuracy: [N];
    accuracies in [0, 1].

    A search sees `observed`, NaN of a training that diverged; what it found is scored on `accuracy`, the mean of all
    trainings that came to their end, 0 where none did.
    """

    domains: Mapping[str, tuple[Value, ...]]
    rows: Sequence[tuple[Value | None, ...]]
    flops: Array
    params: Array
    observed: Array
    accuracy: Array
    replay: Replay | None = None

    def seen_by(self, seed: int) -> "Table":
        """The table as the search of this seed sees it: where rows have several trainings, one of each, drawn."""
        if self.replay is None:
            return self
        replay = self.replay.drawn(seed)
        return replace(self, observed=replay.seen[:, -1], replay=replay)

    @property
    def schedule(self) -> Schedule:
        """Of searches with learning curves."""
        return MADE_UP if self.replay is None else self.replay.schedule

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
    """A table of `trained_table.py`; or a CSV file, or one of gzip, with columns choice_*, flops, accuracy_* (per cent)
    and, optionally, params, of which `observe` is the accuracy column that searches see; None is the mean of all.

    Raises UserError in one line.
    """
    try:
        opened = gzip.open if path.suffix == ".gz" else open
        # A spreadsheet may have put a mark of byte order before the first column's name.
        with opened(path, "rt", newline="", encoding="utf-8-sig") as file:
            text = file.read()
    except (OSError, EOFError) as error:
        raise UserError(f"table {str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"table {str(path)!r} is no text in UTF-8 ({error}).") from None
    if not are_trainings(text):
        return _table_of_results(text, path, observe)
    if observe is not None:
        raise UserError(f"--observe is {observe!r}: of {str(path)!r} one training of each network is seen anyway.")
    return _table_of_trainings(parsed_trainings(text, path), path)


def _table_of_results(text: str, path: Path, observe: str | None) -> Table:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = list(reader.fieldnames or [])
    records = list(reader)
    choices = [column for column in columns if column.startswith("choice_")]
    accuracies = [column for column in columns if column.startswith("accuracy_")]
    if not choices or not accuracies or "flops" not in columns or not records:
        raise UserError(f"table {str(path)!r}: expected rows with columns choice_*, flops and accuracy_*.")
    if len(set(columns)) < len(columns):
        twice = next(column for column in columns if columns.count(column) > 1)
        raise UserError(f"table {str(path)!r} has two columns {twice!r}: expected one of each name.")
    if observe is not None and observe not in accuracies:
        raise UserError(f"--observe is {observe!r}: expected one of {', '.join(accuracies)}.")
    _check_rows(records, choices, path)
    domains = {choice: _values([record[choice] for record in records]) for choice in choices}
    by_text = {choice: {str(value): value for value in values} for choice, values in domains.items()}
    percent = np.stack([_numbers(records, column, path, most=100.0) for column in accuracies], axis=1)
    if percent.max() <= 1:
        raise UserError(f"table {str(path)!r}: no accuracy is above 1: expected per cent, as 87 for 0.87.")
    flops = _numbers(records, "flops", path)
    return Table(
        domains=domains,
        rows=[tuple(by_text[choice][record[choice]] for choice in choices) for record in records],
        flops=flops,
        params=_numbers(records, "params", path) if "params" in columns else flops,
        observed=(percent.mean(axis=1) if observe is None else percent[:, accuracies.index(observe)]) / 100,
        accuracy=percent.mean(axis=1) / 100,
    )


def _check_rows(records: Sequence[dict[str, str]], choices: Sequence[str], path: Path) -> None:
    """Raises UserError where a row has other cells than the columns, or the choices of another row."""
    lines: dict[tuple[str, ...], int] = {}
    for line, record in enumerate(records, 2):
        # csv has the cells that are too many under None, and None for those that lack.
        if None in record or None in record.values():
            raise UserError(f"table {str(path)!r}, row {line}: expected a cell for each column of the first row.")
        before = lines.setdefault(tuple(record[choice] for choice in choices), line)
        if before != line:
            raise UserError(
                f"table {str(path)!r}: rows {before} and {line} have the same choices: expected a row a network, with "
                "a column accuracy_* for each of its trainings."
            )


def _numbers(records: Sequence[dict[str, str]], column: str, path: Path, most: float | None = None) -> Array:
    """[N] of a column: above 0, or from 0 to `most`. Raises UserError where a cell is none of these."""
    expected = "a number above 0" if most is None else f"a number from 0 to {most:g}"
    numbers = np.empty(len(records))
    for index, record in enumerate(records):
        try:
            number = float(record[column])
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < 0 or (number == 0 if most is None else number > most):
            raise UserError(
                f"table {str(path)!r}, row {index + 2}: {column} is {record[column]!r}: expected {expected}."
            )
        numbers[index] = number
    return numbers


def _table_of_trainings(found: Trainings, path: Path) -> Table:
    """A row an architecture, in the order in which they come; of each row the training of the first seed is seen."""
    if not found.rows:
        raise UserError(f"table {str(path)!r}: no training has ended yet.")
    networks = [trainings[0] for trainings in found.by_architecture()]
    replay, domains = replay_of(found), choice_domains(found.space)
    finals = [trainings[:, -1] for trainings in replay.trainings]
    return Table(
        domains=domains,
        rows=[tuple(one.choices.get(name) for name in domains) for one in networks],
        flops=np.array([one.flops for one in networks]),
        params=np.array([one.params for one in networks]),
        observed=replay.seen[:, -1],
        accuracy=np.array([np.nanmean(final) if np.isfinite(final).any() else 0.0 for final in finals]),
        replay=replay,
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
    accuracy, most = table.reference(None if per_cent is None else per_cent / 100, flops)
    if not (0 <= accuracy <= 1 and 0 < most < math.inf):
        raise UserError(
            f"--table {text!r}: the reference is {100 * accuracy:g} % and {most:g} FLOPs: expected an accuracy from 0 "
            "to 100 per cent, and FLOPs above 0."
        )
    if table.hypervolume((accuracy, most)) <= 0:
        raise UserError(
            f"--table {text!r}: no network of it is more accurate than {100 * accuracy:g} % at less than {most:g} "
            "FLOPs: expected a reference that leaves something to be found, FILE@PER_CENT/FLOPS."
        )
    return NamedTable(Path(path).name, table, (accuracy, most))


def _values(texts: Sequence[str]) -> tuple[Value, ...]:
    """The distinct values, as whole numbers where they all are, sorted."""
    distinct = set(texts)
    if all(text.isascii() and text.isdigit() and str(int(text)) == text for text in distinct):
        return tuple(sorted(int(text) for text in distinct))
    return tuple(sorted(distinct))


def low_flops_third(table: Table, reference: Point) -> Point:
    """The reference of the cheap third: a third of the way from the true front's fewest FLOPs to the reference."""
    members = front(table.points(range(len(table.rows))))
    fewest = float(table.flops[members[0]])
    return reference[0], fewest + (reference[1] - fewest) / 3
