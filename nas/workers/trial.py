"""What a worker does with a trial: trains it and reports each epoch to Ray Tune."""

import functools
import logging
import os
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from ray import tune

from nas.workers.failure_causes import DataUnusable, StorageMissing, cause_of, reason_of
from nas.workers.relative_latency import measured_latency
from nas.workers.storage_full import StorageFull, is_full
from nas.workers.trial_config import (
    EpochReport,
    LatencyReport,
    SearchHalted,
    TrialConfig,
    TrialEnded,
    TrialFailed,
    WorkerMessage,
    WorkerReport,
)
from search_spaces.errors import UserError
from search_spaces.exit_codes import FAILURE
from trainers.data.config import DataConfig, KnownFiles
from trainers.data.datasets import ImagesChanged, load_train_validation
from trainers.data.images import Images
from trainers.data.unreadable import UnreadableImages
from trainers.distributed import Processes
from trainers.epoch_result import EpochResult
from trainers.loop import Diverged, Training
from trainers.model import seeded_model
from trainers.resumable import ResumableTraining, train_resumably


def train_trial(config: Mapping[str, Any]) -> None:
    """Trains the trial of `config`, a TrialConfig as JSON, and reports to Ray Tune what comes of it.

    A trial that cannot go on leaves its worker alive for the next one, but after an error of its device, which may
    stay with the process. With every report goes what the training has warned of.
    """
    _warnings()
    trial = TrialConfig.from_json(config)
    try:
        if trial.latency_reference is not None:
            _report(LatencyReport(measured_latency(trial, trial.latency_reference)))
        for result in trained_epochs(trial):
            _report(EpochReport(result))
    except torch.cuda.OutOfMemoryError:
        _report(TrialEnded("oom", "the GPU's memory does not suffice, nor with each batch in two parts"))
    except Diverged as error:
        _report(TrialEnded("diverged", str(error)))
    except UnreadableImages as error:
        # What was met before belongs to these images, and they may come back.
        _parts.cache_clear()
        if not all(map(os.path.exists, error.files)):
            return _report_failure(error, trial)
        paths = tuple(os.path.relpath(file, trial.data.root) for file in error.files)
        _report(SearchHalted("images", str(error), paths))
    except ImagesChanged as error:
        _report(SearchHalted("images", str(error)))
    except StorageFull as error:
        _report(SearchHalted("storage", str(error)))
    except Exception as error:
        _report_failure(error, trial)


def _report_failure(error: Exception, trial: TrialConfig) -> None:
    cause = cause_of(error, trial.data.root)
    _report(TrialFailed(cause, reason_of(error), traceback.format_exc()))
    if cause == "device":
        os._exit(FAILURE)


def _report(report: WorkerReport) -> None:
    tune.report(WorkerMessage(report, tuple(_warnings())).to_result())
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


def trained_epochs(trial: TrialConfig) -> Iterator[EpochResult]:
    """Every epoch that the ledger does not hold yet, each one checkpointed before it is yielded.

    Goes on from the newest sound checkpoint of the trial. Epochs that were checkpointed but never recorded are yielded
    again from the checkpoint; recorded ones that have to be trained again are not yielded twice. Where the GPU's memory
    does not suffice, it goes on with each batch in two parts; where that takes too much, too,
    torch.cuda.OutOfMemoryError is raised.
    """
    torch.set_num_threads(trial.threads)
    # A file system that has fallen away would be written to, on this machine's own, without a word.
    search = Path(trial.checkpoints).parents[1]
    if not search.is_dir():
        raise StorageMissing(f"the directory of the search, {str(search)!r}, is not there")
    known = trial.recorded_epochs
    checkpoints, alone = Path(trial.checkpoints), Processes(0, 1, torch.device(trial.device))
    try:
        for result in train_resumably(functools.partial(_training, trial), checkpoints, alone, _all_epochs):
            if result.epoch > known:
                known = result.epoch
                yield result
    except OSError as error:
        if is_full(error):
            raise StorageFull(str(error)) from error
        raise


def _training(trial: TrialConfig) -> Training:
    """The training of a trial as it begins."""
    model = seeded_model(trial.architecture, trial.data_summary, trial.seed)
    try:
        train, validation = _parts(trial.data, trial.known_files)
    except (ImagesChanged, UnreadableImages):
        raise
    except (OSError, UserError) as error:
        raise DataUnusable(str(error)) from error
    device = torch.device(trial.device)
    return Training(model, train, validation, trial.training, seed=trial.seed, device=device)


def _all_epochs(resumed: ResumableTraining) -> Iterator[EpochResult]:
    """Every epoch from the first, those that the checkpoint holds taken from there."""
    yield from resumed.results
    yield from resumed.epochs()


@functools.lru_cache(maxsize=1)
def _parts(data: DataConfig, known: KnownFiles) -> tuple[Images, Images]:
    """The data of a search, read once for all trials of a worker."""
    return load_train_validation(data, known)
