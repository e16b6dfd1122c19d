"""Making a training longer on purpose, from where it stands: what it has come to so far is put aside, and kept.

OUT/after-N-epochs/  the result, what was trained and all that is to be seen of the N epochs that it was to have before
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError
from search_spaces.paths import check_can_be_directory
from trainers.checkpoint import newest_epoch, newest_sound_checkpoint
from trainers.folders import Directory
from trainers.full.train_settings import LENGTHENED
from trainers.history import HISTORY


@dataclass(frozen=True, slots=True)
class Lengthening:
    """A training of `from_epochs` was made longer when `after_epoch` of them, and `step` steps of the next one, were
    done.
    """

    from_epochs: int
    after_epoch: int
    step: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def lengthenings(saved: Mapping[str, Any] | None) -> tuple[Lengthening, ...]:
    """Where the training whose settings were saved was made longer so far."""
    return tuple(Lengthening(**each) for each in (saved or {}).get(LENGTHENED, ()))


def epochs_to_lengthen(saved: Mapping[str, Any] | None, epochs: int, out: Path) -> int | None:
    """From how many epochs the training whose settings were saved is to be made longer, None where it is already.

    Raises UserError where there is none, it has more epochs, nothing is left to go on from, or `out` cannot be written.
    """
    if saved is None:
        raise UserError(f"--longer goes on with a training, and there is none in {str(out)!r}: name it with --out.")
    before = saved["recipe"]["epochs"]
    if before > epochs:
        raise UserError(f"--longer: the training in {str(out)!r} has {before} epochs: expected recipe.epochs=N above.")
    if before == epochs:
        return None
    if newest_epoch(Directory(out / "checkpoints")) is None:
        raise UserError(
            f"--longer: no checkpoint is left in {str(out)!r} to go on from: one of {epochs} epochs begins anew, "
            "in another --out."
        )
    check_can_be_directory(out, f"--out {str(out)!r}")
    return int(before)


def with_lengthenings(values: Mapping[str, Any], lengthened: Sequence[Lengthening]) -> dict[str, Any]:
    """Settings, or a result, with where the training was made longer, if it was."""
    return {**values, **({LENGTHENED: [each.to_json() for each in lengthened]} if lengthened else {})}


def put_aside(out: Path, from_epochs: int, outcome: Sequence[str]) -> tuple[Lengthening, ...]:
    """Puts aside what a training of so many epochs has come to, and says where it stands; nowhere if at its beginning.

    `outcome` are the names of that in `out`. What says that it has ended comes first: a training that is interrupted
    right after that ends once more. Interrupted anywhere it may be called again. Raises OSError.
    """
    aside = out / f"after-{from_epochs}-epochs"
    there = [name for name in outcome if (out / name).exists()]
    if there:
        aside.mkdir(exist_ok=True)
        if (out / HISTORY).exists():
            shutil.copy2(out / HISTORY, aside / HISTORY)
    for name in there:
        if (aside / name).is_dir():
            # An attempt before was interrupted, and what it had put aside has come about once more.
            shutil.rmtree(aside / name)
        os.rename(out / name, aside / name)
    found = newest_sound_checkpoint(Directory(out / "checkpoints"))
    if found is None:
        return ()
    state = found[1]["training"]
    return (Lengthening(from_epochs, state["epoch"], state.get("step", 0)),)
