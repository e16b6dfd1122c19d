"""Runs a search's trials on Ray Tune, which keeps the slots of the cluster busy."""

from collections.abc import Callable
from typing import Any

from ray import tune
from ray.tune import FailureConfig, RunConfig, Stopper, TuneConfig, Tuner

from cluster.node_checks import check_nodes
from nas.engine.engine import Engine
from nas.settings.search_settings import ClusterSettings
from nas.workers.scheduler import EngineScheduler
from nas.workers.searcher import EngineSearcher
from nas.workers.trial import train_trial
from nas.workers.trial_config import TrialConfig, TrialTemplate


class _StopWhen(Stopper):
    """Ends the experiment when a condition holds; each trial's own end is the scheduler's."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        self._condition: Callable[[], bool] | None = condition

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._condition is not None and self._condition()

    def __getstate__(self) -> dict[str, Any]:
        return {"_condition": None}


def run_trials(
    engine: Engine,
    template: TrialTemplate,
    cluster: ClusterSettings,
    slots: int,
    should_stop: Callable[[], bool],
    interrupted: Callable[[], bool],
) -> None:
    """Trains what the engine assigns, `slots` trials at a time, until it has no more or `should_stop()` holds.

    Once `interrupted()` holds, a worker that dies says nothing about its trial.
    """
    if should_stop():
        return
    if cluster.address is not None:
        check_nodes(template.directory.path, template.data, template.data_summary, template.known_files)
    resources = {"cpu": cluster.cpus_per_trial, "gpu": cluster.gpus_per_trial}
    halts: list[Exception] = []
    tuner = Tuner(
        tune.with_resources(train_trial, resources),
        tune_config=TuneConfig(
            search_alg=EngineSearcher(engine, template),
            scheduler=EngineScheduler(engine, interrupted, halts),
            num_samples=-1,
            max_concurrent_trials=slots,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=RunConfig(
            name=template.directory.ray.name,
            storage_path=str(template.directory.path),
            stop=_StopWhen(lambda: bool(halts) or should_stop()),
            verbose=0,
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    tuner.fit()
    if halts:
        raise halts[0]


def _trial_name(trial: Any) -> str:
    # A trial that was held and is promoted, or whose worker died, is a new one to Ray Tune.
    config = TrialConfig.from_json(trial.config)
    return f"{config.number:04d}-{config.recorded_epochs}-{trial.trial_id}"
