"""Ray Tune's scheduler: tells the engine each result, and does what it decides."""

from typing import Any

from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler, TrialScheduler

from nas.engine import Engine
from trainers.loop import EpochResult


class EngineScheduler(FIFOScheduler):
    """Forwards results to the engine. The ledger is the only state, so what Ray Tune pickles of it is empty."""

    _supports_buffered_results = False

    def __init__(self, engine: Engine) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._engine: Engine | None = engine

    def on_trial_result(self, tune_controller: TuneController, trial: Trial, result: dict[str, Any]) -> str:
        assert self._engine is not None
        number = trial.config["number"]
        if "ended" in result:
            self._engine.end(number, result["ended"], result["reason"])
            return TrialScheduler.STOP
        epoch = EpochResult(**{name: result[name] for name in EpochResult.__dataclass_fields__})
        return TrialScheduler.CONTINUE if self._engine.report_epoch(number, epoch) else TrialScheduler.STOP

    def on_trial_error(self, tune_controller: TuneController, trial: Trial) -> None:
        assert self._engine is not None
        self._engine.end(trial.config["number"], "failed", "its worker process died")

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_engine": None}
