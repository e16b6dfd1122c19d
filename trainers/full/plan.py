"""A full training before it starts: what is to be trained, where, and that it can be."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from search_spaces.cost import Cost
from search_spaces.errors import UserError
from trainers.bundle.contents import Bundle
from trainers.data.config import DataSummary
from trainers.data.datasets import examine_data
from trainers.data.findings import DataFindings
from trainers.full.train_settings import TrainSettings, difference
from trainers.recipe import Recipe

if TYPE_CHECKING:
    from trainers.distributed import Processes


@dataclass(frozen=True, slots=True)
class Plan:
    """A full training that has been checked and can start."""

    bundle: Bundle
    settings: TrainSettings
    summary: DataSummary
    findings: DataFindings | None
    cost: Cost
    out: Path
    processes: "Processes"

    @property
    def result_file(self) -> Path:
        return self.out / "result.json"


def prepare(bundle: Bundle, settings: TrainSettings, out: Path, device: str) -> Plan:
    """Checks all that can be checked before anything is written, and joins the processes that torchrun started.

    `device` is "auto" or a torch device. Raises UserError.
    """
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if alone:
        # Torch takes seconds to import: a mistake is said before.
        _check_out(out, settings)
        summary, findings = examine_data(settings.data)
        check_batch(settings.recipe, summary, 1)
    from trainers.distributed import join_processes

    processes = join_processes(device)
    if not alone:
        processes.from_first(lambda: _check_out(out, settings))
        # The first process alone at first: it may have to download.
        processes.from_first(lambda: examine_data(settings.data))
        summary, findings = processes.in_all(lambda: examine_data(settings.data))
        check_batch(settings.recipe, summary, processes.world_size)
    return Plan(bundle, settings, summary, findings, summary.cost(settings.architecture), out, processes)


def _check_out(out: Path, settings: TrainSettings) -> None:
    # An interruption may have come before the settings were written.
    if not out.exists() or (out.is_dir() and {path.name for path in out.iterdir()} <= {".settings.json.partial"}):
        return
    try:
        saved = json.loads((out / "settings.json").read_bytes())
    except (OSError, ValueError):
        raise UserError(f"{str(out)!r} exists and holds no full training: name another directory with --out.") from None
    found = difference(saved, settings.to_json())
    if found:
        raise UserError(f"{str(out)!r} holds another training ({found}): name another directory with --out.")


def check_batch(recipe: Recipe, summary: DataSummary, world_size: int) -> None:
    """Raises UserError where `world_size` processes cannot have equal shares of a batch, of two images at least."""
    if recipe.batch_size % world_size or min(recipe.batch_size, summary.train_images) // world_size < 2:
        raise UserError(
            f"recipe.batch_size is {recipe.batch_size}: {world_size} processes need a multiple of {world_size} "
            f"with at least two of the {summary.train_images} images each."
        )
