"""The code that workers elsewhere need: that of this checkout, and nothing that lies beside it."""

from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
PACKAGES = ("nas", "search_spaces", "trainers", "cluster")


def shipped_code() -> dict[str, Any]:
    """The part of a Ray runtime environment that brings it to the nodes."""
    excludes = [f"/{path.name}" for path in PROJECT.iterdir() if path.name not in PACKAGES]
    return {"working_dir": str(PROJECT), "excludes": excludes}
