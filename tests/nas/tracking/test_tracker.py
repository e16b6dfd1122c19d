"""MLflow as a view of the ledger, on a real store."""

import sqlite3
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from nas.records.summary import Summary, summarise
from nas.records.trial import TrialRecord
from nas.tracking.run_fields import epoch_metrics
from nas.tracking.tracker import Tracker
from tests.support.bundles import inference_cost
from tests.support.mlflow_server import empty_store
from tests.support.present import present
from tests.support.searches import trial_record

REFERENCE = (0.1, 10_000_000.0)


def first_records() -> list[TrialRecord]:
    return [
        trial_record(0, (0.5, 0.8), flops=4_000_000, anchor=True),
        trial_record(1, (0.6,), flops=3_000_000, outcome="running"),
        trial_record(2, (), outcome="rejected"),
        trial_record(3, (), outcome="duplicate", duplicate_of=0),
    ]


def later_records() -> list[TrialRecord]:
    first = first_records()
    return [
        first[0],
        trial_record(1, (0.6, 0.9), flops=3_000_000),
        *first[2:],
        trial_record(4, (0.3,), flops=9_000_000, outcome="stopped", reason="rung of epoch 1"),
        trial_record(5, (), outcome="diverged", reason="the loss is not finite in epoch 1"),
    ]


def state(records: list[TrialRecord]) -> tuple[list[TrialRecord], Summary]:
    return records, summarise(records, REFERENCE)


@pytest.fixture
def store(tmp_path: Path) -> str:
    (tmp_path / "mlflow.db").write_bytes(empty_store())
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def tracker(store: str, tmp_path: Path, search_id: str = "s1") -> Tracker:
    return Tracker(store, tmp_path / "artifacts", "architecture search", "name", search_id, rungs=(1,))


def runs(store: str, search_id: str = "s1") -> dict[str, Run]:
    client = MlflowClient(store)
    experiment = present(client.get_experiment_by_name("architecture search"))
    found = client.search_runs([experiment.experiment_id], f"tags.`nas.search_id` = '{search_id}'")
    return {run.data.tags.get("nas.trial", "parent"): run for run in found}


def history(store: str, run_id: str, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in MlflowClient(store).get_metric_history(run_id, metric)]


def test_what_was_said_of_a_failure_is_kept_with_its_run_once(store: str, tmp_path: Path) -> None:
    failures = [
        trial_record(0, (0.5,), outcome="failed", reason="RuntimeError: half of it is missing"),
        trial_record(1, (), outcome="diverged", reason="the loss is not finite in epoch 1"),
        trial_record(2, (0.5,), outcome="running"),
    ]
    errors = tmp_path / "errors"
    errors.mkdir()
    for number in (0, 2):
        (errors / f"000{number}.txt").write_text("Traceback (most recent call last):\n", encoding="utf-8")
    view = Tracker(store, tmp_path / "artifacts", "architecture search", "name", "s1", errors=errors)
    view.sync(*state(failures))
    (errors / "0000.txt").unlink()
    view.sync(*state(failures))
    client, found = MlflowClient(store), runs(store)
    kept = {trial: [each.path for each in client.list_artifacts(run.info.run_id)] for trial, run in found.items()}
    assert kept == {"parent": [], "0": ["0000.txt"], "1": [], "2": []}
    assert f"runs/{found['0'].info.run_id}/artifacts/0000.txt" in found["0"].data.tags["mlflow.note.content"]
    assert found["0"].data.tags["nas.errors"] == "0000.txt" and found["0"].info.status == "FAILED"


def test_a_search_is_a_parent_and_a_child_for_each_trial_that_trained(store: str, tmp_path: Path) -> None:
    view = tracker(store, tmp_path)
    view.describe({"training.epochs": 2}, {"nas.code_revision": "abc"})
    view.sync(*state(first_records()))
    view.sync(*state(later_records()))
    found = runs(store)
    assert set(found) == {"parent", "0", "1", "4", "5"}
    parent, child = found["parent"], found["1"]
    assert parent.data.params == {"training.epochs": "2"} and parent.data.tags["nas.code_revision"] == "abc"
    assert parent.data.metrics["front_size"] == 1 and parent.data.metrics["trials_stopped"] == 1
    assert parent.data.metrics["hypervolume"] == pytest.approx(summarise(later_records(), REFERENCE).hypervolume)
    assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert child.info.run_name == later_records()[1].name
    assert child.data.params["stage2"] == "A5×2r" and child.data.params["stage2.heads"] == "2"
    assert child.data.metrics["flops"] == 3_000_000 and child.data.metrics["params"] == 1001
    assert history(store, child.info.run_id, "val_accuracy") == [(1, 0.6), (2, 0.9)]
    assert history(store, child.info.run_id, "epoch_seconds") == [(1, 2.0), (2, 2.0)]


