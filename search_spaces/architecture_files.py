"""An architecture as it is named: one of the paper's, or the file of a description."""

import json
from pathlib import Path

from search_spaces.architecture import Architecture
from search_spaces.errors import UserError, unknown_name
from search_spaces.paper_models import ARCHITECTURES


def read_architecture(name: str) -> Architecture:
    """That of the paper's model `name`, or of a JSON file: a description, or one that holds it, as a bundle's.

    Raises UserError.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if not name.endswith(".json"):
        raise unknown_name("architecture", name, [*ARCHITECTURES, "a file ending in .json, as a bundle's bundle.json"])
    try:
        data = json.loads(Path(name).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"file {name!r} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise UserError(f"file {name!r} is not JSON: {error}.") from None
    # A bundle's own file holds the description under this key.
    return Architecture.from_json(data["architecture"] if isinstance(data, dict) and "architecture" in data else data)
