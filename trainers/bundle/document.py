"""bundle.json: what a bundle says of itself, checked to the bit. Imports no torch: a mistake is said at once."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from search_spaces.architecture_files import BUNDLE_FILE
from search_spaces.canonical_json import checksum_of
from search_spaces.errors import UserError
from search_spaces.json_fields import read_object
from search_spaces.pasted_commands import python_command
from search_spaces.paths import check_can_be_directory, did_you_mean
from search_spaces.run_files import export_instead
from trainers.bundle.contents import CONTENTS, OPTIONAL, Bundle
from trainers.files import json_text

BUNDLE_FORMAT = "bundle/2"
DOCUMENT, WEIGHTS, CARD, ONNX = BUNDLE_FILE, "weights.safetensors", "README.md", "model.onnx"


def read_bundle(directory: Path) -> Bundle:
    """What bundle.json says. Raises UserError in one line where it is missing, damaged or of another format."""
    document = read_document(directory)
    try:
        return Bundle.from_json({name: document[name] for name in (*CONTENTS, *OPTIONAL) if name in document})
    except UserError as error:
        # Whole as it is, it was not damaged since.
        raise UserError(f"{str(directory / DOCUMENT)!r} is of another version of this project: {error}") from None


def check_free(directory: Path) -> None:
    """Raises UserError where a bundle cannot become the new directory `directory`."""
    if directory.exists():
        raise UserError(f"{str(directory)!r} exists already: name another directory with --out, or remove it.")
    check_can_be_directory(directory, f"--out {str(directory)!r}")


def has_weights(directory: Path) -> bool:
    """Whether a bundle was written with weights. Raises UserError as `read_bundle`."""
    return WEIGHTS in read_document(directory)["files"]


def weights_digest(directory: Path) -> str:
    """The SHA-256 that the weights of a bundle have. Raises UserError where it was written without any."""
    digest = read_document(directory)["files"].get(WEIGHTS)
    if digest is None:
        said = f"{str(directory)!r} holds no weights, as none were kept or it was never trained"
        trained = directory.with_name(f"{directory.name}-trained") / "bundle"
        if is_bundle(trained):
            raise UserError(f"{said}. Did you mean {str(trained)!r}, the bundle of its training?")
        raise UserError(f"{said}: {python_command('trainers/train.py', str(directory))} trains its network.")
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
        is_newer = isinstance(written_by, str) and re.fullmatch(r"bundle/([3-9]|[1-9]\d+)", written_by)
        remedy = "a newer version of this project reads it" if is_newer else "export it again"
        raise UserError(f"{str(path)!r} has format {written_by!r}: expected {BUNDLE_FORMAT!r}; {remedy}.")
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
        hint, said = "", f"{path.name}: {error.strerror}."
        if path.name == DOCUMENT:
            hint = export_instead(path.parent) or _meant(path.parent)
        if path.parent.is_file():
            said = "it is a file, expected the directory that an export or a training wrote."
        raise UserError(f"{str(path.parent)!r} is no bundle: {said}{hint}") from error


def _meant(directory: Path) -> str:
    """Which bundle may be meant where this is none."""
    beside = directory.parent
    if "=" in directory.name and not directory.exists():
        return " The bundle comes before SETTING=VALUE."
    if is_bundle(directory / "bundle"):
        return f" Did you mean {str(directory / 'bundle')!r}, the bundle of the training there?"
    if is_bundle(beside):
        return f" Did you mean {str(beside)!r}, in which it lies?"
    if is_bundle(beside / "bundle"):
        return f" Did you mean {str(beside / 'bundle')!r}, the bundle of the training there?"
    # While a training is made longer, what it had come to stands aside.
    for place in (beside, directory):
        if before := sorted(place.glob(f"after-*-epochs/bundle/{DOCUMENT}")):
            return f" Did you mean {str(before[-1].parent)!r}, from before the training was made longer?"
    if inside := _bundles_in(directory):
        return f" Did you mean one of those in it, as {str(inside[0])!r}?"
    return did_you_mean(directory, is_bundle)


def is_bundle(directory: Path) -> bool:
    """Whether a directory looks like a bundle; what cannot be the path of one does not."""
    return os.path.isfile(directory / DOCUMENT)


def _bundles_in(directory: Path) -> list[Path]:
    return sorted(path.parent for path in directory.glob(f"*/{DOCUMENT}"))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
