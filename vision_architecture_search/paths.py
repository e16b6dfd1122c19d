"""Paths as they are given in Python: as on a command line, `~` is a home. What was opened stays where it was."""

from pathlib import Path

from search_spaces.paths import user_path


def absolute_path(path: str | Path) -> Path:
    """The same wherever the process goes afterwards, as a notebook does by `%cd`. Raises UserError as `user_path`."""
    return Path(user_path(str(path))).absolute()
