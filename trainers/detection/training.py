"""Training a detector: resumed where it was interrupted, evaluated by COCO's rules after each epoch, kept.

It is the full training's loop, with its checkpoints, on boxes in place of labels.

OUT/settings.json    what is trained, so that only the same training goes on here
OUT/history.csv      its epochs so far, of which val_accuracy is the mean average precision
OUT/checkpoints/     the last two, of an epoch's end or within one
OUT/detector/        the trained detector
OUT/precisions.csv   the average precision of each class
OUT/result.json      the outcome; it is written last and says that the training is finished
"""

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from search_spaces.errors import UserError
from search_spaces.paths import check_can_be_directory
from search_spaces.units import readable_duration
from trainers.batch_layout import BatchLayout, layout_of
from trainers.bundle.files import read_weights
from trainers.detection.coco_data import CocoData, examine_coco
from trainers.detection.coco_evaluation import CocoEvaluation, CocoScores
from trainers.detection.coco_images import CocoImages
from trainers.detection.design import DetectorDesign
from trainers.detection.detector import load_backbone, seeded_detector
from trainers.detection.document import DETECTOR
from trainers.detection.files import write_detector
from trainers.detection.settings import DetectorSettings
from trainers.distributed import Processes, join_processes
from trainers.epoch_result import EpochResult
from trainers.file_lock import take_lock
from trainers.files import csv_bytes, write_atomically, write_json_atomically
from trainers.folders import Directory
from trainers.freed_memory import keep_freed_memory
from trainers.full.kept_result import read_result
from trainers.full.progress import Reporter
from trainers.full.train_settings import difference
from trainers.history import HISTORY, write_history
from trainers.loop import Training
from trainers.resumable import Pauses, ResumableTraining, train_resumably
from trainers.stopping import Stopped
from trainers.threads import choose_threads

RESULT_FORMAT = "detector-training-result/1"
RESULT, SETTINGS, PRECISIONS = "result.json", "settings.json", "precisions.csv"
# What the annotations are known by is kept beside the settings.
_DIGEST = "annotations_sha256"


@dataclass(frozen=True, slots=True)
class DetectorPlan:
    """A detector's training that has been checked and can start."""

    settings: DetectorSettings
    design: DetectorDesign
    data: CocoData
    out: Path
    processes: Processes
    layout: BatchLayout

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


