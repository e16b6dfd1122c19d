"""Which version of the project this is, and whether it is a checkout."""

import importlib.metadata
import tomllib
from pathlib import Path

DISTRIBUTION = "vision-architecture-search"


def project_directory() -> Path | None:
    """The checkout that this code lies in, None where it was installed without one."""
    directory = Path(__file__).resolve().parents[1]
    return directory if (directory / "pyproject.toml").is_file() else None


def version() -> str:
    """The version of a checkout, else of what is installed; "unknown" where neither says.

    A checkout may be newer than what was installed from it.
    """
    directory = project_directory()
    if directory is not None:
        project_file = directory / "pyproject.toml"
        return str(tomllib.loads(project_file.read_text(encoding="utf-8"))["project"]["version"])
    try:
        return importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
