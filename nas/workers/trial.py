"""What a worker does with a trial: trains it and reports each epoch to Ray Tune."""

import functools
import logging
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from ray import tune

from nas.workers.relative_latency import measured_latency
from nas.workers.storage_full import StorageFull, is_full
from search_spaces.architecture import Architecture
from search_spaces.errors import first_line
from trainers.checkpoint import newest_sound_checkpoint, save_checkpoint
from trainers.data.config import DataConfig, DataSummary
from trainers.data.datasets import load_train_validation
from trainers.data.image_folders import UnreadableImages
from trainers.data.images import Images
from trainers.epoch_result import EpochResult
from trainers.loop import Diverged, Training
from trainers.micro_batches import split_where_memory_is_short
from trainers.model import seeded_model
from trainers.recipe import Recipe


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
    for result in split_where_memory_is_short(functools.partial(_all_epochs, config)):
        if result.epoch > known:
            known = result.epoch
            yield result


def _all_epochs(config: Mapping[str, Any], micro_batches: int) -> Iterator[EpochResult]:
    """Every epoch of a trial from its first, those that its newest sound checkpoint holds taken from there."""
    data = DataConfig.from_json(config["data"])
    summary = DataSummary.from_json(config["data_summary"])
    directory = Path(config["checkpoints"])
    model = seeded_model(Architecture.from_json(config["architecture"]), summary, config["seed"])
    train, validation = _parts(data)
    training = Training(
        model,
        train,
        validation,
        Recipe.from_json(config["training"]),
        seed=config["seed"],
        device=torch.device(config["device"]),
    )
    training.micro_batches = micro_batches
    results: list[EpochResult] = []
    checkpoint = newest_sound_checkpoint(directory)
    if checkpoint is not None:
        _, state = checkpoint
        training.load_state_dict(state["training"])
        results = [EpochResult(**result) for result in state["results"]]
        yield from results
    for result in training.epochs():
        results.append(result)
        state = {"training": training.state_dict(), "results": [past.to_json() for past in results]}
        try:
            save_checkpoint(directory, result.epoch, state)
        except OSError as error:
            if is_full(error):
                raise StorageFull(str(error)) from error
            raise
        yield result


@functools.lru_cache(maxsize=1)
def _parts(data: DataConfig) -> tuple[Images, Images]:
    """The data of a search, read once for all trials of a worker."""
    return load_train_validation(data)
