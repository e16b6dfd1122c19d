"""What an output directory says of the training that was begun there: only the same one, or it made longer, goes on."""

import json
import re
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError
from trainers.full.train_settings import difference

SETTINGS = "settings.json"
# The index of the images, in the output directory.
INDEX = "data.index"
_BEFORE_SETTINGS = re.compile(rf"lock|\.{re.escape(SETTINGS)}\.partial|{re.escape(INDEX)}|\.{re.escape(INDEX)}\..*")


def begun_settings(out: Path, formats: tuple[str, ...], what: str) -> dict[str, Any] | None:
    """The settings, of one of these formats, of the training that is to go on here, None where there is none yet.

    Raises UserError where there is something else, or they are lost; `what` is in words what was expected.
    """
    # An interruption may have come before the settings were written.
    if not out.exists() or (out.is_dir() and all(_BEFORE_SETTINGS.fullmatch(path.name) for path in out.iterdir())):
        return None
    try:
        saved = json.loads((out / SETTINGS).read_bytes())
    except (OSError, ValueError):
        saved = None
    if not isinstance(saved, dict) and (out / "checkpoints").is_dir():
        raise UserError(
            f"{str(out / SETTINGS)!r}, which says what is trained there, is missing or damaged: bring it back, or name "
            "another directory with --out."
        )
    if not isinstance(saved, dict) or saved.get("format") not in formats or not _has_sections(saved):
        raise UserError(f"{str(out)!r} exists and holds no {what}: name another directory with --out.")
    return saved


def check_as_read(out: Path, before: dict[str, Any] | None, now: dict[str, Any] | None, wanted: dict[str, Any]) -> None:
    """Raises UserError where another process has begun a training here, or made it longer, since this one looked.

    The settings were `before` then and are `now`; those of a training as it is `wanted` are as good.
    """
    if now not in (before, json.loads(json.dumps(wanted))):
        raise UserError(
            f"another process was training in {str(out)!r} until now: the same command says what differs, or goes on."
        )


def _has_sections(saved: dict[str, Any]) -> bool:
    recipe = saved.get("recipe")
    return isinstance(recipe, dict) and isinstance(recipe.get("epochs"), int) and isinstance(saved.get("data"), dict)


def check_same_training(out: Path, saved: dict[str, Any], wanted: dict[str, Any], longer_than: int | None) -> None:
    """Raises UserError where the training that was begun is another than the wanted one, and says in what.

    That which is to be made longer, of `longer_than` epochs so far, has fewer epochs.
    """
    as_long = saved | {"recipe": saved["recipe"] | {"epochs": wanted["recipe"]["epochs"]}}
    if found := difference(as_long, wanted):
        raise UserError(f"{str(out)!r} holds another training ({found}): name another directory with --out.")
    if longer_than is None and (found := difference(saved, wanted)):
        is_longer = wanted["recipe"]["epochs"] > saved["recipe"]["epochs"]
        raise UserError(
            f"{str(out)!r} holds another training ({found}): the learning rate follows the number of epochs from the "
            f"first step on, so that a {'longer' if is_longer else 'shorter'} training begins anew: name another "
            f"directory with --out{', or go on with this one, as it is, by --longer' if is_longer else ''}."
        )
