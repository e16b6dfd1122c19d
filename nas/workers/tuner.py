"""Runs a search's trials on Ray: starts or joins the cluster, and lets Ray Tune keep its slots busy."""

import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import FailureConfig, RunConfig, Stopper, TuneConfig, Tuner

from cluster.node_checks import check_nodes
from nas.engine.engine import Engine
from nas.settings.search_settings import ClusterSettings
from nas.workers.scheduler import EngineScheduler
from nas.workers.searcher import EngineSearcher, TrialTemplate
from nas.workers.trial import train_trial
from search_spaces.errors import UserError, first_line

PROJECT = Path(__file__).resolve().parents[2]
PACKAGES = ("nas", "search_spaces", "trainers", "cluster")

# A reused worker has this long to finish its epoch when its trial is stopped; with Ray's 2 s a search can hang.
WORKER_ENVIRONMENT = {"TUNE_FUNCTION_THREAD_TIMEOUT_S": "30"}
DRIVER_ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Ctrl-C is ours to handle.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    # Ray Tune's own snapshots are never read; the ledger is what a search is resumed from.
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    # A worker that dies with its node is the engine's to see to, as any other.
    "RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}


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


@contextlib.contextmanager
def ray_cluster(cluster: ClusterSettings) -> Iterator[int]:
    """Ray, started on this machine or joined, for as long as the context lasts. Yields how many trials run at a time.

    Raises UserError where the cluster cannot be reached or cannot run a single trial.
    """
    os.environ.update(DRIVER_ENVIRONMENT)
    runtime_env: dict[str, Any] = {"env_vars": WORKER_ENVIRONMENT}
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR, "configure_logging": True}
    if cluster.address is None:
        options |= {"address": "local", "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    else:
        # Workers elsewhere need the code of this checkout, and nothing that lies beside it.
        runtime_env |= {"working_dir": str(PROJECT), "excludes": _excludes()}
        options["address"] = cluster.address
    try:
        ray.init(runtime_env=runtime_env, **options)
    except Exception as error:  # Ray raises no less where one of its processes dies while it starts.
        where = f"at {cluster.address!r}" if cluster.address else "on this machine"
        raise UserError(f"no Ray cluster {where}: {first_line(error)}") from None
    # What befalls a worker is said by the search, in a line.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    try:
        yield _slots(cluster)
    finally:
        ray.shutdown()


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
        check_nodes(template.directory.path, template.data, template.data_summary)
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
    return f"{trial.config['number']:04d}-{trial.config['recorded_epochs']}-{trial.trial_id}"


def _slots(cluster: ClusterSettings) -> int:
    available = ray.cluster_resources()
    cpus, gpus = available.get("CPU", 0), available.get("GPU", 0)
    slots = int(cpus // cluster.cpus_per_trial)
    if cluster.gpus_per_trial:
        slots = min(slots, int(gpus / cluster.gpus_per_trial))
    if slots < 1:
        raise UserError(
            f"a trial takes {cluster.cpus_per_trial:g} CPUs and {cluster.gpus_per_trial:g} GPUs, "
            f"and the cluster has {cpus:g} and {gpus:g}: lower --cpus-per-trial or --gpus-per-trial."
        )
    return slots


def _excludes() -> list[str]:
    """Everything in the project's directory but its packages."""
    return [f"/{path.name}" for path in PROJECT.iterdir() if path.name not in PACKAGES]
