"""The epochs of a full training as a CSV file: a line an epoch, for people, spreadsheets and whatever draws curves."""

import csv
import dataclasses
import io
from collections.abc import Sequence
from pathlib import Path

from search_spaces.errors import UserError
from trainers.epoch_result import EpochResult
from trainers.files import csv_bytes, write_atomically

HISTORY = "history.csv"
COLUMNS = tuple(field.name for field in dataclasses.fields(EpochResult))


def write_history(path: Path, results: Sequence[EpochResult]) -> None:
    """Replaces the file with these epochs, every number to its last digit. Raises OSError."""
    write_atomically(path, csv_bytes(COLUMNS, ([getattr(result, name) for name in COLUMNS] for result in results)))


def read_history(path: Path) -> tuple[EpochResult, ...]:
    """The epochs that a file holds. Raises UserError where it is none that `write_history` wrote."""
    try:
        header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8")))
        if tuple(header) != COLUMNS:
            raise ValueError(header)
        return tuple(EpochResult(int(row[0]), *map(float, row[1:])) for row in rows)
    except (OSError, ValueError, TypeError, IndexError) as error:
        raise UserError(
            f"{str(path)!r} holds no epochs of a training: expected columns {', '.join(COLUMNS)}."
        ) from error
