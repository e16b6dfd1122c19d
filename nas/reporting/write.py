"""The report of a search as files: an interactive page, pictures, and tables."""

from collections.abc import Sequence
from pathlib import Path

from nas.records.front import front_of
from nas.records.search_facts import SearchFacts
from nas.records.trial import TrialRecord
from nas.reporting.importance import importances
from nas.reporting.page import report_page
from nas.reporting.pictures import (
    choices_picture,
    curves_picture,
    front_picture,
    hypervolume_picture,
    importance_picture,
)
from nas.reporting.style import REPORT_PAGE
from nas.reporting.tables import write_csv


def write_report(directory: Path, facts: SearchFacts, records: Sequence[TrialRecord]) -> list[Path]:
    """Writes the page, the pictures and the tables to `directory`, which is made where it is missing.

    The paths written: front.html, five PNG, trials.csv and front.csv. Raises OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    mattered = importances(records, facts.full_epochs)
    page = directory / REPORT_PAGE
    page.write_text(report_page(facts, records, mattered), encoding="utf-8")
    pictures = {
        "front.png": front_picture(facts, records),
        "hypervolume.png": hypervolume_picture(facts, records),
        "learning_curves.png": curves_picture(records),
        "choices.png": choices_picture(records),
        "importance.png": importance_picture(mattered),
    }
    for name, picture in pictures.items():
        picture.savefig(directory / name)
    members = front_of(records)
    write_csv(directory / "trials.csv", records, members)
    write_csv(directory / "front.csv", members, members)
    return [page, *(directory / name for name in (*pictures, "trials.csv", "front.csv"))]
