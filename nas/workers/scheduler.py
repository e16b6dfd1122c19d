"""Ray Tune's scheduler: tells the engine each result and each death of a worker, and does what it decides."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from nas.engine.engine import Engine
from nas.workers.hung_trials import HungTrials
from nas.workers.storage_full import StorageFull
from nas.workers.trial_config import (
    EpochReport,
    HaltCause,
    LatencyReport,
    SearchHalted,
    TrialConfig,
    TrialEnded,
    WorkerMessage,
)
from nas.workers.worker_deaths import death_of_worker
from search_spaces.errors import UserError

LOGGER = logging.getLogger(__name__)

# What a worker found that no trial gets past, and what the search then ends with.
HALTS: dict[HaltCause, type[Exception]] = {"storage": StorageFull, "images": UserError}


class EngineScheduler(FIFOScheduler):
    """Forwards results to the engine. The ledger is the only state, so what Ray Tune pickles of it is empty."""

    _supports_buffered_results = False

    def __init__(self, engine: Engine, interrupted: Callable[[], bool], halts: list[Exception]) -> None:
        """Once `interrupted()` holds, a worker that dies says nothing about its trial.

        To `halts` goes what keeps every trial from going on.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._engine: Engine | None = engine
        self._interrupted: Callable[[], bool] | None = interrupted
        self._halts = halts
        self._hung = HungTrials(
            engine.settings.hung_after_seconds,
            [(record.flops, epoch.epoch_seconds) for record in engine.records for epoch in record.epochs],
        )
        self._killed: dict[int, str] = {}

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Called at every turn of Ray Tune's loop, some ten a second."""
        assert self._engine is not None
        live = tune_controller.get_live_trials()
        running = {TrialConfig.number_in(trial.config): trial for trial in live if trial.status == Trial.RUNNING}
        flops = {number: self._engine.record(number).flops for number in running}
        for number, reason in self._hung.look(flops).items():
            actor = running[number].temporary_state.ray_actor
            if actor is not None:
                self._killed[number] = reason
                ray.kill(actor)
        chosen: Trial | None = super().choose_trial_to_run(tune_controller)
        return chosen

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        assert self._engine is not None
        number = TrialConfig.number_in(trial.config)
        message = WorkerMessage.from_result(result)
        for warning in message.warnings:
            LOGGER.warning("trial %d: %s", number, warning)
        match message.report:
            case SearchHalted(cause, reason, images):
                if images:
                    self._engine.report_unreadable_images(images)
                self._halts.append(HALTS[cause](reason))
                return TrialScheduler.STOP
            case TrialEnded(outcome, reason):
                self._engine.end(number, outcome, reason)
                return TrialScheduler.STOP
            case LatencyReport(latency_ms):
                self._engine.report_latency(number, latency_ms)
                return TrialScheduler.CONTINUE
            case EpochReport(epoch):
                self._hung.progress(number, self._engine.record(number).flops, epoch.epoch_seconds)
                continues = self._engine.report_epoch(number, epoch)
                return TrialScheduler.CONTINUE if continues else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        assert self._engine is not None and self._interrupted is not None
        if self._interrupted():
            return
        number = TrialConfig.number_in(trial.config)
        hung = self._killed.pop(number, None)
        error = "" if trial.error_file is None else Path(trial.error_file).read_text(encoding="utf-8")
        death = death_of_worker(error)
        reason, outcome = (hung, "crashed") if hung else (death.reason, death.outcome)
        self._engine.worker_died(number, reason, outcome)
        # One that ends by it is a failed trial, which whoever shows the search says.
        if self._engine.record(number).outcome == "running":
            LOGGER.warning("trial %d: %s, it goes on from its checkpoint", number, reason)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engine": None, "_interrupted": None}
