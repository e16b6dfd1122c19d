"""A full training before it starts: what is to be trained, where, and that it can be."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search_spaces.cost import Cost
from search_spaces.errors import UserError
from search_spaces.paths import check_can_be_directory
from trainers.batch_layout import BatchLayout, layout_of
from trainers.bundle.contents import Bundle
from trainers.data.config import DataConfig, DataSummary, KnownFiles
from trainers.data.data_changes import data_changes, undoing
from trainers.data.datasets import ExaminedData, examine_data
from trainers.data.file_index import FileIndex, keep_index
from trainers.data.findings import DataFindings
from trainers.data.fingerprint import DataFingerprint, summary_differences
from trainers.full.begun_training import INDEX, begun_settings, check_same_training
from trainers.full.disk_room import allow_checkpoints, check_room
from trainers.full.initial_weights import InitialWeights, initial_weights
from trainers.full.lengthening import Lengthening, epochs_to_lengthen, lengthenings
from trainers.full.train_settings import (
    EARLIER_FORMAT,
    FINGERPRINT,
    SETTINGS_FORMAT,
    TrainSettings,
    as_begun,
)

if TYPE_CHECKING:
    from trainers.distributed import Processes

RESULT = "result.json"
# The images that it could not get past, by their paths below data.root. They may be mended before it goes on.
UNREADABLE_IMAGES = "unreadable_images.json"


@dataclass(frozen=True, slots=True)
class Plan:
    """A full training that has been checked and can start. `data_notes` is what is to be said of its images.

    `initial` are the weights that it starts from, None where it starts from scratch. `lengthened` is where it was made
    longer before, and `longer_than` how many epochs it has that is to be made longer now, if any. `begun` are the
    settings that were kept when it was begun, None of one that is to begin.
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
    layout: BatchLayout
    initial: InitialWeights | None = None
    lengthened: tuple[Lengthening, ...] = ()
    longer_than: int | None = None
    begun: dict[str, Any] | None = None

    @property
    def result_file(self) -> Path:
        return self.out / RESULT

    @property
    def known_files(self) -> KnownFiles:
        return KnownFiles(str(self.out / INDEX), self.fingerprint.digest)


@dataclass(frozen=True, slots=True)
class _Looked:
    """The settings as the training was begun, and what the first process found of the data and has to say of them."""

    settings: TrainSettings
    summary: DataSummary
    fingerprint: DataFingerprint
    findings: DataFindings | None
    notes: tuple[str, ...]
    initial: InitialWeights | None
    lengthened: tuple[Lengthening, ...]
    longer_than: int | None
    begun: dict[str, Any] | None


def prepare(
    bundle: Bundle,
    settings: TrainSettings,
    out: Path,
    device: str,
    weights_of: Path | None = None,
    *,
    longer: bool = False,
) -> Plan:
    """Checks all that can be checked before anything but the index of the images is written, and joins the processes
    that torchrun started. Where it is left to a GPU how much of a batch it takes at a time, that is measured.

    `device` is "auto" or a torch device, `weights_of` the bundle's directory where its weights are started from. With
    `longer` the training in `out` goes on to more epochs than it was to have. Raises UserError.
    """
    alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
    # Torch takes seconds to import: a mistake is said before.
    seen = _look(bundle, settings, out, 1, weights_of, longer=longer) if alone else None
    from trainers.distributed import join_processes

    processes = join_processes(device)

    def look_and_keep() -> _Looked:
        looked, index = seen or _look(bundle, settings, out, processes.world_size, weights_of, longer=longer)
        if index is not None:
            # Only now is the device known to be there. Where it is not, nothing is to be left behind.
            keep_index(out / INDEX, index)
        return looked

    looked = processes.from_first(look_and_keep)
    if not alone:
        # Each process reads the images by itself, perhaps on another machine.
        processes.in_all(lambda: _check_same(settings, out, looked))
    settings, summary, micro_images = looked.settings, looked.summary, looked.settings.conduct.micro_images
    if processes.device.type == "cpu":
        # More at a time is hardly faster on a CPU, and a group at a time comes out the same to the bit on any layout.
        micro_images = min(micro_images or settings.norm_batch, settings.norm_batch)
    elif micro_images is None and (looked.longer_than is not None or not (out / RESULT).exists()):
        from trainers.fitting_batch import fitting_micro_batch

        found = fitting_micro_batch(settings.architecture, summary, settings.recipe, settings.norm_batch, processes)
        micro_images = processes.smallest(found)
    layout = _layout(settings, summary, processes.world_size, micro_images)
    return Plan(
        bundle=bundle,
        settings=settings,
        summary=summary,
        fingerprint=looked.fingerprint,
        findings=looked.findings,
        data_notes=looked.notes,
        cost=summary.cost(settings.architecture),
        out=out,
        processes=processes,
        layout=layout,
        initial=looked.initial,
        lengthened=looked.lengthened,
        longer_than=looked.longer_than,
        begun=looked.begun,
    )


