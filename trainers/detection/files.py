"""A trained detector as data: a directory of files that anyone can read and that execute nothing.

detector.json        its design, the recipe and the scores that it was trained by and to, where its network comes from,
                     and the weights' checksum
weights.safetensors  its weights
README.md            its card
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import nn

from search_spaces.errors import UserError
from trainers.detection.card import detector_card
from trainers.detection.design import DetectorDesign
from trainers.detection.detector import seeded_detector
from trainers.detection.document import DETECTOR_FORMAT, DOCUMENT, WEIGHTS, read_document
from trainers.files import json_text, sync_directory, write_durably

CARD = "README.md"


def write_detector(directory: Path, design: DetectorDesign, detector: nn.Module, facts: dict[str, Any]) -> None:
    """Writes the new directory `directory`, which appears whole or not at all. Raises OSError.

    `facts` are what it was trained by and to, `recipe` and `result`, and the `provenance` of its network, if any.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in detector.state_dict().items()}
    weights = safetensors.torch.save(state)
    document = {
        "format": DETECTOR_FORMAT,
        "detector": design.to_json(),
        **facts,
        "files": {WEIGHTS: hashlib.sha256(weights).hexdigest()},
    }
    partial = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        write_durably(partial / WEIGHTS, weights)
        write_durably(partial / DOCUMENT, json_text(document))
        write_durably(partial / CARD, detector_card(design, facts["result"]).encode())
        sync_directory(partial)
        partial.chmod(0o755)
        os.rename(partial, directory)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    sync_directory(directory.parent)


def read_detector(directory: Path) -> tuple[DetectorDesign, nn.Module]:
    """The design and the detector on the CPU, in evaluation mode. Raises UserError where it is missing or damaged."""
    document = read_document(directory)
    try:
        content = (directory / WEIGHTS).read_bytes()
    except OSError as error:
        raise UserError(f"{str(directory)!r} is no detector: {WEIGHTS}: {error.strerror}.") from None
    if hashlib.sha256(content).hexdigest() != document["files"][WEIGHTS]:
        raise UserError(f"{str(directory / WEIGHTS)!r} is damaged: its checksum is not the one in {DOCUMENT}.")
    design = DetectorDesign.from_json(document.get("detector"))
    detector = seeded_detector(design, 0)
    try:
        detector.load_state_dict(safetensors.torch.load(content))
    except (RuntimeError, SafetensorError):
        raise UserError(f"the weights of {str(directory)!r} do not fit its design.") from None
    return design, detector.eval()
