"""Ray Tune's scheduler: tells the engine each result and each death of a worker, and does what it decides."""

import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ray
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.result import DONE
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from nas.engine.engine import Engine
from nas.engine.faults import Cause, Failure, Faults
from nas.records.trial import Outcome
from nas.workers.failed_trials import FailedTrials
from nas.workers.hung_trials import HungTrials
from nas.workers.nodes import Nodes
from nas.workers.storage_full import StorageFull
from nas.workers.trial_config import (
    EpochReport,
    HaltCause,
    LatencyReport,
    SearchHalted,
    TrialConfig,
    TrialEnded,
    TrialFailed,
    TrialPreempted,
    WorkerMessage,
)
from nas.workers.worker_deaths import NODE_LOST, TOLD_TO_END, death_of_worker
from search_spaces.errors import UserError
from trainers.storage.remote_folder import StorageLost

LOGGER = logging.getLogger(__name__)

# What a worker found that no trial gets past, and what the search then ends with.
HALTS: dict[HaltCause, type[Exception]] = {
    "storage": StorageFull,
    "lost storage": StorageLost,
    "images": UserError,
}
# How a trial ends whose own fault it is, where not as one that failed.
OUTCOMES_BY_CAUSE: dict[Cause, Outcome] = {"death": "crashed", "memory": "oom"}
# What it is where another node may get past it.
NODE_CAUSE: dict[HaltCause, Cause] = {"storage": "storage", "lost storage": "storage", "images": "data"}


