"""What a worker does with a trial: trains it and reports each epoch to Ray Tune."""

import contextlib
import functools
import logging
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from ray import tune

from nas.workers.end_requests import EndRequests, end_requests
from nas.workers.failure_causes import DataUnusable, StorageMissing, cause_of, reason_of
from nas.workers.gpu_use import gpu_use, taken_by_others
from nas.workers.relative_latency import measured_latency
from nas.workers.storage_full import StorageFull, is_full
from nas.workers.trial_config import (
    EpochReport,
    LatencyReport,
    ParentWeights,
    SearchHalted,
    TrialConfig,
    TrialEnded,
    TrialFailed,
    TrialPreempted,
    WorkerMessage,
    WorkerReport,
)
from nas.workers.trial_layout import trial_layout
from nas.workers.trial_processes import TrialProcesses
from search_spaces.errors import UserError
from search_spaces.exit_codes import FAILURE
from trainers.checkpoint import evaluated_weights, newest_sound_checkpoint
from trainers.data.config import DataConfig, KnownFiles
from trainers.data.datasets import ImagesChanged, load_train_validation
from trainers.data.images import Images
from trainers.data.tar_members import is_there, name_of, shard_directory
from trainers.data.unreadable import UnreadableImages
from trainers.distributed import Processes
from trainers.epoch_result import EpochResult
from trainers.folders import Directory, ExistingDirectory, Folder
from trainers.inherited_weights import inherit
from trainers.loop import Diverged, Training
from trainers.model import seeded_model
from trainers.resumable import Pauses, ResumableTraining, train_resumably
from trainers.stopping import Stopped
from trainers.storage.address import StorageAddress, is_address
from trainers.storage.remote_folder import RemoteFolder, StorageLost


def train_trial(config: Mapping[str, Any]) -> None:
    """Trains the trial of `config`, that of a TrialConfig, and reports to Ray Tune what comes of it.

    A trial that cannot go on leaves its worker alive for the next one, but after an error of its device, which may
    stay with the process, and where the worker was told to end. With every report goes what the training has warned of.
    """
    # What the trial before warned of when it had reported all is not this one's.
    warnings_so_far().clear()
    trial, requests = TrialConfig.from_config(config), end_requests()
    with failures_reported(trial, requests, _report):
        if trial.latency_reference is not None:
            _report(LatencyReport(measured_latency(trial, trial.latency_reference)))
        if trial.processes == 1:
            alone = Processes(0, 1, torch.device(trial.device))
            for result in trained_epochs(trial, requests, alone):
                _report(EpochReport(result, gpu_use(alone.device)))
            return
        with requests.heeded(), TrialProcesses(trial, requests) as processes:
            for message in processes.messages():
                if not isinstance(message.report, EpochReport):
                    break
                _send(message)
            else:
                return
        _send(message)


@contextlib.contextmanager
def failures_reported(
    trial: TrialConfig, requests: EndRequests, report: Callable[[WorkerReport], object]
) -> Iterator[None]:
    """Reports what ends the training of a trial in the context."""
    try:
        yield
    except Stopped:
        report(TrialPreempted())
    except Exception as error:
        # What is told to end may lose its loader processes and its storage on the way.
        report(TrialPreempted() if requests.by_signal else _failure(error, trial))


def _failure(error: Exception, trial: TrialConfig) -> WorkerReport:
    """What is reported of a training that ended by `error`."""
    if isinstance(error, torch.cuda.OutOfMemoryError):
        taken = taken_by_others(torch.device(trial.device), trial.gpu_memory_share)
        if taken is not None:
            return TrialFailed("device", taken, traceback.format_exc())
        parts = ", nor with each batch in two parts" if trial.processes == 1 else ""
        return TrialEnded("oom", f"the GPU's memory does not suffice{parts}")
    if isinstance(error, Diverged):
        return TrialEnded("diverged", str(error))
    if isinstance(error, WeightsGone):
        return TrialEnded("inherited", str(error))
    if isinstance(error, UnreadableImages):
        # What was met before belongs to these images, and they may come back.
        _parts.cache_clear()
        if all(map(is_there, error.files)):
            root = shard_directory(str(trial.data.root))
            paths = tuple(os.path.relpath(name_of(file), root) for file in error.files)
            return SearchHalted("images", str(error), paths)
    if isinstance(error, ImagesChanged):
        return SearchHalted("images", str(error))
    if isinstance(error, StorageFull):
        return SearchHalted("storage", str(error))
    if isinstance(error, StorageLost):
        return SearchHalted("lost storage", str(error))
    return TrialFailed(cause_of(error, trial.data.root), reason_of(error), traceback.format_exc())


def _report(report: WorkerReport) -> None:
    _send(WorkerMessage(report, tuple(warnings_so_far())))
    warnings_so_far().clear()


def _send(message: WorkerMessage) -> None:
    report = message.report
    if isinstance(report, TrialPreempted) and end_requests().by_driver:
        return  # The driver has asked for it, and waits for nothing else.
    tune.report(message.to_result())
    if isinstance(report, TrialPreempted) or (isinstance(report, TrialFailed) and report.cause == "device"):
        os._exit(FAILURE)


