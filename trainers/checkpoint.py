"""Checkpoints of a training: written atomically, checksummed, and read without executing anything.

A file is one line, `checkpoint/1` and the SHA-256 of what follows it, and then what `torch.save` wrote.
Torch is imported only where one is written or read: that there is none is known at once.
"""

import hashlib
import io
import logging
import re
from collections.abc import Mapping
from typing import Any

from trainers.folders import Folder
from trainers.recipe import Recipe

MAGIC = b"checkpoint/1"
# How many checkpoints of a training are kept: the newest, and one to go back to where it is damaged.
KEPT = 2
BYTES_PER_WEIGHT = 4
_HEADER_BYTES = len(MAGIC) + 1 + 64 + 1
# After an epoch, or after so many steps of the next one.
_NAME = re.compile(r"epoch-(\d{6})(?:-step-(\d{9}))?\.checkpoint")

logger = logging.getLogger(__name__)


def checkpoint_bytes(params: float, recipe: Recipe) -> float:
    """The size of a checkpoint: its weights, their averages where there are any, and the optimizer's state."""
    return params * BYTES_PER_WEIGHT * (1 + (recipe.ema_decay > 0) + (2 if recipe.optimizer == "adamw" else 1))


def save_checkpoint(folder: Folder, epoch: int, state: dict[str, Any], keep: int = KEPT, step: int = 0) -> str:
    """Writes the state after `epoch`, and `step` steps of the next one, into `folder`, and returns the file's name.

    The newest `keep` checkpoints are kept. `state` holds tensors and plain values only. Raises OSError where it cannot
    be written; the older ones then stay.
    """
    import torch

    assert keep >= 1
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    header = MAGIC + b" " + hashlib.sha256(payload).hexdigest().encode() + b"\n"
    name = f"epoch-{epoch:06d}{f'-step-{step:09d}' if step else ''}.checkpoint"
    folder.write(name, header + payload)
    for _, old in _checkpoints(folder)[keep:]:
        folder.delete(old)
    return name


def newest_sound_checkpoint(folder: Folder) -> tuple[int, dict[str, Any]] | None:
    """(epoch, state) of the newest checkpoint that is whole, or None where there is none.

    One that is damaged is renamed to *.corrupt with a warning, and the one before it is taken.
    """
    for epoch, name in _checkpoints(folder):
        state = _read(folder, name)
        if state is not None:
            return epoch, state
        corrupt = f"{name}.corrupt"
        folder.rename(name, corrupt)
        logger.warning(
            "checkpoint %s is damaged: renamed to %s in %s, going back to the one before", name, corrupt, folder
        )
    return None


def evaluated_weights(training: Mapping[str, Any]) -> dict[str, Any]:
    """The weights that were evaluated, of the state of a training: the averaged ones, where they were averaged."""
    weights: dict[str, Any] = training["averaged"] or training["model"]
    return weights


def newest_epoch(folder: Folder) -> int | None:
    """The epoch of the newest checkpoint, whole or not. None where there is none."""
    return next((epoch for epoch, _ in _checkpoints(folder)), None)


def _checkpoints(folder: Folder) -> list[tuple[int, str]]:
    """(epoch, name) of every checkpoint, the newest first."""
    matches = (_NAME.fullmatch(name) for name in folder.names())
    found = sorted(((int(match[1]), int(match[2] or 0), match[0]) for match in matches if match), reverse=True)
    return [(epoch, name) for epoch, _, name in found]


def _read(folder: Folder, name: str) -> dict[str, Any] | None:
    content = folder.read(name)
    header, payload = content[:_HEADER_BYTES], content[_HEADER_BYTES:]
    if header != MAGIC + b" " + hashlib.sha256(payload).hexdigest().encode() + b"\n":
        return None
    import torch

    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return state