class EngineScheduler(FIFOScheduler):
    """Forwards results to the engine. The ledger is the only state, so what Ray Tune pickles of it is empty."""

    _supports_buffered_results = False

    def __init__(
        self,
        engine: Engine,
        nodes: Nodes,
        faults: Faults,
        errors: Path,
        interrupted: Callable[[], bool],
        halts: list[Exception],
    ) -> None:
        """Once `interrupted()` holds, a worker that dies says nothing about its trial.

        To `halts` goes what keeps every trial from going on, into the directory `errors` what is said of each failure.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self._engine: Engine | None = engine
        self._nodes: Nodes | None = nodes
        self._faults: Faults | None = faults
        self._failed: FailedTrials | None = FailedTrials(engine, nodes, faults, errors)
        self._interrupted: Callable[[], bool] | None = interrupted
        self._halts = halts
        self._hung = HungTrials(
            engine.settings.hung_after_seconds,
            [(record.flops, epoch.epoch_seconds) for record in engine.records for epoch in record.epochs],
        )
        # What is known already of workers that are about to die.
        self._doomed: dict[int, Failure] = {}
        # Trials that are checkpointed, their workers having been told to end.
        self._preempted: set[int] = set()
        # Ray Tune's trials that have trained an epoch.
        self._have_trained: set[str] = set()
        # Those that have reported something, until they have ended.
        self._with_results: dict[str, Trial] = {}

    def choose_trial_to_run(self, tune_controller: TuneController) -> Trial | None:
        """Called at every turn of Ray Tune's loop, which has one for every event of every trial."""
        if self._hung.is_due:
            self._look_after(tune_controller)
        chosen: Trial | None = super().choose_trial_to_run(tune_controller)
        return chosen

    def _look_after(self, tune_controller: TuneController) -> None:
        """Ends the workers of trials that are hung, and gives back what waits for a node that is lost."""
        assert self._engine is not None
        live = tune_controller.get_live_trials()
        running = {TrialConfig.number_in(trial.config): trial for trial in live if trial.status == Trial.RUNNING}
        flops = {number: self._engine.record(number).flops for number in running}
        for number, reason in self._hung.look(flops).items():
            trial = running[number]
            actor = trial.temporary_state.ray_actor
            if actor is not None:
                self._doomed[number] = self._failure(trial, "timeout", reason, "crashed")
                ray.kill(actor)
        self._give_back_from_lost_nodes(tune_controller)
        self._forget_results()

    def _give_back_from_lost_nodes(self, tune_controller: TuneController) -> None:
        """Those that had no worker yet: Ray would wait for their node for ever."""
        assert self._engine is not None and self._nodes is not None
        for trial in list(tune_controller.get_live_trials()):
            number, node = TrialConfig.number_in(trial.config), TrialConfig.node_in(trial.config)
            if trial.status == Trial.PENDING and not self._nodes.is_there(node):
                tune_controller.stop_trial(trial)
                self._engine.report_mishap(number, self._nodes.name(node), NODE_LOST)
                self._engine.give_back(number)

    def _forget_results(self) -> None:
        """Drops what Ray Tune keeps to the end of all that ended trials have reported, which nobody asks for."""
        for trial in [trial for trial in self._with_results.values() if trial.is_finished()]:
            del self._with_results[trial.trial_id]
            self._have_trained.discard(trial.trial_id)
            # Where there were nothing at all, Ray Tune would ask its worker, who has another trial by now.
            trial.run_metadata.last_result = {DONE: True}
            trial.run_metadata.metric_analysis, trial.run_metadata.metric_n_steps = {}, {}

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        assert self._engine is not None and self._failed is not None
        self._with_results[trial.trial_id] = trial
        number, node = TrialConfig.number_in(trial.config), TrialConfig.node_in(trial.config)
        message = WorkerMessage.from_result(result)
        for warning in message.warnings:
            LOGGER.warning("trial %d: %s", number, warning)
        match message.report:
            case SearchHalted(cause, reason, images):
                return self._halted(trial, cause, reason, images)
            case TrialFailed(cause, reason, traceback):
                self._failed.keep(number, node, traceback)
                failure = self._failure(trial, cause, reason, OUTCOMES_BY_CAUSE.get(cause, "failed"))
                if cause == "device":
                    # Its worker ends by itself, and is seen to then.
                    self._doomed[number] = failure
                    return TrialScheduler.CONTINUE
                self._failed.failed(failure)
                return TrialScheduler.STOP
            case TrialPreempted():
                # Its worker ends by itself, and is seen to then.
                self._preempted.add(number)
                return TrialScheduler.CONTINUE
            case TrialEnded("oom", reason):
                self._failed.does_not_fit(number, node, reason)
                return TrialScheduler.STOP
            case TrialEnded(outcome, reason):
                self._engine.end(number, outcome, reason)
                return TrialScheduler.STOP
            case LatencyReport(latency_ms):
                self._engine.report_latency(number, latency_ms)
                return TrialScheduler.CONTINUE
            case EpochReport(epoch, gpu):
                self._hung.progress(number, self._engine.record(number).flops, epoch.epoch_seconds)
                self._have_trained.add(trial.trial_id)
                self._failed.trained(number, node, functools.partial(_numbers, tune_controller))
                continues = self._engine.report_epoch(number, epoch, gpu)
                return TrialScheduler.CONTINUE if continues else TrialScheduler.STOP

    def _halted(self, trial: Trial, cause: HaltCause, reason: str, images: tuple[str, ...]) -> str:
        """What no trial gets past on this node: where there is none that may, it ends the search."""
        assert self._engine is not None and self._failed is not None
        number, node = TrialConfig.number_in(trial.config), TrialConfig.node_in(trial.config)
        if self._failed.has_elsewhere(number, node):
            self._failed.failed(self._failure(trial, NODE_CAUSE[cause], reason, "failed"))
            return TrialScheduler.STOP
        if images:
            self._engine.report_unreadable_images(images)
        self._halts.append(HALTS[cause](reason))
        return TrialScheduler.STOP

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        assert self._engine is not None and self._failed is not None and self._nodes is not None
        assert self._interrupted is not None
        if self._interrupted():
            return
        number, node = TrialConfig.number_in(trial.config), TrialConfig.node_in(trial.config)
        doomed = self._doomed.pop(number, None)
        if doomed is not None:
            self._failed.failed(doomed)
            return
        error = "" if trial.error_file is None else Path(trial.error_file).read_text(encoding="utf-8")
        death = death_of_worker(error)
        # One that takes too much memory is told to end, too, right before it is killed.
        if number in self._preempted and death.outcome != "oom":
            death = TOLD_TO_END
        self._preempted.discard(number)
        if death.outcome is None:
            self._engine.report_mishap(number, self._nodes.name(node), death.reason)
            self._engine.worker_died(number, death.reason, None)
            LOGGER.warning("trial %d: %s, it goes on from its checkpoint", number, death.reason)
            if death is TOLD_TO_END:
                self._nodes.is_to_end(node)
            return
        self._failed.keep(number, node, error)
        self._failed.failed(self._failure(trial, death.cause, death.reason, death.outcome))

    def _failure(self, trial: Trial, cause: Cause, reason: str, outcome: Outcome) -> Failure:
        number, node = TrialConfig.number_in(trial.config), TrialConfig.node_in(trial.config)
        return Failure(number, node, cause, reason, outcome, trial.trial_id not in self._have_trained)

    def __getstate__(self) -> dict[str, Any]:
        kept = ("_engine", "_nodes", "_faults", "_failed", "_interrupted")
        return {**self.__dict__, **dict.fromkeys(kept), "_halts": [], "_with_results": {}}


def _numbers(tune_controller: TuneController) -> frozenset[int]:
    """The trials that are at a worker, or wait for one of Ray Tune's, which keeps those that failed for some time."""
    live = (trial for trial in tune_controller.get_live_trials() if not trial.is_finished())
    return frozenset(TrialConfig.number_in(trial.config) for trial in live)
