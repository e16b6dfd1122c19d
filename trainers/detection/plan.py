"""A detector's training before it starts: what is to be trained, on what, where, and that it can be."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from search_spaces.errors import UserError
from search_spaces.paths import check_can_be_directory
from trainers.batch_layout import BatchLayout, layout_of
from trainers.detection.coco_data import CocoData, examine_coco
from trainers.detection.coco_images import CocoImages
from trainers.detection.cpu_passes import images_of_cpu_pass
from trainers.detection.design import DetectorDesign
from trainers.detection.detector import seeded_detector
from trainers.detection.settings import SETTINGS_FORMAT, DetectorSettings
from trainers.distributed import Processes, join_processes
from trainers.full.begun_training import begun_settings, check_same_training
from trainers.full.disk_room import allow_checkpoints, check_room
from trainers.full.lengthening import Lengthening, epochs_to_lengthen, lengthenings
from trainers.recipe import Recipe

RESULT = "result.json"
# What the annotations are known by is kept beside the settings.
_DIGEST = "annotations_sha256"


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """A detector's training that has been checked and can start.

    `lengthened` is where it was made longer before, and `longer_than` how many epochs it has that is to be made longer
    now, if any. `begun` are the settings that were kept when it was begun, None of one that is to begin.
    """

    settings: DetectorSettings
    design: DetectorDesign
    data: CocoData
    out: Path
    processes: Processes
    layout: BatchLayout
    lengthened: tuple[Lengthening, ...] = ()
    longer_than: int | None = None
    begun: dict[str, Any] | None = None

    @property
    def result_file(self) -> Path:
        return self.out / RESULT

    def images(self, split: str) -> CocoImages:
        """The images of a split: train or validation."""
        return CocoImages(
            getattr(self.data, split),
            image_size=self.design.image_size,
            mean=self.design.mean,
            std=self.design.std,
            first_label=self.design.first_label,
            workers=self.settings.data.loader_workers,
        )

    def kept_settings(self) -> dict[str, Any]:
        """What is kept of it, so that only the same training goes on."""
        return _kept(self.settings, self.data)


def prepare_detector(settings: DetectorSettings, out: Path, device: str, *, longer: bool = False) -> DetectorPlan:
    """Checks all that can be checked before anything is written, and joins the processes that torchrun started.

    With `longer` the training in `out` goes on to more epochs than it was to have. Raises UserError.
    """
    processes = join_processes(device)
    # Each process reads the images by itself, perhaps on another machine.
    data = processes.in_all(lambda: examine_coco(settings.data))
    backbone = settings.backbone
    design = DetectorDesign(
        architecture=backbone.architecture,
        model=settings.model,
        pyramid=settings.pyramid,
        head=settings.head,
        stem_image_size=backbone.image_size,
        mean=backbone.mean,
        std=backbone.std,
        frozen_norms=backbone.bundle is not None,
        image_size=settings.data.image_size,
        classes=data.classes,
        category_ids=data.category_ids,
    )
    digest = processes.from_first(lambda: data.digest)
    processes.in_all(lambda: _check_digest(data, digest))
    wanted = _kept(settings, data)
    begun, longer_than = processes.from_first(lambda: _looked_at(out, wanted, design, settings.recipe, longer=longer))
    layout = _layout(settings, design, len(data.train), processes)
    return DetectorPlan(settings, design, data, out, processes, layout, lengthenings(begun), longer_than, begun)


def _layout(settings: DetectorSettings, design: DetectorDesign, train_images: int, processes: Processes) -> BatchLayout:
    recipe, micro_images = settings.recipe, settings.conduct.micro_images
    batch_size, world_size = recipe.batch_size, processes.world_size
    norm_batch = recipe.norm_batch or None
    if processes.device.type == "cpu" and design.frozen_norms and micro_images is None:
        micro_images = images_of_cpu_pass(design, batch_size, train_images, world_size)
    if design.frozen_norms:
        # Where no batch norm takes statistics, the images of a pass may as well be a group.
        norm_batch = micro_images
    layout = layout_of(batch_size, train_images, world_size, micro_images, norm_batch)
    if processes.device.type == "cpu" and not design.frozen_norms and norm_batch is not None and micro_images is None:
        # More at a time than a group takes more memory, and is no faster on a CPU.
        layout = layout_of(batch_size, train_images, world_size, norm_batch, norm_batch)
    return layout


def _kept(settings: DetectorSettings, data: CocoData) -> dict[str, Any]:
    return settings.to_json() | {_DIGEST: data.digest}


def _check_digest(data: CocoData, first: str) -> None:
    if data.digest != first:
        raise UserError("the processes do not see the same annotations.")


def saved_settings(out: Path) -> dict[str, Any] | None:
    """The settings of the training that was begun in `out`, None where none was. Raises UserError."""
    return begun_settings(out, (SETTINGS_FORMAT,), "detector's training")


def _looked_at(
    out: Path, wanted: dict[str, Any], design: DetectorDesign, recipe: Recipe, *, longer: bool
) -> tuple[dict[str, Any] | None, int | None]:
    """The settings of the training in `out`, and how many epochs it has if it is to be made longer."""
    saved = saved_settings(out)
    longer_than = epochs_to_lengthen(saved, recipe.epochs, out) if longer else None
    has_ended = saved is not None and longer_than is None and (out / RESULT).exists()
    if not has_ended:
        check_can_be_directory(out, f"--out {str(out)!r}")
    if saved is not None:
        # Images may have been moved; annotations must be the same.
        there = saved | {"data": saved["data"] | {"root": wanted["data"]["root"]}}
        check_same_training(out, there, wanted, longer_than)
    if not has_ended:
        with torch.device("meta"):
            params = sum(parameter.numel() for parameter in seeded_detector(design, 0).parameters())
        allow_checkpoints(params, recipe)
        check_room(out, params, recipe)
    return saved, longer_than
