"""Training a detector: resumed where it was interrupted, evaluated by COCO's rules after each epoch, kept.

It is the full training's loop, with its checkpoints, on boxes in place of labels.

OUT/settings.json    what is trained, so that only the same training goes on here
OUT/history.csv      its epochs so far, of which val_accuracy is the mean average precision
OUT/checkpoints/     the last two, of an epoch's end or within one
OUT/detector/        the trained detector
OUT/precisions.csv   the average precision of each class
OUT/result.json      the outcome; it is written last and says that the training is finished
OUT/after-N-epochs/  what it came to before it was made longer, see trainers.full.lengthening
"""

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from search_spaces.errors import UserError
from search_spaces.units import readable_duration
from trainers.bundle.files import read_weights
from trainers.detection.coco_evaluation import CocoEvaluation, CocoScores
from trainers.detection.detector import load_backbone, seeded_detector
from trainers.detection.document import DETECTOR
from trainers.detection.files import write_detector
from trainers.detection.plan import RESULT, DetectorPlan, saved_settings
from trainers.epoch_result import EpochResult
from trainers.file_lock import take_lock
from trainers.files import csv_bytes, write_atomically, write_json_atomically
from trainers.folders import Directory
from trainers.freed_memory import keep_freed_memory
from trainers.full.begun_training import SETTINGS, check_as_read
from trainers.full.following import followed
from trainers.full.kept_result import read_result
from trainers.full.lengthening import Lengthening, put_aside, with_lengthenings
from trainers.full.progress import Reporter
from trainers.full.readout import longer_lines, processes_lines
from trainers.history import HISTORY
from trainers.loop import Training
from trainers.resumable import Pauses, ResumableTraining, train_resumably
from trainers.stopping import Stopped
from trainers.threads import choose_threads

RESULT_FORMAT = "detector-training-result/1"
PRECISIONS = "precisions.csv"
# What is put aside of a training that is made longer.
_OUTCOME = (RESULT, DETECTOR, PRECISIONS)


def finished_detector(plan: DetectorPlan) -> dict[str, Any] | None:
    """The result of this training if it is finished already, and is not to be made longer.

    Raises UserError where the result is damaged, or what was trained is no longer beside it.
    """

    def read() -> dict[str, Any] | None:
        if plan.longer_than is not None:
            return None
        return read_result(plan.result_file, plan.out / DETECTOR)

    return plan.processes.from_first(read)


def train_detector(plan: DetectorPlan, end_requested: Callable[[], bool]) -> dict[str, Any]:
    """Trains from the last checkpoint, or from the start, to the end, and returns the result.

    Ends, and raises, as `trainers.full.full_training.run`.
    """
    with ExitStack() as stack:
        plan = dataclasses.replace(plan, lengthened=plan.processes.from_first(lambda: _open_out(plan, stack)))
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
        result = with_lengthenings(result, plan.lengthened)
        plan.processes.from_first(lambda: _keep(plan, training, scores, result))
        return result


def _open_out(plan: DetectorPlan, stack: ExitStack) -> tuple[Lengthening, ...]:
    """Makes the output directory, and holds it against a second process for as long as `stack` is open.

    Where the training was made longer so far, with what is begun now.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    lock = stack.enter_context((plan.out / "lock").open("w"))
    if not take_lock(lock.fileno()):
        raise UserError(f"another process is training in {str(plan.out)!r}.")
    lengthened = plan.lengthened
    wanted = plan.kept_settings()
    check_as_read(plan.out, plan.begun, saved_settings(plan.out), with_lengthenings(wanted, lengthened))
    if plan.longer_than is not None:
        lengthened += put_aside(plan.out, plan.longer_than, _OUTCOME)
    write_json_atomically(plan.out / SETTINGS, with_lengthenings(wanted, lengthened))
    return lengthened


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
        shorter_epochs=frozenset(each.from_epochs for each in plan.lengthened),
    )


def _followed(
    plan: DetectorPlan, pauses: Pauses, resumed: ResumableTraining
) -> Iterator[tuple[Training, list[EpochResult]]]:
    epochs, world_size = plan.settings.recipe.epochs, plan.processes.world_size

    def continuation(earlier_world_size: int | None) -> list[str]:
        return [*longer_lines(plan.longer_than, epochs), *processes_lines(world_size, earlier_world_size)]

    def line(result: EpochResult, seconds_left: float) -> str:
        return (
            f"epoch {result.epoch:>{len(str(epochs))}}/{epochs}  loss {result.train_loss:.4f}  "
            f"val {result.val_loss:.4f}  mAP {result.val_accuracy:.4f}  "
            f"{readable_duration(result.epoch_seconds)}, {readable_duration(seconds_left)} left"
        )

    return followed(resumed, pauses, plan.out / HISTORY, continuation, line)


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
