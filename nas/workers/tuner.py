"""Runs a search's trials on Ray Tune, which keeps the slots of the cluster busy."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

from ray import tune
from ray.tune import FailureConfig, PlacementGroupFactory, RunConfig, Stopper, TuneConfig, Tuner
from ray.tune.progress_reporter import TrialProgressCallback
from ray.util.placement_group import NODE_ID_LABEL_KEY

from nas.engine.engine import Engine
from nas.engine.faults import Faults
from nas.settings.cluster_settings import ClusterSettings
from nas.workers.autoscaler import Autoscaler
from nas.workers.checked_nodes import CheckedNodes
from nas.workers.end_requests import Listening, ask_for_end
from nas.workers.nodes import Nodes
from nas.workers.scheduler import EngineScheduler
from nas.workers.searcher import EngineSearcher
from nas.workers.shipped_variables import keep_credentials
from nas.workers.trial import train_trial
from nas.workers.trial_config import TrialConfig, TrialTemplate


class _StopWhen(Stopper):
    """Ends the experiment when a condition holds, and what is trained; each trial's own end is the scheduler's."""

    def __init__(self, condition: Callable[[], bool]) -> None:
        self._condition: Callable[[], bool] | None = condition
        self._has_asked = False

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        if self._condition is None or not self._condition():
            return False
        if not self._has_asked:
            self._has_asked = True
            ask_for_end()
        return True

    def __getstate__(self) -> dict[str, Any]:
        return {"_condition": None, "_has_asked": True}


class _Silent(TrialProgressCallback):
    """Says nothing. Ray Tune's own calls a trial completed whose node was lost before it began."""

    def _print(self, msg: str) -> None:
        pass


def run_trials(
    engine: Engine,
    template: TrialTemplate,
    cluster: ClusterSettings,
    checked: CheckedNodes | None,
    should_stop: Callable[[], bool],
    interrupted: Callable[[], bool],
    autoscaler: Autoscaler | None = None,
) -> None:
    """Trains what the engine assigns, on every node as many trials as fit, until it has no more or `should_stop()`.

    `autoscaler` brings nodes as they are needed, None where nobody does. `checked` are those that were checked; None
    where there is but this machine. Once `interrupted()` holds, a worker that dies says nothing about its trial. Raises
    EverythingFails.
    """
    if should_stop():
        return
    keep_credentials()
    halts: list[Exception] = []
    faults = Faults()
    ledger = engine.ledger
    nodes = Nodes(cluster, faults, checked, engine.report_nodes_left_out, ledger.clock, ledger.nodes_left_out)
    train_trial.__mixins__ = (Listening,)  # type: ignore[attr-defined]
    tuner = Tuner(
        tune.with_resources(train_trial, functools.partial(_resources, cluster)),
        tune_config=TuneConfig(
            search_alg=EngineSearcher(engine, template, nodes, faults, halts, should_stop, autoscaler),
            scheduler=EngineScheduler(engine, nodes, faults, template.directory.errors, interrupted, halts),
            num_samples=-1,
            reuse_actors=True,
            trial_name_creator=_trial_name,
            trial_dirname_creator=_trial_name,
        ),
        run_config=RunConfig(
            name=template.directory.ray.name,
            storage_path=str(template.directory.path),
            stop=_StopWhen(lambda: bool(halts) or should_stop()),
            verbose=0,
            callbacks=[_Silent()],
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    try:
        tuner.fit()
    finally:
        nodes.close()
    if halts:
        raise halts[0]


def _resources(cluster: ClusterSettings, config: Mapping[str, Any]) -> PlacementGroupFactory:
    """What a trial takes, of the node that it was assigned to."""
    bundle = {"CPU": cluster.trial_cpus, "GPU": cluster.gpus_per_trial}
    return PlacementGroupFactory([bundle], bundle_label_selector=[{NODE_ID_LABEL_KEY: TrialConfig.node_in(config)}])


def _trial_name(trial: Any) -> str:
    # A trial that was held and is promoted, or whose worker died, is a new one to Ray Tune.
    config = TrialConfig.from_config(trial.config)
    return f"{config.number:04d}-{config.recorded_epochs}-{trial.trial_id}"
