"""What a search is known by on a disk, for whoever is given one where something else belongs. Changes nothing."""

import os
from pathlib import Path

from search_spaces.pasted_commands import python_command

DEFAULT_RUNS_DIRECTORY = "runs"
# In the directory of a search: its ledger, or a note of where that is.
LEDGER, LEDGER_NOTE = "ledger.db", "ledger.url"


def holds_search(directory: Path) -> bool:
    """Whether this is the directory of a search; one that may not be entered is not known as one."""
    return any(os.path.isfile(directory / name) for name in (LEDGER, LEDGER_NOTE))


def export_instead(path: Path) -> str:
    """The sentence that says how a bundle is had from what names a search, after a space; "" where it names none."""
    for directory in (path, Path(DEFAULT_RUNS_DIRECTORY) / path):
        if holds_search(directory):
            runs, name = directory.parent, directory.resolve().name
            flags = [] if str(runs) == DEFAULT_RUNS_DIRECTORY else ["--runs-dir", str(runs)]
            command = python_command("nas/export.py", name, "--pick", "knee", *flags)
            return f" {name!r} is a search: {command} writes a bundle of it."
    return ""
