"""What a worker does with a trial: trains it and reports each epoch to Ray Tune."""

import functools
import logging
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from ray import tune

from nas.driver.storage_check import StorageFull, is_full
from nas.workers.relative_latency import measured_latency
from search_spaces.architecture import Architecture
from search_spaces.errors import first_line
from trainers.data.config import DataConfig, DataSummary
from trainers.data.datasets import load_train_validation
from trainers.data.image_folders import UnreadableImages
from trainers.data.images import Images
from trainers.distributed import Processes
from trainers.epoch_result import EpochResult
from trainers.loop import Diverged, Training
from trainers.model import seeded_model
from trainers.recipe import Recipe
from trainers.resumable import ResumableTraining, train_resumably


def train_trial(config: Mapping[str, Any]) -> None:
    """Trains the trial of `config` (see `nas.workers.searcher.EngineSearcher.suggest`), one report an epoch.

    Given a "yardstick", it measures its network's latency first and reports {"latency_ms": …}. A trial that cannot go
    on reports {"ended": outcome, "reason": …} and leaves its worker alive for the next one; where no trial could go on
    it reports {"halted": "storage" or "images", "reason": …}. With every report goes what the training has warned of.
    """
    _warnings()
    try:
        if config["yardstick"] is not None:
            _report({"latency_ms": measured_latency(config)})
        for result in trained_epochs(config):
            _report(result.to_json())
    except torch.cuda.OutOfMemoryError:
        _report({"ended": "oom", "reason": "the GPU's memory does not suffice, nor with each batch in two parts"})
    except Diverged as error:
        _report({"ended": "diverged", "reason": str(error)})
    except UnreadableImages as error:
        _report({"halted": "images", "reason": str(error)})
    except StorageFull as error:
        _report({"halted": "storage", "reason": str(error)})
    except Exception as error:
        directory = Path(config["checkpoints"])
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "error.txt").write_text(traceback.format_exc(), encoding="utf-8")
        _report({"ended": "failed", "reason": f"{type(error).__name__}: {first_line(error)}"})


def _report(result: dict[str, Any]) -> None:
    tune.report({**result, "warnings": list(_warnings())})
    _warnings().clear()


@functools.lru_cache(maxsize=1)
def _warnings() -> list[str]:
    """What was warned of since the last report. A worker has no terminal, so the driver says it."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logging.getLogger("trainers").addHandler(Collector(logging.WARNING))
    return messages


def trained_epochs(config: Mapping[str, Any]) -> Iterator[EpochResult]:
    """Every epoch that the ledger does not hold yet, each one checkpointed before it is yielded.

    Goes on from the newest sound checkpoint of the trial. Epochs that were checkpointed but never recorded are yielded
    again from the checkpoint; recorded ones that have to be trained again are not yielded twice. Where the GPU's memory
    does not suffice, it goes on with each batch in two parts; where that takes too much, too,
    torch.cuda.OutOfMemoryError is raised.
    """
    torch.set_num_threads(config["threads"])
    known = config["recorded_epochs"]
    checkpoints, alone = Path(config["checkpoints"]), Processes(0, 1, torch.device(config["device"]))
    try:
        for result in train_resumably(functools.partial(_training, config), checkpoints, alone, _all_epochs):
            if result.epoch > known:
                known = result.epoch
                yield result
    except OSError as error:
        if is_full(error):
            raise StorageFull(str(error)) from error
        raise


def _training(config: Mapping[str, Any]) -> Training:
    """The training of a trial as it begins."""
    summary = DataSummary.from_json(config["data_summary"])
    model = seeded_model(Architecture.from_json(config["architecture"]), summary, config["seed"])
    train, validation = _parts(DataConfig.from_json(config["data"]))
    recipe, device = Recipe.from_json(config["training"]), torch.device(config["device"])
    return Training(model, train, validation, recipe, seed=config["seed"], device=device)


def _all_epochs(resumed: ResumableTraining) -> Iterator[EpochResult]:
    """Every epoch from the first, those that the checkpoint holds taken from there."""
    yield from resumed.results
    yield from resumed.epochs()


@functools.lru_cache(maxsize=1)
def _parts(data: DataConfig) -> tuple[Images, Images]:
    """The data of a search, read once for all trials of a worker."""
    return load_train_validation(data)
