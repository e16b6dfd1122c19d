"""The report of a search as files: an interactive page, pictures, and tables."""

from collections.abc import Sequence
from pathlib import Path

from nas.records.front import front_of
from nas.records.search_facts import SearchFacts
from nas.records.trial import TrialRecord
from nas.reporting.background import Background
from nas.reporting.importance import importances
from nas.reporting.page import report_page
from nas.reporting.pictures import (
    choices_picture,
    curves_picture,
    front_picture,
    hypervolume_picture,
    importance_picture,
    png_bytes,
)
from nas.reporting.style import REPORT_PAGE
from nas.reporting.tables import csv_table
from search_spaces.shared_files import replace_shared_file


def write_report(
    directory: Path, facts: SearchFacts, records: Sequence[TrialRecord], background: Background | None = None
) -> list[Path]:
    """Writes the page, the pictures and the tables to `directory`, which is made where it is missing.

    Each file is written whole, or stays as it was, also where another process writes a report there, as the driver of a
    search does every minute. Returns the paths: front.html, five PNG and one for each
    cost beyond the first, trials.csv and front.csv.
    Raises OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    mattered = importances(records, facts.full_epochs)
    members = front_of(records)
    pictures = {
        "front.png": front_picture(facts, records),
        **{f"front_{name}.png": front_picture(facts, records, name) for name in facts.cost_names[1:]},
        "hypervolume.png": hypervolume_picture(facts, records),
        "learning_curves.png": curves_picture(records),
        "choices.png": choices_picture(records),
        "importance.png": importance_picture(mattered),
    }
    contents = {
        REPORT_PAGE: report_page(facts, records, mattered, background).encode(),
        **{name: png_bytes(picture) for name, picture in pictures.items()},
        "trials.csv": csv_table(records, members).encode(),
        "front.csv": csv_table(members, members).encode(),
    }
    for name, content in contents.items():
        replace_shared_file(directory / name, content)
    return [directory / name for name in contents]
