"""An architecture as it is named: one of the paper's, or the file of a description."""

import json
import operator
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.canonical_json import checksum_of
from search_spaces.errors import UserError, unknown_name
from search_spaces.paper_models import ARCHITECTURES
from search_spaces.paths import did_you_mean, nearest_path

# In the directory of a bundle.
BUNDLE_FILE = "bundle.json"
SIZES = ("image_size", "in_channels", "classes")


def read_described(name: str) -> tuple[Architecture, dict[str, int]]:
    """The architecture of the paper's model `name`, or of a JSON file, and the image sizes that are told with it.

    The file is a description, or holds one, as a bundle's does, whose directory is as good; that tells `image_size`,
    `in_channels` and `classes`, too. Raises UserError, also where a bundle was edited.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name], {}
    path, data = _content(name)
    # A bundle's own file holds the description under this key.
    holder = data if isinstance(data, dict) else {}
    if "checksum" in holder and not _fits(holder):
        raise UserError(f"{str(path)!r} is damaged or was edited: its checksum does not fit.")
    architecture = Architecture.from_json(holder.get("architecture", data))
    return architecture, _sizes(path, holder["data_summary"]) if "data_summary" in holder else {}


def _fits(document: Mapping[str, Any]) -> bool:
    """Whether the checksum of a bundle is that of all else in it."""
    try:
        return checksum_of({name: document[name] for name in document if name != "checksum"}) == document["checksum"]
    except ValueError:
        return False


def _sizes(path: Path, summary: Any) -> dict[str, int]:
    try:
        sizes = {key: operator.index(summary[key]) for key in SIZES}
    except (KeyError, TypeError):
        sizes = {}
    if not sizes or min(sizes.values()) < 1:
        raise UserError(
            f"file {str(path)!r}: expected data_summary with image_size, in_channels and classes, whole numbers of 1 "
            "or more."
        )
    return sizes


def _content(name: str) -> tuple[Path, Any]:
    path = Path(name)
    if (path / BUNDLE_FILE).is_file():
        path = path / BUNDLE_FILE
    elif not name.endswith(".json"):
        known = [*ARCHITECTURES, f"a bundle's directory, or a file ending in .json, as its {BUNDLE_FILE}"]
        near = nearest_path(path, _is_described)
        raise unknown_name("architecture", name, known, others=[] if near is None else [near])
    try:
        return path, json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = did_you_mean(name, _is_described)
        raise UserError(f"file {str(path)!r} cannot be read: {error.strerror}.{hint}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"file {str(path)!r} is not JSON: {error}.") from None


def _is_described(path: Path) -> bool:
    return (path / BUNDLE_FILE).is_file() or (path.suffix == ".json" and path.is_file())
