"""Which version of the project this is."""

import importlib.metadata
import tomllib
from pathlib import Path

DISTRIBUTION = "vision-architecture-search"
# Beside the packages in a checkout, which may be newer than what was installed from it.
_PROJECT_FILE = Path(__file__).resolve().parents[1] / "pyproject.toml"


def version() -> str:
    """The version of a checkout, else of what is installed; "unknown" where neither says."""
    if _PROJECT_FILE.is_file():
        return str(tomllib.loads(_PROJECT_FILE.read_text(encoding="utf-8"))["project"]["version"])
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