def test_a_run_is_true_to_what_happened(store: str, tmp_path: Path) -> None:
    tracker(store, tmp_path).sync(*state(later_records()))
    found = runs(store)
    assert [found[number].info.status for number in "0145"] == ["FINISHED", "FINISHED", "KILLED", "FAILED"]
    assert found["4"].data.tags["nas.reason"] == "rung of epoch 1"
    assert found["1"].data.tags["pareto"] == "front" and found["0"].data.tags["pareto"] == "dominated"
    assert "pareto" not in found["4"].data.tags and found["4"].data.tags["nas.rung"] == "1"
    assert found["0"].data.tags["nas.duplicates"] == "3" and found["0"].data.tags["nas.seed"] == "0"
    assert found["0"].info.end_time == 1_060_000


def test_leaving_the_front_is_written(store: str, tmp_path: Path) -> None:
    view = tracker(store, tmp_path)
    view.sync(*state(first_records()))
    assert runs(store)["0"].data.tags["pareto"] == "front"
    view.sync(*state(later_records()))
    assert runs(store)["0"].data.tags["pareto"] == "dominated"


def test_a_restart_repeats_nothing(store: str, tmp_path: Path) -> None:
    tracker(store, tmp_path).sync(*state(first_records()))
    tracker(store, tmp_path).sync(*state(later_records()))
    tracker(store, tmp_path).sync(*state(later_records()))
    found = runs(store)
    assert len(found) == 5
    assert history(store, found["0"].info.run_id, "val_accuracy") == [(1, 0.5), (2, 0.8)]
    assert history(store, found["1"].info.run_id, "val_accuracy") == [(1, 0.6), (2, 0.9)]
    # The front stays at one member, so its size is written once; the epochs go on, so the hours are written twice.
    assert len(history(store, found["parent"].info.run_id, "front_size")) == 1
    assert len(history(store, found["parent"].info.run_id, "accelerator_hours")) == 2


def test_searches_are_kept_apart(store: str, tmp_path: Path) -> None:
    tracker(store, tmp_path).sync(*state(first_records()))
    tracker(store, tmp_path, "s2").sync(*state(later_records()))
    assert len(runs(store)) == 3 and len(runs(store, "s2")) == 5


def test_files_and_the_note_are_on_the_parent(store: str, tmp_path: Path) -> None:
    view = tracker(store, tmp_path)
    (tmp_path / "front.csv").write_text("a\n", encoding="utf-8")
    view.log_files([tmp_path / "front.csv"])
    view.finish("[Report](#/x)", interrupted=False)
    ended = runs(store)["parent"].info.end_time
    view.finish("[Report](#/x)", interrupted=False)
    parent = runs(store)["parent"]
    assert parent.info.end_time == ended
    assert parent.info.status == "FINISHED" and parent.data.tags["mlflow.note.content"] == "[Report](#/x)"
    assert [file.path for file in MlflowClient(store).list_artifacts(parent.info.run_id)] == ["front.csv"]
    assert (tmp_path / "artifacts" / parent.info.run_id / "artifacts" / "front.csv").is_file()


def test_the_experiment_holds_the_views_and_its_note_leads_to_them(store: str, tmp_path: Path) -> None:
    client = MlflowClient(store)
    for search_id in ("s1", "s2"):
        view = tracker(store, tmp_path, search_id)
        view.describe({}, {})
        tags = present(client.get_experiment_by_name("architecture search")).tags
        assert tags["mlflow.note.content"].startswith(view.links)
    assert sorted(key for key in tags if "View" in key) == [
        f"mlflow.sharedViewState.{slug}" for slug in ("front-alone-s1", "front-alone-s2", "front-s1", "front-s2")
    ]
    assert view.links == runs(store, "s2")["parent"].data.tags["mlflow.note.content"]


def test_an_interrupted_trial_goes_on_in_its_run(store: str, tmp_path: Path) -> None:
    records = first_records()
    view = tracker(store, tmp_path)
    view.sync(*state(records))
    before = runs(store)["1"].info
    assert before.status == "RUNNING"
    view.finish("", interrupted=True)
    found = runs(store)
    assert found["1"].info.status == "SCHEDULED" and found["parent"].info.status == "KILLED"
    resumed = tracker(store, tmp_path)
    resumed.sync(*state(records))
    assert runs(store)["1"].info.status == "RUNNING"
    records[1] = replace(later_records()[1])
    resumed.sync(*state(records))
    after = runs(store)["1"].info
    assert after.run_id == before.run_id and after.status == "FINISHED"


def test_a_measurement_after_the_end_is_written(store: str, tmp_path: Path) -> None:
    view = tracker(store, tmp_path)
    records = later_records()
    view.sync(*state(records))
    ended = runs(store)["1"].info.end_time
    records[1] = replace(records[1], inference=inference_cost(latency_ms=2.5))
    view.sync(*state(records))
    found = runs(store)["1"]
    assert found.data.metrics["latency_ms"] == 2.5 and found.info.end_time == ended


