"""detector.json: what a trained detector says of itself. Imports no torch."""

import json
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError

# The directory of a trained detector in the output directory of its training, and the file of it that says what it is.
DETECTOR = "detector"
DOCUMENT, WEIGHTS = "detector.json", "weights.safetensors"
DETECTOR_FORMAT = "detector/1"


def read_document(directory: Path) -> dict[str, Any]:
    """All that detector.json holds. Raises UserError where it is missing, damaged or another's."""
    try:
        document = json.loads((directory / DOCUMENT).read_bytes())
    except OSError as error:
        raise UserError(f"{str(directory)!r} is no detector: {DOCUMENT}: {error.strerror}.") from None
    except (ValueError, RecursionError):
        raise UserError(f"{str(directory / DOCUMENT)!r} is damaged: it is no JSON.") from None
    if not isinstance(document, dict) or document.get("format") != DETECTOR_FORMAT:
        raise UserError(f"{str(directory / DOCUMENT)!r} is no detector: expected format {DETECTOR_FORMAT!r}.")
    if not isinstance(document.get("files"), dict) or not isinstance(document["files"].get(WEIGHTS), str):
        raise UserError(f"{str(directory / DOCUMENT)!r} is damaged: it lacks the checksum of {WEIGHTS}.")
    return document
