"""MLflow as a view of the ledger, on a real store."""

from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from nas.records import TrialRecord
from nas.summary import Summary, summarise
from nas.tracking import Tracker, TrackerThread
from tests.search_fixtures import trial_record

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


@pytest.fixture(scope="module")
def template_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty store; making one takes seconds."""
    path = tmp_path_factory.mktemp("store") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


@pytest.fixture
def store(template_store: Path, tmp_path: Path) -> str:
    (tmp_path / "mlflow.db").write_bytes(template_store.read_bytes())
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def tracker(store: str, tmp_path: Path, search_id: str = "s1") -> Tracker:
    return Tracker(store, tmp_path / "artifacts", "architecture search", "name", search_id)


def runs(store: str, search_id: str = "s1") -> dict[str, object]:
    client = MlflowClient(store)
    experiment = client.get_experiment_by_name("architecture search")
    found = client.search_runs([experiment.experiment_id], f"tags.`nas.search_id` = '{search_id}'")
    return {run.data.tags.get("nas.trial", "parent"): run for run in found}


def history(store: str, run_id: str, metric: str) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in MlflowClient(store).get_metric_history(run_id, metric)]


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
    assert child.data.params["stage2"] == "A5×2r" and child.data.params["stem"] == "convolution"
    assert child.data.metrics["flops"] == 3_000_000 and child.data.metrics["params"] == 1001
    assert history(store, child.info.run_id, "val_accuracy") == [(1, 0.6), (2, 0.9)]
    assert history(store, child.info.run_id, "epoch_seconds") == [(1, 2.0), (2, 2.0)]


def test_a_run_is_true_to_what_happened(store: str, tmp_path: Path) -> None:
    tracker(store, tmp_path).sync(*state(later_records()))
    found = runs(store)
    assert [found[number].info.status for number in "0145"] == ["FINISHED", "FINISHED", "KILLED", "FAILED"]
    assert found["4"].data.tags["nas.reason"] == "rung of epoch 1"
    assert found["1"].data.tags["pareto"] == "front" and "pareto" not in found["0"].data.tags
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
    assert len(history(store, found["parent"].info.run_id, "front_size")) == 2


def test_searches_are_kept_apart(store: str, tmp_path: Path) -> None:
    tracker(store, tmp_path).sync(*state(first_records()))
    tracker(store, tmp_path, "s2").sync(*state(later_records()))
    assert len(runs(store)) == 3 and len(runs(store, "s2")) == 5


def test_artifacts_and_the_note_are_on_the_parent(store: str, tmp_path: Path) -> None:
    view = tracker(store, tmp_path)
    (tmp_path / "front.csv").write_text("a\n", encoding="utf-8")
    view.finish([tmp_path / "front.csv"], "[Report](#/x)", interrupted=False)
    parent = runs(store)["parent"]
    assert parent.info.status == "FINISHED" and parent.data.tags["mlflow.note.content"] == "[Report](#/x)"
    assert [file.path for file in MlflowClient(store).list_artifacts(parent.info.run_id)] == ["front.csv"]
    assert (tmp_path / "artifacts" / parent.info.run_id / "artifacts" / "front.csv").is_file()


def test_an_outage_only_delays(store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server answers only later: nothing is raised, and then everything is there once."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    records = first_records()
    uris = ["http://127.0.0.1:9", store]
    thread = TrackerThread(lambda: tracker(uris[0], tmp_path), lambda: state(records))
    thread._turn()
    assert thread.tracker is None and thread.failure is not None
    uris.pop(0)
    with thread:
        pass
    assert thread.failure is None and set(runs(store)) == {"parent", "0", "1"}


def test_an_interrupted_trial_goes_on_in_its_run(store: str, tmp_path: Path) -> None:
    records = first_records()
    tracker(store, tmp_path).sync(*state(records))
    before = runs(store)["1"].info
    assert before.status == "RUNNING"
    records[1] = replace(later_records()[1])
    tracker(store, tmp_path).sync(*state(records))
    after = runs(store)["1"].info
    assert after.run_id == before.run_id and after.status == "FINISHED"
