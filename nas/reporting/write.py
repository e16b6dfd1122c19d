"""The report of a search as files: an interactive page, pictures, and tables."""

from collections.abc import Sequence
from pathlib import Path

from nas.records.front import front_of
from nas.records.search_facts import SearchFacts
from nas.records.trial import TrialRecord
from nas.reporting.background import Background
from nas.reporting.drawing_process import DrawingProcess
from nas.reporting.importance import Importances, importances
from nas.reporting.page import report_page
from nas.reporting.style import REPORT_PAGE
from nas.reporting.tables import csv_table
from search_spaces.shared_files import remove_leftovers, replace_shared_file


def write_report(
    directory: Path,
    facts: SearchFacts,
    records: Sequence[TrialRecord],
    background: Background | None = None,
    drawing: DrawingProcess | None = None,
) -> list[Path]:
    """Writes the page, the pictures and the tables to `directory`, which is made where it is missing.

    The pictures are drawn here, or by another process meanwhile where there is one. Each file is written whole, or
    stays as it was, also where another process writes a report there, as the driver of a search does every minute.
    Returns the paths: front.html, five PNG and one for each cost beyond the first, trials.csv and front.csv.
    Raises OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    if drawing is not None:
        drawing.begin(facts, records)
    mattered = importances(records, facts.full_epochs)
    if drawing is not None:
        drawing.go_on(mattered)
    members = front_of(records)
    page = report_page(facts, records, mattered, background).encode()
    tables = {
        "trials.csv": csv_table(records, members).encode(),
        "front.csv": csv_table(members, members).encode(),
    }
    pictures = _drawn_here(facts, records, mattered) if drawing is None else drawing.pictures()
    contents = {REPORT_PAGE: page, **pictures, **tables}
    for name, content in contents.items():
        replace_shared_file(directory / name, content)
    remove_leftovers(directory, contents)
    return [directory / name for name in contents]


def _drawn_here(
    facts: SearchFacts, records: Sequence[TrialRecord], importances: Sequence[Importances]
) -> dict[str, bytes]:
    # Matplotlib takes half a second to load, which another process may have done already.
    from nas.reporting.pictures import report_pictures

    return report_pictures(facts, records, importances)
