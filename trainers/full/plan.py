"""A full training before it starts: what is to be trained, where, and that it can be."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.cost import Cost
from search_spaces.errors import UserError
from search_spaces.machine import Needs
from trainers.bundle.contents import Bundle
from trainers.data.config import DataSummary, KnownFiles
from trainers.data.data_changes import data_changes
from trainers.data.datasets import ExaminedData, examine_data
from trainers.data.file_index import keep_index
from trainers.data.findings import DataFindings
from trainers.data.fingerprint import DataFingerprint, summary_differences
from trainers.full.initial_weights import InitialWeights, initial_weights
from trainers.full.train_settings import FINGERPRINT, TrainSettings, difference
from trainers.recipe import Recipe

if TYPE_CHECKING:
    from trainers.distributed import Processes

# What a process with eight loader processes was seen to take, and twice as much again.
TRAINING_NEEDS = Needs(open_files=256, threads=64)
# The index of the images, in the output directory.
INDEX = "data.index"
# The images that it could not get past, by their paths below data.root. They may be mended before it goes on.
UNREADABLE_IMAGES = "unreadable_images.json"
_BEFORE_SETTINGS = re.compile(rf"lock|\.settings\.json\.partial|{re.escape(INDEX)}|\.{re.escape(INDEX)}\..*")


@dataclass(frozen=True, slots=True)
class Plan:
    """A full training that has been checked and can start. `data_notes` is what is to be said of its images.

    `initial` are the weights that it starts from, None where it starts from scratch.
    """

    bundle: Bundle
    settings: TrainSettings
    summary: DataSummary
    fingerprint: DataFingerprint
    findings: DataFindings | None
    data_notes: tuple[str, ...]
    cost: Cost
    out: Path
    processes: "Processes"
    initial: InitialWeights | None = None

    @property
    def result_file(self) -> Path:
        return self.out / "result.json"

    @property
    def known_files(self) -> KnownFiles:
        return KnownFiles(str(self.out / INDEX), self.fingerprint.digest)


@dataclass(frozen=True, slots=True)
class _Looked:
    """What the first process found of the data, and what it has to say of them."""

    summary: DataSummary
    fingerprint: DataFingerprint
    findings: DataFindings | None
    notes: tuple[str, ...]
    initial: InitialWeights | None


def prepare(bundle: Bundle, settings: TrainSettings, out: Path, device: str, weights_of: Path | None = None) -> Plan:
    """Checks all that can be checked before anything but the index of the images is written, and joins the processes
    that torchrun started.

    `device` is "auto" or a torch device, `weights_of` the bundle's directory where its weights are started from. Raises
    UserError.
    """
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    if alone:
        # Torch takes seconds to import: a mistake is said before.
        looked = _look(bundle, settings, out, _check_out(out, settings), 1, weights_of)
    from trainers.distributed import join_processes

    processes = join_processes(device)
    if not alone:
        saved = processes.from_first(lambda: _check_out(out, settings))
        looked = processes.from_first(lambda: _look(bundle, settings, out, saved, processes.world_size, weights_of))
        # Each process reads the images by itself, perhaps on another machine.
        processes.in_all(lambda: _check_same(settings, out, looked))
    summary, cost = looked.summary, looked.summary.cost(settings.architecture)
    return Plan(
        bundle, settings, summary, looked.fingerprint, looked.findings, looked.notes, cost, out, processes,
        looked.initial,
    )  # fmt: skip


def _look(
    bundle: Bundle,
    settings: TrainSettings,
    out: Path,
    saved: dict[str, Any] | None,
    world_size: int,
    weights_of: Path | None,
) -> _Looked:
    data = examine_data(settings.data, out / INDEX)
    check_batch(settings.recipe, data.summary, world_size)
    initial = None
    if weights_of is not None:
        initial = initial_weights(weights_of, bundle, data.summary, data.fingerprint.classes)
    notes = []
    if saved is not None and FINGERPRINT not in saved:
        notes.append("begun by code that kept no fingerprint of its images: not compared with those")
    elif saved is not None:
        _check_same_images(out, DataFingerprint.from_json(saved[FINGERPRINT]), data)
    if settings.data.name == bundle.data.name:
        if bundle.data_fingerprint is None:
            notes.append("the bundle has no fingerprint of its images: not compared with those")
        elif differing := data_changes(bundle.data_fingerprint, None, data):
            notes.append(f"not the images of the bundle: {'; '.join(differing)}")
    if data.index is not None:
        keep_index(out / INDEX, data.index)
    return _Looked(data.summary, data.fingerprint, data.findings, tuple(notes), initial)


def _check_same_images(out: Path, before: DataFingerprint, data: ExaminedData) -> None:
    unreadable = out / UNREADABLE_IMAGES
    found = data_changes(before, out / INDEX, data, json.loads(unreadable.read_bytes()) if unreadable.exists() else ())
    if found:
        raise UserError(
            f"{str(out)!r} was begun on other images: {'; '.join(found)}. "
            "Bring them back, or name another directory with --out."
        )


def _check_same(settings: TrainSettings, out: Path, looked: _Looked) -> None:
    found = examine_data(settings.data, out / INDEX)
    if found.fingerprint != looked.fingerprint:
        differing = "; ".join(summary_differences(looked.fingerprint, found.fingerprint))
        raise UserError(f"the processes do not see the same images: {differing}.")


def _check_out(out: Path, settings: TrainSettings) -> dict[str, Any] | None:
    """The settings of the training that is to go on here, None where there is none yet."""
    # An interruption may have come before the settings were written.
    if not out.exists() or (out.is_dir() and all(_BEFORE_SETTINGS.fullmatch(path.name) for path in out.iterdir())):
        return None
    try:
        saved: dict[str, Any] = json.loads((out / "settings.json").read_bytes())
    except (OSError, ValueError):
        raise UserError(f"{str(out)!r} exists and holds no full training: name another directory with --out.") from None
    found = difference(saved, settings.to_json())
    if found:
        raise UserError(f"{str(out)!r} holds another training ({found}): name another directory with --out.")
    return saved


def check_batch(recipe: Recipe, summary: DataSummary, world_size: int) -> None:
    """Raises UserError where `world_size` processes cannot have equal shares of a batch, of two images at least."""
    if recipe.batch_size % world_size or min(recipe.batch_size, summary.train_images) // world_size < 2:
        raise UserError(
            f"recipe.batch_size is {recipe.batch_size}: {world_size} processes need a multiple of {world_size} "
            f"with at least two of the {summary.train_images} images each."
        )
