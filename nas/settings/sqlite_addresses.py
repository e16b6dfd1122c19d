"""SQLite files as SQLAlchemy, and so Optuna and MLflow, take them: as a URL, in which a path is percent-encoded."""

import re
from pathlib import Path
from urllib.parse import quote, unquote

_SQLITE = "sqlite:///"
# A query begins with the first, an escape with the second; Optuna fills in what stands in braces.
_ENCODED = re.compile(r"[?%{}]")


def sqlite_url(path: Path) -> str:
    """The URL of the SQLite file at `path`, whatever characters that holds."""
    return _SQLITE + _ENCODED.sub(lambda match: quote(match.group()), str(path.resolve()))


def sqlite_path(url: str) -> Path | None:
    """The file that a URL names; None where it is that of another database, or of one in memory."""
    text = unquote(url.removeprefix(_SQLITE).partition("?")[0])
    return Path(text) if url.startswith(_SQLITE) and text and not text.startswith(":") else None