@functools.lru_cache(maxsize=1)
def warnings_so_far() -> list[str]:
    """What was warned of since the last report. A worker has no terminal, so the driver says it."""
    messages: list[str] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    logging.getLogger("trainers").addHandler(Collector(logging.WARNING))
    return messages


def trained_epochs(trial: TrialConfig, requests: EndRequests, processes: Processes) -> Iterator[EpochResult]:
    """Every epoch that the ledger does not hold yet, checkpointed before it is yielded, and in between by time.

    Goes on from the newest sound checkpoint of the trial. Epochs that were checkpointed but never recorded are yielded
    again from the checkpoint; recorded ones that have to be trained again are not yielded twice. Where the GPU's memory
    does not suffice to one process, it goes on with each batch in two parts; where that takes too much, too,
    torch.cuda.OutOfMemoryError is raised. Where it is to end, it is checkpointed after the next step, and raises
    Stopped.
    """
    torch.set_num_threads(trial.threads)
    checkpoints = folder_at(trial.checkpoints)
    if isinstance(checkpoints, Directory):
        checkpoints = DirectoryOfTrial(checkpoints.path)
        checkpoints.check()
    known = trial.recorded_epochs
    if processes.device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(trial.gpu_memory_share)
    make = functools.partial(_training, trial, processes)
    follow = functools.partial(_all_epochs, known, requests, Pauses(trial.checkpoint_seconds, requests.requested))
    try:
        for result in train_resumably(make, checkpoints, processes, follow):
            if result.epoch > known:
                known = result.epoch
                yield result
    except OSError as error:
        if is_full(error):
            raise StorageFull(str(error)) from error
        raise


class DirectoryOfTrial(ExistingDirectory):
    """A trial's checkpoints among those of its search, whose directory is not made anew where it has fallen away."""

    def check(self) -> None:
        """Raises StorageMissing where the directory of the search is not there.

        Of a search whose ledger is in a database, Ray makes one anew for its own state.
        """
        if not self.path.parent.is_dir():
            raise StorageMissing(f"the directory of the search, {str(self.path.parents[1])!r}, is not there")

    def write(self, name: str, content: bytes) -> None:
        try:
            self.path.mkdir(exist_ok=True)
            super().write(name, content)
        except FileNotFoundError:
            self.check()
            raise


def folder_at(place: str) -> Folder:
    """The folder at the path of a directory, or at an address."""
    return RemoteFolder(StorageAddress.of(place)) if is_address(place) else Directory(Path(place))


def _training(trial: TrialConfig, processes: Processes) -> Training:
    """The training of a trial as it begins."""
    model = seeded_model(trial.architecture, trial.data_summary, trial.seed)
    if trial.weights is not None:
        inherit(model, trial.architecture, _parents_weights(trial.weights, processes), trial.weights.architecture)
    try:
        train, validation = _parts(trial.data, trial.known_files)
    except (ImagesChanged, UnreadableImages, StorageLost):
        raise
    except (OSError, UserError) as error:
        raise DataUnusable(str(error)) from error
    return Training(
        model,
        train,
        validation,
        trial.training,
        seed=trial.seed,
        device=processes.device,
        rank=processes.rank,
        layout=trial_layout(trial.training, len(train), processes.world_size, on_gpus=processes.device.type == "cuda"),
    )


class WeightsGone(Exception):
    """The weights that a network was to begin with are not there any more."""


def _parents_weights(parent: ParentWeights, processes: Processes) -> Mapping[str, torch.Tensor]:
    """The weights of a parent's network that were evaluated last. Raises WeightsGone where there are none."""
    found = processes.from_first(lambda: newest_sound_checkpoint(folder_at(parent.checkpoints)))
    if found is None:
        raise WeightsGone(f"nothing was inherited: the checkpoints of trial {parent.number} are gone")
    return evaluated_weights(found[1]["training"])


def _all_epochs(
    recorded: int, requests: EndRequests, pauses: Pauses, resumed: ResumableTraining
) -> Iterator[EpochResult]:
    """Every epoch from the first, those that the checkpoint holds taken from there."""
    if len(resumed.results) < recorded:
        warnings_so_far().append(
            f"its checkpoints end with epoch {len(resumed.results)} of the {recorded} that are recorded: "
            "those since were trained again"
        )
    yield from resumed.results
    with requests.heeded():
        yield from resumed.epochs(pauses)


@functools.lru_cache(maxsize=1)
def _parts(data: DataConfig, known: KnownFiles) -> tuple[Images, Images]:
    """The data of a search, read once for all trials of a worker."""
    with tempfile.TemporaryDirectory() as scratch:
        return load_train_validation(data, _known_here(known, Path(scratch)))


def _known_here(known: KnownFiles, scratch: Path) -> KnownFiles:
    """What is known of the images, the index of their files brought here where it is at a storage."""
    if not is_address(known.index):
        return known
    address, here = StorageAddress.of(known.index), scratch / "index"
    # Where there is none, everybody scans them.
    with contextlib.suppress(FileNotFoundError):
        here.write_bytes(RemoteFolder(address.parent).read(address.name))
    return KnownFiles(str(here), known.digest)
