"""A full training from scratch: resumed where it was interrupted, evaluated once on the test split, kept.

OUT/settings.json   what is trained and the fingerprint of its images, so that only the same training goes on here
OUT/data.index      what is in the folders of its images, so that each process need not scan them
OUT/history.csv     its epochs so far
OUT/checkpoints/    the last two, of an epoch's end or within one
OUT/*.csv, *.png    see trainers.full.outcome_files
OUT/result.json     the outcome; it is written last and says that the training is finished
OUT/bundle/         the trained network
OUT/after-N-epochs/ what it came to before it was made longer, see trainers.full.lengthening
"""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from search_spaces.errors import UserError
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.bundle.trained import DIVERGED
from trainers.data.datasets import load_train_validation
from trainers.data.image_folders import unreadable_files
from trainers.data.tar_members import name_of, shard_directory
from trainers.data.unreadable import UnreadableImages
from trainers.epoch_result import EpochResult
from trainers.file_lock import take_lock
from trainers.files import write_json_atomically
from trainers.folders import Directory
from trainers.freed_memory import keep_freed_memory
from trainers.full.begun_training import SETTINGS, check_as_read
from trainers.full.following import followed
from trainers.full.initial_weights import load_initial_weights
from trainers.full.kept_result import read_result
from trainers.full.lengthening import Lengthening, put_aside, with_lengthenings
from trainers.full.measured_split import measured_split
from trainers.full.outcome_files import OUTCOME_FILES, hardest_classes, write_outcome
from trainers.full.plan import RESULT, UNREADABLE_IMAGES, Plan, saved_settings
from trainers.full.progress import Reporter
from trainers.full.readout import continuation_lines, epoch_line
from trainers.full.train_settings import FINGERPRINT
from trainers.history import HISTORY
from trainers.loop import Diverged, Training
from trainers.measurement import Measurement
from trainers.model import seeded_model
from trainers.resumable import Pauses, ResumableTraining, train_resumably
from trainers.stopping import Stopped
from trainers.threads import choose_threads

RESULT_FORMAT = "full-training-result/1"
# So many of the classes that are known worst are named in the result and in the card.
HARDEST_CLASSES = 5
# What is put aside of a training that is made longer.
_OUTCOME = (RESULT, "bundle", *OUTCOME_FILES)


