"""bundle.json: what a bundle says of itself, checked to the bit. Imports no torch: a mistake is said at once."""

import hashlib
import json
from pathlib import Path
from typing import Any

from search_spaces.canonical_json import canonical_json
from search_spaces.errors import UserError
from search_spaces.json_fields import read_object
from search_spaces.pasted_commands import python_command
from search_spaces.paths import check_can_be_directory
from trainers.bundle.contents import CONTENTS, OPTIONAL, Bundle
from trainers.files import json_text

BUNDLE_FORMAT = "bundle/2"
DOCUMENT, WEIGHTS, CARD, ONNX = "bundle.json", "weights.safetensors", "README.md", "model.onnx"


def read_bundle(directory: Path) -> Bundle:
    """What bundle.json says. Raises UserError in one line where it is missing, damaged or of another format."""
    document = read_document(directory)
    return Bundle.from_json({name: document[name] for name in (*CONTENTS, *OPTIONAL) if name in document})


def check_free(directory: Path) -> None:
    """Raises UserError where a bundle cannot become the new directory `directory`."""
    if directory.exists():
        raise UserError(f"{str(directory)!r} exists already: name another directory with --out, or remove it.")
    check_can_be_directory(directory, f"--out {str(directory)!r}")


def weights_digest(directory: Path) -> str:
    """The SHA-256 that the weights of a bundle have. Raises UserError where it was written without any."""
    digest = read_document(directory)["files"].get(WEIGHTS)
    if digest is None:
        raise UserError(
            f"{str(directory)!r} holds no weights, as none were kept or it was never trained: "
            f"{python_command('trainers/train.py', str(directory))} trains its network."
        )
    return str(digest)


def sound_weights(directory: Path) -> tuple[str, bytes]:
    """The weights of a bundle and their SHA-256. Raises UserError where there are none, or they are damaged."""
    expected = weights_digest(directory)
    content = read_bytes(directory / WEIGHTS)
    if hashlib.sha256(content).hexdigest() != expected:
        raise UserError(f"{str(directory / WEIGHTS)!r} is damaged: its checksum is not the one in {DOCUMENT}.")
    return expected, content


def read_document(directory: Path) -> dict[str, Any]:
    """All that bundle.json holds, but for its checksum. Raises UserError where it is missing, damaged or another's."""
    path = directory / DOCUMENT
    content = read_bytes(path)
    try:
        document = json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{str(path)!r} is damaged: it is no JSON.") from error
    written_by = document.get("format") if isinstance(document, dict) else None
    if written_by != BUNDLE_FORMAT:
        raise UserError(f"{str(path)!r} has format {written_by!r}: expected {BUNDLE_FORMAT!r}; export it again.")
    optional = [name for name in OPTIONAL if name in document]
    fields = read_object(document, f"bundle {str(path)!r}", ["format", *CONTENTS, *optional, "files", "checksum"])
    checksum = fields.pop("checksum")
    # Byte for byte, so that a change which JSON itself does not see is seen too.
    if content != json_text(document) or checksum != checksum_of(fields):
        raise UserError(f"{str(path)!r} is damaged or was edited: its checksum does not fit.")
    files = fields["files"]
    there = [name for name in (WEIGHTS, ONNX) if isinstance(files, dict) and name in files]
    read_object(files, f"bundle {str(path)!r} files", [CARD, *there])
    return fields


def read_bytes(path: Path) -> bytes:
    """What a file of a bundle holds. Raises UserError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        inner = path.parent / "bundle"
        hint = f" Did you mean {str(inner)!r}, the bundle of the training there?" if (inner / DOCUMENT).exists() else ""
        # While a training is made longer, what it had come to stands aside.
        for beside in (path.parent.parent, path.parent):
            if not hint and (before := sorted(beside.glob("after-*-epochs/bundle/" + DOCUMENT))):
                hint = f" Did you mean {str(before[-1].parent)!r}, from before the training was made longer?"
        raise UserError(f"{str(path.parent)!r} is no bundle: {path.name}: {error.strerror}.{hint}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def checksum_of(document: dict[str, Any]) -> str:
    """The checksum that bundle.json carries beside `document`."""
    return hashlib.sha256(canonical_json(document, allow_nan=False)).hexdigest()
