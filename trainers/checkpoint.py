"""Checkpoints of a training: written atomically, checksummed, and read without executing anything.

A file is one line, `checkpoint/1` and the SHA-256 of what follows it, and then what `torch.save` wrote.
Torch is imported only where one is written or read: that there is none is known at once.
"""

import hashlib
import io
import logging
import re
from pathlib import Path
from typing import Any

from trainers.files import write_atomically
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


def save_checkpoint(directory: Path, epoch: int, state: dict[str, Any], keep: int = KEPT, step: int = 0) -> Path:
    """Writes the state after `epoch`, and `step` steps of the next one, into `directory`, and returns the file.

    The newest `keep` checkpoints are kept. `state` holds tensors and plain values only. Raises OSError where it cannot
    be written; the older ones then stay.
    """
    import torch

    assert keep >= 1
    directory.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(state, buffer)
    payload = buffer.getvalue()
    header = MAGIC + b" " + hashlib.sha256(payload).hexdigest().encode() + b"\n"
    path = directory / f"epoch-{epoch:06d}{f'-step-{step:09d}' if step else ''}.checkpoint"
    write_atomically(path, header + payload)
    for _, old in _checkpoints(directory)[keep:]:
        old.unlink()
    return path


def newest_sound_checkpoint(directory: Path) -> tuple[int, dict[str, Any]] | None:
    """(epoch, state) of the newest checkpoint that is whole, or None where there is none.

    One that is damaged is renamed to *.corrupt with a warning, and the one before it is taken.
    """
    for epoch, path in _checkpoints(directory):
        state = _read(path)
        if state is not None:
            return epoch, state
        corrupt = path.with_name(path.name + ".corrupt")
        path.rename(corrupt)
        logger.warning("checkpoint %s is damaged: renamed to %s, going back to the one before", path, corrupt.name)
    return None


def newest_epoch(directory: Path) -> int | None:
    """The epoch of the newest checkpoint, whole or not. None where there is none."""
    return next((epoch for epoch, _ in _checkpoints(directory)), None)


def _checkpoints(directory: Path) -> list[tuple[int, Path]]:
    """(epoch, file) of every checkpoint, the newest first."""
    if not directory.is_dir():
        return []
    matches = ((_NAME.fullmatch(path.name), path) for path in directory.iterdir())
    found = sorted(((int(match[1]), int(match[2] or 0), path) for match, path in matches if match), reverse=True)
    return [(epoch, path) for epoch, _, path in found]


def _read(path: Path) -> dict[str, Any] | None:
    content = path.read_bytes()
    header, payload = content[:_HEADER_BYTES], content[_HEADER_BYTES:]
    if header != MAGIC + b" " + hashlib.sha256(payload).hexdigest().encode() + b"\n":
        return None
    import torch

    state: dict[str, Any] = torch.load(io.BytesIO(payload), map_location="cpu", weights_only=True)
    return state