class Calls:
    """Lets a client's writes through, and remembers them; `fail_after` raises once so many were let through."""

    WRITES = ("create_run", "log_batch", "set_terminated", "update_run", "set_tag", "set_experiment_tag")

    def __init__(self, view: Tracker, monkeypatch: pytest.MonkeyPatch, fail_after: int | None = None) -> None:
        self.made: list[str] = []
        for name in self.WRITES:
            monkeypatch.setattr(view._client, name, self._wrapped(name, getattr(view._client, name), fail_after))

    def _wrapped(self, name: str, call: Any, fail_after: int | None) -> Any:
        def wrapped(*arguments: Any, **keywords: Any) -> Any:
            self.made.append(name)
            result = call(*arguments, **keywords)
            # The answer is lost, not the request: the worst that an outage can do.
            if fail_after is not None and len(self.made) > fail_after:
                raise ConnectionError("no answer")
            return result

        return wrapped


def test_only_what_changed_is_written(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    view = tracker(store, tmp_path)
    calls = Calls(view, monkeypatch)
    view.sync(*state(first_records()))
    # A finished trial, a running one, and the totals.
    assert calls.made == ["create_run", "log_batch", "set_terminated", "create_run", "log_batch", "log_batch"]
    calls.made.clear()
    view.sync(*state(first_records()))
    assert calls.made == []
    records = first_records()
    records[1] = later_records()[1]
    view.sync(*state(records))
    # Trial 0 leaves the front, trial 1 ends on it, and the totals.
    assert calls.made == ["log_batch", "log_batch", "set_terminated", "log_batch"]


def contents(store: str) -> dict[str, tuple[Any, ...]]:
    """All that a store holds of the search, by trial, without run ids and times of writing."""
    held: dict[str, tuple[Any, ...]] = {}
    for key, run in runs(store).items():
        tags = {name: value for name, value in run.data.tags.items() if name != "mlflow.parentRunId"}
        points = {name: history(store, run.info.run_id, name) for name in run.data.metrics}
        held[key] = (run.info.run_name, run.info.status, run.data.params, tags, points if key != "parent" else None)
    return held


@pytest.mark.parametrize("fail_after", range(9))
def test_an_answer_lost_at_any_write_leaves_everything_there_once(
    fail_after: int, store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = later_records()
    view = tracker(store, tmp_path)
    with monkeypatch.context() as patched, pytest.raises(ConnectionError):
        Calls(view, patched, fail_after)
        view.sync(*state(records))
    view.reload()
    view.sync(*state(records))
    parent = runs(store)["parent"]
    assert {len(history(store, parent.info.run_id, name)) for name in parent.data.metrics} == {1}
    held = contents(store)
    assert set(held) == {"parent", "0", "1", "4", "5"}
    for record in records:
        if record.trained:
            name, _, params, _, points = held[str(record.number)]
            assert name == record.name and params["architecture_id"] == record.architecture.id
            expected = [(point.step, point.value) for point in epoch_metrics(record, 0) if point.name == "val_accuracy"]
            assert points.get("val_accuracy", []) == expected and points["flops"] == [(0, float(record.flops))]


def test_a_run_made_twice_by_a_request_repeated_is_kept_once(store: str, tmp_path: Path) -> None:
    view = tracker(store, tmp_path)
    view.sync(*state(first_records()))
    client = MlflowClient(store)
    for key, later in (("0", 10_000), ("1", -10_000), ("parent", 10_000), ("parent", -10_000)):
        run = runs(store)[key]
        tags = {name: value for name, value in run.data.tags.items() if name.startswith("nas.")}
        client.create_run(run.info.experiment_id, start_time=run.info.start_time + later, tags=tags)
    again = tracker(store, tmp_path)
    again.sync(*state(first_records()))
    assert all(run.data.metrics for run in runs(store).values())
    experiment = present(client.get_experiment_by_name("architecture search")).experiment_id
    assert len(client.search_runs([experiment])) == 3 and again.run_id == view.run_id


def test_trials_follow_a_parent_that_took_the_place_of_another(store: str, tmp_path: Path) -> None:
    view = tracker(store, tmp_path)
    view.sync(*state(first_records()))
    MlflowClient(store).delete_run(view.run_id)
    again = tracker(store, tmp_path)
    again.sync(*state(first_records()))
    found = runs(store)
    parent = found.pop("parent")
    assert parent.info.run_id == again.run_id != view.run_id
    assert {run.data.tags["mlflow.parentRunId"] for run in found.values()} == {again.run_id}


def test_a_sqlite_store_that_cannot_be_opened_is_known_at_once(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.Error):
        tracker(f"sqlite:///{tmp_path / 'missing' / 'mlflow.db'}", tmp_path)
    (tmp_path / "mlflow.db").write_bytes(b"not a database" * 100)
    with pytest.raises(sqlite3.Error):
        tracker(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
