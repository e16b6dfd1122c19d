"""A full training from scratch: resumed where it was interrupted, judged once on the test part, kept.

OUT/settings.json   what is trained, so that only the same training goes on here
OUT/checkpoints/    the last two epochs
OUT/result.json     the outcome; it is written last and says that the training is finished
OUT/bundle/         the trained network
"""

import dataclasses
import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from search_spaces.errors import UserError
from trainers.bundle.contents import Bundle
from trainers.bundle.files import write_bundle
from trainers.checkpoint import newest_sound_checkpoint, save_checkpoint
from trainers.data.datasets import load_test, load_train_validation
from trainers.epoch_result import EpochResult
from trainers.file_lock import take_lock
from trainers.files import write_json_atomically
from trainers.full.plan import Plan
from trainers.full.readout import epoch_line
from trainers.loop import Training
from trainers.micro_batches import split_where_memory_is_short
from trainers.model import seeded_model

RESULT_FORMAT = "full-training-result/1"


def run(plan: Plan) -> dict[str, Any]:
    """Trains from the last checkpoint, or from the start, to the end, and returns the result.

    Raises Diverged, UserError where an image cannot be read, OSError where nothing can be written, and
    torch.cuda.OutOfMemoryError where a GPU's memory does not suffice.
    """
    with ExitStack() as stack:
        if plan.processes.is_first:
            _open_out(plan, stack)
        attempt = partial(_trained, plan)
        # A process whose memory is short cannot take up alone what the others are in the middle of.
        alone = plan.processes.world_size == 1
        training, results = next(split_where_memory_is_short(attempt) if alone else attempt(1))
        test = training.evaluate(load_test(plan.settings.data)) if plan.summary.test_images else None
        result = _result(plan, results, test)
        if plan.processes.is_first:
            _keep(plan, training, result)
        return result


def finished_result(plan: Plan) -> dict[str, Any] | None:
    """The result of this training if it is finished already."""

    def read() -> dict[str, Any] | None:
        return json.loads(plan.result_file.read_bytes()) if plan.result_file.exists() else None

    return plan.processes.from_first(read)


def _open_out(plan: Plan, stack: ExitStack) -> None:
    """Makes the output directory, and holds it against a second process for as long as `stack` is open."""
    plan.out.mkdir(parents=True, exist_ok=True)
    settings_file = plan.out / "settings.json"
    if not settings_file.exists():
        write_json_atomically(settings_file, plan.settings.to_json())
    lock = stack.enter_context((plan.out / "lock").open("w"))
    if not take_lock(lock.fileno()):
        raise UserError(f"another process is training in {str(plan.out)!r}.")


def _training(plan: Plan) -> Training:
    settings, processes = plan.settings, plan.processes
    train_data, validation_data = load_train_validation(settings.data)
    return Training(
        seeded_model(settings.architecture, plan.summary, settings.seed),
        train_data,
        validation_data,
        settings.recipe,
        seed=settings.seed,
        device=processes.device,
        rank=processes.rank,
        world_size=processes.world_size,
    )


def _resume(plan: Plan, training: Training) -> list[EpochResult]:
    """Takes up the newest sound checkpoint, if any, and returns the results up to there."""
    found = plan.processes.from_first(lambda: newest_sound_checkpoint(plan.out / "checkpoints"))
    if found is None:
        return []
    epoch, state = found
    training.load_state_dict(state["training"])
    if plan.processes.is_first:
        print(f"resumes  after epoch {epoch}", flush=True)
    return [EpochResult(**result) for result in state["results"]]


def _trained(plan: Plan, micro_batches: int) -> Iterator[tuple[Training, list[EpochResult]]]:
    """The training at its end and all its results, once; on the way there each batch is in so many parts."""
    training = _training(plan)
    training.micro_batches = micro_batches
    results = _resume(plan, training)
    _train(plan, training, results)
    yield training, results


def _train(plan: Plan, training: Training, results: list[EpochResult]) -> None:
    epochs = plan.settings.recipe.epochs
    before, start = len(results), time.perf_counter()
    for result in training.epochs():
        results.append(result)
        if not plan.processes.is_first:
            continue
        state = {"training": training.state_dict(), "results": [each.to_json() for each in results]}
        save_checkpoint(plan.out / "checkpoints", result.epoch, state)
        left = (time.perf_counter() - start) / (result.epoch - before) * (epochs - result.epoch)
        print(epoch_line(result, epochs, left), flush=True)


def _result(plan: Plan, results: list[EpochResult], test: tuple[float, float] | None) -> dict[str, Any]:
    return {
        "format": RESULT_FORMAT,
        "architecture_id": plan.settings.architecture.id,
        "data": plan.summary.name,
        "test_accuracy": None if test is None else test[1],
        "test_loss": None if test is None else test[0],
        "val_accuracy": results[-1].val_accuracy,
        "epochs": len(results),
        "seconds": sum(result.epoch_seconds for result in results),
        "flops": plan.cost.flops,
        "params": plan.cost.params,
        "seed": plan.settings.seed,
    }


def _keep(plan: Plan, training: Training, result: dict[str, Any]) -> None:
    """Writes the trained network, and then the result, which ends the training."""
    directory = plan.out / "bundle"
    # A bundle is there whole or not at all, so one left by an interruption right here is this very network.
    if not directory.exists():
        provenance = dataclasses.replace(plan.bundle.provenance, full_training=result)
        settings = plan.settings
        bundle = Bundle(settings.architecture, settings.recipe, settings.data, plan.summary, provenance)
        write_bundle(directory, bundle, training.evaluated_model.state_dict())
    write_json_atomically(plan.result_file, result)
