"""Several searches read from their ledgers and compared."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nas.driver.running_search import status_of
from nas.ledger.contents import LedgerContents
from nas.ledger.location import read_ledger
from nas.records.comparison import ComparedSearch, check_comparable, common_box, differences, groups
from nas.records.front import finished
from nas.reporting.comparison import COMPARISON_PAGE, write_comparison
from nas.reporting.comparison_texts import COLUMNS, box_text, comparison_rows, difference_lines
from nas.settings.run_directory import COMPARISONS, RunDirectory
from search_spaces.paths import check_can_be_directory, check_others_are_not_in
from search_spaces.units import counted

# A directory's name is no longer than this, of 255 that file systems take.
LONGEST_NAME = 150


@dataclass(frozen=True, slots=True)
class Comparison:
    """Searches compared: their ledgers, the files that were written (the page first), and what is said of it."""

    searches: tuple[ComparedSearch, ...]
    ledgers: tuple[LedgerContents, ...]
    files: tuple[Path, ...]
    table: tuple[str, ...]
    lines: tuple[str, ...]


def compare_searches(directories: Sequence[RunDirectory], ledger_url: str | None, out: str | None) -> Comparison:
    """Compares searches, and writes what is to be seen of it.

    Raises UserError where there can be none, and OSError, naming where, where it cannot be written.
    """
    ledgers = [read_ledger(directory, ledger_url) for directory in directories]
    searches = [_compared(directory, ledger) for directory, ledger in zip(directories, ledgers, strict=True)]
    notes = [*check_comparable(searches), *_still_running(directories, ledgers)]
    if out:
        check_others_are_not_in(Path(out), COMPARISON_PAGE, "--out")
    target = Path(out) if out else directories[0].runs / COMPARISONS / _name([search.name for search in searches])
    check_can_be_directory(target, "the comparison cannot be written")
    try:
        files = write_comparison(target, searches, notes)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(target)) from error
    box = common_box(searches)
    compared = groups(searches, box)
    table = _aligned([COLUMNS, *(row.cells for row in comparison_rows(searches, box))])
    lines = [box_text(searches, box), *difference_lines(compared, differences(compared)), *notes]
    return Comparison(tuple(searches), tuple(ledgers), tuple(files), tuple(table), tuple(lines))


def _still_running(directories: Sequence[RunDirectory], ledgers: Sequence[LedgerContents]) -> list[str]:
    """Of each search that has not ended, what its numbers hold up to."""
    notes = []
    for directory, ledger in zip(directories, ledgers, strict=True):
        state = status_of(directory, ledger).driver_state
        if state in ("running", "elsewhere"):
            runs = "still runs" if state == "running" else "may still run, on another machine"
            trained, epochs = len(finished(ledger.records)), sum(len(record.epochs) for record in ledger.records)
            notes.append(
                f"{directory.name} {runs}: its numbers hold up to {counted(trained, 'finished trial')} and "
                f"{counted(epochs, 'epoch')}"
            )
    return notes


def _compared(directory: RunDirectory, ledger: LedgerContents) -> ComparedSearch:
    header = ledger.header
    facts = header.facts(directory.name, ledger.most_latency_ms)
    return ComparedSearch(facts, ledger.records, header.settings(), header.data_fingerprint)


def _name(names: Sequence[str]) -> str:
    joined = "-".join(names)
    return (
        joined
        if len(joined) <= LONGEST_NAME
        else f"{names[0][:100]}-{hashlib.sha256(joined.encode()).hexdigest()[:12]}"
    )


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first = [f"{row[0]:<{widths[0]}}" for row in rows]
    others = ["  ".join(f"{cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True)) for row in rows]
    return [f"{name}  {cells}" for name, cells in zip(first, others, strict=True)]
