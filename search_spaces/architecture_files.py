"""An architecture as it is named: one of the paper's, or the file of a description."""

import json
import operator
from pathlib import Path
from typing import Any

from search_spaces.architecture import Architecture
from search_spaces.errors import UserError, unknown_name
from search_spaces.paper_models import ARCHITECTURES
from search_spaces.paths import did_you_mean


def read_architecture(name: str) -> Architecture:
    """That of the paper's model `name`, or of a JSON file: a description, or one that holds it, as a bundle's.

    Raises UserError.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    data = _content(name)
    # A bundle's own file holds the description under this key.
    return Architecture.from_json(data["architecture"] if isinstance(data, dict) and "architecture" in data else data)


def read_image_sizes(name: str) -> dict[str, int]:
    """`image_size`, `in_channels` and `classes` of the network that the file of a bundle describes.

    Empty where that is a paper's model or a description alone. Raises UserError.
    """
    data = None if name in ARCHITECTURES else _content(name)
    if not isinstance(data, dict) or "data_summary" not in data:
        return {}
    summary = data["data_summary"]
    try:
        return {key: operator.index(summary[key]) for key in ("image_size", "in_channels", "classes")}
    except (KeyError, TypeError):
        raise UserError(
            f"file {name!r}: expected data_summary with image_size, in_channels and classes, whole numbers."
        ) from None


def _content(name: str) -> Any:
    if not name.endswith(".json"):
        raise unknown_name("architecture", name, [*ARCHITECTURES, "a file ending in .json, as a bundle's bundle.json"])
    try:
        return json.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        hint = did_you_mean(name, Path.is_file)
        raise UserError(f"file {name!r} cannot be read: {error.strerror}.{hint}") from None
    except ValueError as error:
        raise UserError(f"file {name!r} is not JSON: {error}.") from None