def _look(
    bundle: Bundle, wanted: TrainSettings, out: Path, world_size: int, weights_of: Path | None, *, longer: bool
) -> tuple[_Looked, FileIndex | None]:
    """What is found, and the index of the images where they are in files. Writes nothing. Raises UserError."""
    saved = saved_settings(out)
    longer_than = epochs_to_lengthen(saved, wanted.recipe.epochs, out) if longer else None
    has_ended = saved is not None and longer_than is None and (out / RESULT).exists()
    if not has_ended:
        check_can_be_directory(out, f"--out {str(out)!r}")
    settings = wanted if saved is None else as_begun(wanted, saved)
    if saved is not None:
        check_same_training(out, saved, settings.to_json(), longer_than)
    data = examine_data(settings.data, out / INDEX)
    _check_cache(settings.data)
    _layout(settings, data.summary, world_size, settings.conduct.micro_images)
    params = data.summary.cost(settings.architecture).params
    allow_checkpoints(params, settings.recipe)
    if not has_ended:
        check_room(out, params, settings.recipe)
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
    looked = _Looked(
        settings,
        data.summary,
        data.fingerprint,
        data.findings,
        tuple(notes),
        initial,
        lengthenings(saved),
        longer_than,
        saved,
    )
    return looked, data.index


def saved_settings(out: Path) -> dict[str, Any] | None:
    """The settings of the full training that was begun in `out`, None where none was. Raises UserError."""
    return begun_settings(out, (SETTINGS_FORMAT, EARLIER_FORMAT), "full training")


def _layout(settings: TrainSettings, summary: DataSummary, world_size: int, micro_images: int | None) -> BatchLayout:
    batch_size, norm_batch = settings.recipe.batch_size, settings.norm_batch
    return layout_of(batch_size, summary.train_images, world_size, micro_images, norm_batch)


def _check_same_images(out: Path, before: DataFingerprint, data: ExaminedData) -> None:
    unreadable = out / UNREADABLE_IMAGES
    found = data_changes(before, out / INDEX, data, json.loads(unreadable.read_bytes()) if unreadable.exists() else ())
    if found:
        raise UserError(
            f"{str(out)!r} was begun on other images: {'; '.join(found)}. "
            f"{undoing(before, out / INDEX, data).capitalize()}, or name another directory with --out."
        )


def _check_cache(data: DataConfig) -> None:
    if data.cache is not None:
        check_can_be_directory(Path(data.cache), f"data.cache {data.cache!r}")


def _check_same(settings: TrainSettings, out: Path, looked: _Looked) -> None:
    found = examine_data(settings.data, out / INDEX)
    _check_cache(settings.data)
    if found.fingerprint != looked.fingerprint:
        differing = "; ".join(summary_differences(looked.fingerprint, found.fingerprint))
        raise UserError(f"the processes do not see the same images: {differing}.")
