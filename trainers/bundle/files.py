"""A found network as data: a directory of files that anyone can read and that execute nothing.

bundle.json          the architecture, how to train it, what it was found on, where it comes from, checksums
weights.safetensors  its weights, where they were kept
README.md            its model card, for people
model.onnx           the network for other runtimes, where it was asked for
"""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor, nn

from search_spaces.canonical_json import checksum_of
from search_spaces.errors import UserError
from trainers.bundle.contents import Bundle
from trainers.bundle.document import (
    BUNDLE_FORMAT,
    CARD,
    DOCUMENT,
    ONNX,
    WEIGHTS,
    check_free,
    read_bundle,
    read_document,
    sound_weights,
)
from trainers.bundle.model_card import model_card
from trainers.files import json_text, sync_directory, write_atomically, write_durably
from trainers.model import seeded_model


def write_bundle(
    directory: Path, bundle: Bundle, state_dict: Mapping[str, Tensor] | None, onnx: bytes | None = None
) -> None:
    """Writes the bundle as the new directory `directory`, which appears whole or not at all.

    `state_dict` is None where the weights were not kept, `onnx` is the network as an ONNX file, if there is to be one.
    Raises UserError where `directory` exists already, OSError where it cannot be written.
    """
    check_free(directory)
    files = {CARD: model_card(bundle, has_weights=state_dict is not None).encode()}
    if state_dict is not None:
        weights = {name: value.detach().cpu().contiguous() for name, value in state_dict.items()}
        files[WEIGHTS] = safetensors.torch.save(weights)
    if onnx is not None:
        files[ONNX] = onnx
    document = _document(bundle, {name: hashlib.sha256(content).hexdigest() for name, content in files.items()})
    directory.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        for name, content in files.items():
            write_durably(partial / name, content)
        write_durably(partial / DOCUMENT, document)
        sync_directory(partial)
        # mkdtemp makes a directory for its owner alone; a bundle is made to be passed on.
        partial.chmod(0o755)
        os.rename(partial, directory)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_directory(directory.parent)


def rewrite_bundle(directory: Path, bundle: Bundle, onnx: bytes | None = None) -> None:
    """Has a bundle that is there say what `bundle` says, of the same weights, and adds an ONNX file where one is given.

    Each file is replaced whole, bundle.json last: whatever comes between, the bundle stays one that can be read, and
    the same again mends it. Raises UserError where it is damaged, OSError where it cannot be written.
    """
    digests = dict(read_document(directory)["files"])
    files = {CARD: model_card(bundle, has_weights=WEIGHTS in digests).encode()}
    if onnx is not None:
        files[ONNX] = onnx
    for name, content in files.items():
        write_atomically(directory / name, content)
        digests[name] = hashlib.sha256(content).hexdigest()
    write_atomically(directory / DOCUMENT, _document(bundle, digests))


def _document(bundle: Bundle, digests: Mapping[str, str]) -> bytes:
    document = {"format": BUNDLE_FORMAT, **bundle.to_json(), "files": dict(digests)}
    return json_text(document | {"checksum": checksum_of(document)})


def read_weights(directory: Path) -> dict[str, Tensor]:
    """The weights by name, on the CPU. Raises UserError in one line where there are none, or they are damaged."""
    _, content = sound_weights(directory)
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
