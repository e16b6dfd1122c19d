"""What Ray Tune is told and what it may forget, on a real engine and Ray Tune's own trials, without its loop."""

from pathlib import Path
from typing import Any, cast

import pytest
from ray.train._internal.storage import StorageContext
from ray.tune.execution.tune_controller import TuneController
from ray.tune.experiment import Trial

from nas.engine.faults import Faults
from nas.records.whereabouts import GpuUse
from nas.workers.nodes import Nodes
from nas.workers.scheduler import EngineScheduler
from nas.workers.trial_config import EpochReport, SearchHalted, WorkerMessage
from tests.nas.workers.test_failed_trials import TwoNodes
from tests.support.engines import SHORT, new_engine
from tests.support.searches import epoch_result
from tests.support.trials import trial_config
from trainers.storage.remote_folder import StorageLost


class NoLoop:
    """Ray Tune's controller, with nothing else in it than trials."""

    def __init__(self, *trials: Trial) -> None:
        self._trials = trials

    def get_live_trials(self) -> set[Trial]:
        return {trial for trial in self._trials if not trial.is_finished()}


def test_a_worker_that_was_killed_for_memory_is_first_the_nodes_and_where_no_other_is_left_the_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = new_engine(tmp_path, full=SHORT, trials=4, scheduler="none")
    storage = StorageContext(storage_path=str(tmp_path), experiment_dir_name="ray")
    scheduler = EngineScheduler(engine, cast(Nodes, TwoNodes()), Faults(), tmp_path / "errors", lambda: False, [])
    said = tmp_path / "error.txt"
    said.write_text("Task was killed due to the node running low on memory.", encoding="utf-8")
    monkeypatch.setattr(Trial, "error_file", str(said))  # Ray Tune's own place needs a running Ray.
    outcomes = []
    for node in "abb":
        assert engine.next_assignment() is not None
        trial = Trial("none", config=trial_config(number=0, node=node).to_config(), stub=True, storage=storage)
        scheduler.on_trial_error(cast(TuneController, NoLoop(trial)), trial)
        outcomes.append((engine.record(0).outcome, engine.record(0).deaths))
    assert outcomes == [("running", 0), ("running", 1), ("oom", 2)]
    assert engine.record(0).reason == "its worker was killed: the machine was short of memory"
    assert (tmp_path / "errors" / "0000.txt").read_text(encoding="utf-8").count("running low on memory") == 3


def test_a_storage_that_is_away_is_tried_from_elsewhere_and_then_ends_the_search(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, full=SHORT, trials=4, scheduler="none")
    storage = StorageContext(storage_path=str(tmp_path), experiment_dir_name="ray")
    halts: list[Exception] = []
    scheduler = EngineScheduler(engine, cast(Nodes, TwoNodes()), Faults(), tmp_path / "errors", lambda: False, halts)
    result = WorkerMessage(SearchHalted("lost storage", "s3://b/one cannot be read: gone")).to_result()
    for node, found in (("a", []), ("b", [StorageLost("s3://b/one cannot be read: gone")])):
        assert engine.next_assignment() is not None
        trial = Trial("none", config=trial_config(number=0, node=node).to_config(), stub=True, storage=storage)
        assert scheduler.on_trial_result(cast(TuneController, NoLoop(trial)), trial, result) == "STOP"
        assert list(map(repr, halts)) == list(map(repr, found))
    assert engine.record(0).outcome == "running"


def test_what_ended_trials_have_reported_is_not_kept(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, full=SHORT, trials=4, scheduler="none")
    storage = StorageContext(storage_path=str(tmp_path), experiment_dir_name="ray")
    scheduler = EngineScheduler(engine, cast(Nodes, TwoNodes()), Faults(), tmp_path / "errors", lambda: False, [])
    trials = []
    for number in range(2):
        assert engine.next_assignment() is not None
        config = trial_config(number=number, node="a").to_config()
        trials.append(Trial("none", config=config, trial_id=f"{number:08d}", stub=True, storage=storage))
        trials[-1].set_status(Trial.RUNNING)
    controller = cast(TuneController, NoLoop(*trials))

    def report(trial: Trial, epoch: int) -> str:
        message = WorkerMessage(EpochReport(epoch_result(epoch), GpuUse(1, 2, None)))
        result: dict[str, Any] = {**message.to_result(), "training_iteration": epoch, "time_total_s": float(epoch)}
        decided = scheduler.on_trial_result(controller, trial, result)
        trial.update_last_result(result)
        return decided

    first, second = trials
    assert [report(first, epoch) for epoch in (1, 2)] == ["CONTINUE", "STOP"]
    assert report(second, 1) == "CONTINUE"
    first.set_status(Trial.TERMINATED)
    scheduler._look_after(controller)
    assert first.last_result == {"done": True, "trial_id": "00000000"} and not first.metric_analysis
    assert second.last_result["training_iteration"] == 1 and second.metric_analysis["time_total_s"]["max"] == 1.0
