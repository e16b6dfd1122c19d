"""A found network as data: a directory of files that anyone can read and that execute nothing.

bundle.json          the architecture, how to train it, what it was found on, where it comes from, checksums
weights.safetensors  its weights
README.md            its model card, for people
model.onnx           the network for other runtimes, where it was asked for
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from search_spaces.canonical_json import canonical_json
from search_spaces.errors import UserError
from search_spaces.json_fields import read_object
from trainers.bundle.contents import CONTENTS, OPTIONAL, Bundle
from trainers.bundle.model_card import model_card
from trainers.files import json_text, sync_directory, write_durably
from trainers.model import seeded_model

BUNDLE_FORMAT = "bundle/2"
DOCUMENT, WEIGHTS, CARD, ONNX = "bundle.json", "weights.safetensors", "README.md", "model.onnx"


def write_bundle(directory: Path, bundle: Bundle, state_dict: Mapping[str, Tensor], onnx: bytes | None = None) -> None:
    """Writes the bundle as the new directory `directory`, which appears whole or not at all.

    `onnx` is the network as an ONNX file, if there is to be one. Raises UserError where `directory` exists already,
    OSError where it cannot be written.
    """
    if directory.exists():
        raise UserError(f"{str(directory)!r} exists already: name another directory for the bundle, or remove it.")
    weights = {name: value.detach().cpu().contiguous() for name, value in state_dict.items()}
    files = {WEIGHTS: safetensors.torch.save(weights), CARD: model_card(bundle).encode()}
    if onnx is not None:
        files[ONNX] = onnx
    document = {
        "format": BUNDLE_FORMAT,
        **bundle.to_json(),
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        for name, content in files.items():
            write_durably(partial / name, content)
        write_durably(partial / DOCUMENT, json_text(document | {"checksum": _checksum(document)}))
        sync_directory(partial)
        # mkdtemp makes a directory for its owner alone; a bundle is made to be passed on.
        partial.chmod(0o755)
        os.rename(partial, directory)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_directory(directory.parent)


def read_bundle(directory: Path) -> Bundle:
    """What bundle.json says. Raises UserError in one line where it is missing, damaged or of another format."""
    document = _read_document(directory)
    return Bundle.from_json({name: document[name] for name in (*CONTENTS, *OPTIONAL) if name in document})


def read_weights(directory: Path) -> dict[str, Tensor]:
    """The weights by name, on the CPU. Raises UserError in one line where they are missing or damaged."""
    expected = _read_document(directory)["files"][WEIGHTS]
    content = _read_bytes(directory / WEIGHTS)
    if hashlib.sha256(content).hexdigest() != expected:
        raise UserError(f"{str(directory / WEIGHTS)!r} is damaged: its checksum is not the one in {DOCUMENT}.")
    try:
        return safetensors.torch.load(content)
    except SafetensorError as error:
        raise UserError(f"{str(directory / WEIGHTS)!r} holds no weights: {error}.") from error


def read_model(directory: Path) -> nn.Module:
    """The network on the CPU, in evaluation mode. Raises UserError in one line where the bundle is damaged."""
    return model_of(read_bundle(directory), read_weights(directory))


def model_of(bundle: Bundle, state_dict: Mapping[str, Tensor]) -> nn.Module:
    """The network of a bundle with these weights, on the CPU, in evaluation mode. Raises UserError where none fits."""
    model = seeded_model(bundle.architecture, bundle.data_summary, 0)
    try:
        model.load_state_dict(state_dict)
    except RuntimeError:
        raise UserError("the weights do not fit the architecture of the bundle.") from None
    return model.eval()


def _read_document(directory: Path) -> dict[str, Any]:
    path = directory / DOCUMENT
    content = _read_bytes(path)
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
    if content != json_text(document) or checksum != _checksum(fields):
        raise UserError(f"{str(path)!r} is damaged or was edited: its checksum does not fit.")
    files = fields["files"]
    has_onnx = isinstance(files, dict) and ONNX in files
    read_object(files, f"bundle {str(path)!r} files", [WEIGHTS, CARD, *([ONNX] if has_onnx else [])])
    return fields


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{str(path.parent)!r} is no bundle: {path.name}: {error.strerror}.") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _checksum(document: dict[str, Any]) -> str:
    return hashlib.sha256(canonical_json(document, allow_nan=False)).hexdigest()
