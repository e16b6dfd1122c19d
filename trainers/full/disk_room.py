"""Whether a training's checkpoints and its trained network fit where they go: said when it begins, not days later."""

import logging
import shutil
from pathlib import Path

from search_spaces.errors import UserError
from search_spaces.machine import allow_file_bytes
from search_spaces.units import counted
from trainers.checkpoint import BYTES_PER_WEIGHT, KEPT, checkpoint_bytes
from trainers.recipe import Recipe

# A file has more than the weights in it: their names, and what batch norm has seen.
MARGIN = 1.25

logger = logging.getLogger(__name__)


def allow_checkpoints(params: float, recipe: Recipe) -> None:
    """Has files be as large as a checkpoint of a network of so many parameters. Raises UserError where they may not."""
    allow_file_bytes(round(MARGIN * checkpoint_bytes(params, recipe)))


def check_room(out: Path, params: float, recipe: Recipe) -> None:
    """Warns where the disk of `out` has less room than a training of a network of so many parameters is yet to take.

    Room may become free until it is taken. Raises UserError where not even the next checkpoint fits.
    """
    size = checkpoint_bytes(params, recipe)
    there = len(list((out / "checkpoints").glob("*.checkpoint")))
    # The oldest one goes once a newer one is there.
    yet_to_come = max(1, KEPT + 1 - there)
    existing = next(path for path in (out, *out.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    said = f"{str(out)!r} has {_readable(free)} free"
    if free < size:
        raise UserError(
            f"{said}, and a checkpoint takes {_readable(size)}: make space, or name another directory with --out."
        )
    needed = yet_to_come * size + params * BYTES_PER_WEIGHT
    if free < needed:
        logger.warning(
            "%s, and %s and the trained network take %s", said, counted(yet_to_come, "checkpoint"), _readable(needed)
        )


def _readable(number: float) -> str:
    return f"{number / 1e6:,.2f} MB" if number < 1e9 else f"{number / 1e9:,.2f} GB"