def run(plan: Plan, end_requested: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Trains from the last checkpoint, or from the start, to the end, and returns the result.

    `end_requested` is asked between steps; where it says so in any process, the training is checkpointed and Stopped
    raised. Raises Diverged, UserError where an image cannot be read, OSError where nothing can be written, and
    torch.cuda.OutOfMemoryError where a GPU's memory does not suffice.
    """
    with ExitStack() as stack:
        plan = dataclasses.replace(plan, lengthened=plan.processes.from_first(lambda: _open_out(plan, stack)))
        choose_threads(plan.processes.device, plan.summary.image_size)
        keep_freed_memory(plan.processes.device)
        checkpoints, processes = Directory(plan.out / "checkpoints"), plan.processes
        pauses = Pauses(60 * plan.settings.conduct.checkpoint_minutes, end_requested, _reporter(plan))
        try:
            training, results = next(
                train_resumably(partial(_training, plan), checkpoints, processes, partial(_followed, plan, pauses))
            )
            unreadable = {name: len(files) for name, files in training.unreadable().items()}
            split, measurement, unread = _measured(plan, training, pauses)
            unreadable |= {"test": unread} if split == "test" else {}
        except UnreadableImages as error:
            _note_unreadable(plan, error)
            raise
        except Diverged as error:
            if plan.processes.is_first:
                write_json_atomically(plan.out / DIVERGED, {"epoch": error.epoch})
            raise
        result = _result(plan, results, split, measurement, unreadable)
        plan.processes.from_first(lambda: _keep(plan, training, results, measurement, result))
        return result


def finished_result(plan: Plan) -> dict[str, Any] | None:
    """The result of this training if it is finished already, and is not to be made longer.

    Raises UserError where the result is damaged, or what was trained is no longer beside it.
    """

    def read() -> dict[str, Any] | None:
        if plan.longer_than is not None:
            return None
        return read_result(plan.result_file, plan.out / "bundle")

    return plan.processes.from_first(read)


def _open_out(plan: Plan, stack: ExitStack) -> tuple[Lengthening, ...]:
    """Makes the output directory, and holds it against a second process for as long as `stack` is open.

    Where the training was made longer so far, with what is begun now.
    """
    plan.out.mkdir(parents=True, exist_ok=True)
    settings_file = plan.out / SETTINGS
    lock = stack.enter_context((plan.out / "lock").open("w"))
    if not take_lock(lock.fileno()):
        raise UserError(f"another process is training in {str(plan.out)!r}.")
    wanted = plan.settings.to_json() | {FINGERPRINT: plan.fingerprint.to_json()}
    lengthened = plan.lengthened
    check_as_read(plan.out, plan.begun, saved_settings(plan.out), with_lengthenings(wanted, lengthened))
    (plan.out / DIVERGED).unlink(missing_ok=True)
    if plan.longer_than is not None:
        lengthened += put_aside(plan.out, plan.longer_than, _OUTCOME)
    settings = with_lengthenings(wanted, lengthened)
    if plan.longer_than is not None:
        write_json_atomically(settings_file, settings)
    elif not settings_file.exists() or json.loads(settings_file.read_bytes()).get(FINGERPRINT) != settings[FINGERPRINT]:
        # The training is a new one, or nobody had known its images, or those that could not be read have been mended.
        write_json_atomically(settings_file, settings)
        (plan.out / UNREADABLE_IMAGES).unlink(missing_ok=True)
    return lengthened


def _note_unreadable(plan: Plan, error: UnreadableImages) -> None:
    """Keeps which images have to be mended: the others must be the same when the training goes on."""
    root = shard_directory(str(plan.settings.data.root))
    write_json_atomically(plan.out / UNREADABLE_IMAGES, [os.path.relpath(name_of(file), root) for file in error.files])


def _reporter(plan: Plan) -> Callable[[Training], None]:
    """What the first process calls after each step; the others say nothing."""
    return Reporter(plan.settings.conduct.report_seconds) if plan.processes.is_first else lambda training: None


def _training(plan: Plan) -> Training:
    settings, processes = plan.settings, plan.processes
    train_data, validation_data = load_train_validation(settings.data, plan.known_files, keeps_in_memory=True)
    model = seeded_model(settings.architecture, plan.summary, settings.seed)
    if plan.initial is not None:
        load_initial_weights(model, plan.initial)
    return Training(
        model,
        train_data,
        validation_data,
        settings.recipe,
        seed=settings.seed,
        device=processes.device,
        rank=processes.rank,
        layout=plan.layout,
        compilation=settings.conduct.compile,
        shorter_epochs=frozenset(each.from_epochs for each in plan.lengthened),
    )


def _measured(plan: Plan, training: Training, pauses: Pauses) -> tuple[str, Measurement, int]:
    """What the network makes of which split, and how many images of it could not be read.

    The training is at its end, and checkpointed.
    """

    def between_batches() -> None:
        if plan.processes.largest(pauses.end_requested()):
            raise Stopped(training.epoch, training.steps_per_epoch)

    split, data = measured_split(plan)
    found = training.measure(data, plan.summary.classes, between_batches)
    return split, found, len(plan.processes.all_of(unreadable_files(data)))


def _followed(plan: Plan, pauses: Pauses, resumed: ResumableTraining) -> Iterator[tuple[Training, list[EpochResult]]]:
    epochs = plan.settings.recipe.epochs
    return followed(
        resumed,
        pauses,
        plan.out / HISTORY,
        partial(continuation_lines, plan),
        lambda result, seconds_left: epoch_line(result, epochs, seconds_left),
    )


def _result(
    plan: Plan, results: list[EpochResult], split: str, measurement: Measurement, unreadable: dict[str, int]
) -> dict[str, Any]:
    is_test = split == "test"
    result = {
        "format": RESULT_FORMAT,
        "architecture_id": plan.settings.architecture.id,
        "data": plan.summary.name,
        "test_accuracy": measurement.accuracy if is_test else None,
        "test_loss": measurement.loss if is_test else None,
        "measured": {"split": split, **measurement.to_json()},
        "hardest_classes": hardest_classes(measurement, _class_names(plan), HARDEST_CLASSES),
        "val_accuracy": results[-1].val_accuracy,
        "epochs": len(results),
        "seconds": sum(result.epoch_seconds for result in results),
        "flops": plan.cost.flops,
        "params": plan.cost.params,
        "seed": plan.settings.seed,
        **({} if plan.settings.initial_weights is None else {"initial_weights": plan.settings.initial_weights}),
        "norm_batch": plan.settings.norm_batch,
        "unreadable_images": unreadable,
    }
    return with_lengthenings(result, plan.lengthened)


def _keep(
    plan: Plan, training: Training, results: list[EpochResult], measurement: Measurement, result: dict[str, Any]
) -> None:
    """Writes the trained network and what is to be seen of it, and then the result, which ends the training."""
    directory = plan.out / "bundle"
    # A bundle is there whole or not at all, so one left by an interruption right here is this very network.
    if not directory.exists():
        write_bundle(directory, _bundle(plan, result).described(), training.evaluated_model.state_dict())
    title = f"{plan.settings.architecture.label} on {plan.summary.name}"
    write_outcome(plan.out, measurement, _class_names(plan), results, title)
    write_json_atomically(plan.result_file, result)


def _bundle(plan: Plan, result: dict[str, Any] | None) -> Bundle:
    provenance = dataclasses.replace(plan.bundle.provenance, full_training=result)
    settings = plan.settings
    return Bundle(settings.architecture, settings.recipe, settings.data, plan.summary, provenance, plan.fingerprint)


def _class_names(plan: Plan) -> tuple[str, ...]:
    return plan.fingerprint.classes