def prepare_detector(settings: DetectorSettings, out: Path, device: str) -> DetectorPlan:
    """Checks all that can be checked before anything is written, and joins the processes that torchrun started.

    Raises UserError.
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
    processes.from_first(lambda: _check_out(out, _kept(settings, data)))
    recipe, micro_images = settings.recipe, settings.conduct.micro_images
    # Where no batch norm takes statistics, the images of a pass may as well be a group.
    norm_batch = micro_images if design.frozen_norms else recipe.norm_batch or None
    layout = layout_of(recipe.batch_size, len(data.train), processes.world_size, micro_images, norm_batch)
    return DetectorPlan(settings, design, data, out, processes, layout)


def finished_detector(plan: DetectorPlan) -> dict[str, Any] | None:
    """The result of this training if it is finished already.

    Raises UserError where the result is damaged, or what was trained is no longer beside it.
    """

    def read() -> dict[str, Any] | None:
        return read_result(plan.result_file, plan.out / DETECTOR)

    return plan.processes.from_first(read)


def train_detector(plan: DetectorPlan, end_requested: Callable[[], bool]) -> dict[str, Any]:
    """Trains from the last checkpoint, or from the start, to the end, and returns the result.

    Ends, and raises, as `trainers.full.full_training.run`.
    """
    with ExitStack() as stack:
        plan.processes.from_first(lambda: _open_out(plan, stack))
        choose_threads(plan.processes.device, plan.design.image_size)
        keep_freed_memory(plan.processes.device)
        conduct, checkpoints = plan.settings.conduct, Directory(plan.out / "checkpoints")
        reporter = Reporter(conduct.report_seconds) if plan.processes.is_first else lambda training: None
        pauses = Pauses(60 * conduct.checkpoint_minutes, end_requested, reporter)
        training, results = next(
            train_resumably(partial(_training, plan), checkpoints, plan.processes, partial(_followed, plan, pauses))
        )
        loss, scores = _measured(plan, training, end_requested)
        result = {
            "format": RESULT_FORMAT,
            "architecture_id": plan.design.architecture.id,
            "model": plan.design.model,
            "scores": scores.to_json(),
            "val_loss": loss,
            "images": {"train": len(plan.data.train), "validation": len(plan.data.validation)},
            "epochs": len(results),
            "seconds": sum(result.epoch_seconds for result in results),
            "params": sum(parameter.numel() for parameter in training.evaluated_model.parameters()),
            "seed": plan.settings.seed,
        }
        plan.processes.from_first(lambda: _keep(plan, training, scores, result))
        return result


def _kept(settings: DetectorSettings, data: CocoData) -> dict[str, Any]:
    return settings.to_json() | {_DIGEST: data.digest}


def _check_digest(data: CocoData, first: str) -> None:
    if data.digest != first:
        raise UserError("the processes do not see the same annotations.")


def _check_out(out: Path, wanted: dict[str, Any]) -> None:
    if not out.exists() or (out.is_dir() and {path.name for path in out.iterdir()} <= {"lock"}):
        check_can_be_directory(out, f"--out {str(out)!r}")
        return
    try:
        saved = json.loads((out / SETTINGS).read_bytes())
    except (OSError, ValueError):
        saved = None
    if not isinstance(saved, dict) or saved.get("format") != wanted["format"]:
        raise UserError(f"{str(out)!r} exists and holds no detector's training: name another directory with --out.")
    # Images may have been moved; annotations must be the same.
    saved["data"] = saved["data"] | {"root": wanted["data"]["root"]}
    if found := difference(saved, wanted):
        raise UserError(f"{str(out)!r} holds another training ({found}): name another directory with --out.")


def _open_out(plan: DetectorPlan, stack: ExitStack) -> None:
    """Makes the output directory, and holds it against a second process for as long as `stack` is open."""
    plan.out.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((plan.out / "lock").open("w"))
    if not take_lock(lock.fileno()):
        raise UserError(f"another process is training in {str(plan.out)!r}.")
    write_json_atomically(plan.out / SETTINGS, _kept(plan.settings, plan.data))


def _training(plan: DetectorPlan) -> Training:
    settings, processes = plan.settings, plan.processes
    detector = seeded_detector(plan.design, settings.seed)
    if settings.backbone.bundle is not None:
        directory = settings.backbone.bundle
        try:
            load_backbone(detector, read_weights(directory))
        except RuntimeError:
            raise UserError(f"the weights of {str(directory)!r} do not fit its architecture.") from None
    return Training(
        detector,
        plan.images("train"),
        plan.images("validation"),
        settings.recipe,
        seed=settings.seed,
        device=processes.device,
        rank=processes.rank,
        layout=plan.layout,
        evaluation=CocoEvaluation(plan.data),
    )


def _followed(
    plan: DetectorPlan, pauses: Pauses, resumed: ResumableTraining
) -> Iterator[tuple[Training, list[EpochResult]]]:
    """The training at its end and all its results, once; on the way there a line an epoch."""
    epochs, before, start = plan.settings.recipe.epochs, len(resumed.results), time.perf_counter()
    step, is_first = resumed.training.step, plan.processes.is_first
    if (before or step) and is_first:
        within = f", and {step} of {resumed.training.steps_per_epoch} steps" if step else ""
        print(f"resumes  after epoch {before}{within}", flush=True)
    elif is_first and (plan.out / HISTORY).exists():
        print("anew     no sound checkpoint is left of the epochs that were trained here before", flush=True)
    for result in resumed.epochs(pauses):
        plan.processes.from_first(lambda: write_history(plan.out / HISTORY, resumed.results))
        if is_first:
            left = (time.perf_counter() - start) / (result.epoch - before) * (epochs - result.epoch)
            print(
                f"epoch {result.epoch:>{len(str(epochs))}}/{epochs}  loss {result.train_loss:.4f}  "
                f"val {result.val_loss:.4f}  mAP {result.val_accuracy:.4f}  "
                f"{readable_duration(result.epoch_seconds)}, {readable_duration(left)} left",
                flush=True,
            )
    yield resumed.training, resumed.results


def _measured(plan: DetectorPlan, training: Training, end_requested: Callable[[], bool]) -> tuple[float, CocoScores]:
    def between_batches() -> None:
        if plan.processes.largest(end_requested()):
            raise Stopped(training.epoch, training.steps_per_epoch)

    return CocoEvaluation(plan.data).measure(
        training.evaluated_model,
        plan.images("validation"),
        plan.processes.device,
        plan.layout.micro_batch,
        precision=plan.settings.recipe.precision,
        rank=plan.processes.rank,
        world_size=plan.processes.world_size,
        between_batches=between_batches,
    )


def _keep(plan: DetectorPlan, training: Training, scores: CocoScores, result: dict[str, Any]) -> None:
    """Writes the trained detector and its scores, and then the result, which ends the training."""
    directory = plan.out / DETECTOR
    # It is there whole or not at all, so one left by an interruption right here is this very detector.
    if not os.path.exists(directory):
        facts = {"recipe": plan.settings.recipe.to_json(), "result": result}
        if plan.settings.backbone.provenance is not None:
            facts["provenance"] = plan.settings.backbone.provenance.to_json()
        write_detector(directory, plan.design, training.evaluated_model, facts)
    rows = zip(plan.data.category_ids, plan.data.classes, scores.class_precisions, strict=True)
    write_atomically(
        plan.out / PRECISIONS,
        csv_bytes(
            ("category", "class", "AP"),
            ((category, name, "" if precision is None else precision) for category, name, precision in rows),
        ),
    )
    write_json_atomically(plan.result_file, result)
