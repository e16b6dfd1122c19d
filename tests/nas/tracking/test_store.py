"""The same search written to a server over HTTP and to PostgreSQL behind it, with the server gone for a while."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from nas.records.front import front_of
from nas.records.summary import summarise
from nas.records.trial import TrialRecord
from nas.tracking.environment import quiet_mlflow
from nas.tracking.run_fields import epoch_metrics
from nas.tracking.tracker import Tracker
from tests.support.mlflow_server import end_server, free_port, start_server
from tests.support.postgresql_server import postgresql_server
from tests.support.present import present
from tests.support.simulated_search import RUNGS, simulated_search

pytestmark = pytest.mark.slow

REFERENCE = (0.1, 2e7)


@pytest.fixture(autouse=True)
def quick() -> None:
    quiet_mlflow()


@pytest.fixture
def postgresql() -> Iterator[str]:
    with postgresql_server() as address:
        yield address


def write(uri: str, artifacts: Path | None, records: list[TrialRecord]) -> Tracker:
    tracker = Tracker(uri, artifacts, "searches", "name", "s1", RUNGS)
    tracker.describe({"training.epochs": 18}, {"nas.code_revision": "abc"})
    tracker.sync(records, summarise(records, REFERENCE))
    return tracker


def check_everything_is_there_once(uri: str, records: list[TrialRecord]) -> None:
    client = MlflowClient(uri)
    found = client.search_runs([present(client.get_experiment_by_name("searches")).experiment_id], max_results=1000)
    trials = {int(run.data.tags["nas.trial"]): run for run in found if run.data.tags["nas.kind"] == "trial"}
    trained = [record for record in records if record.trained]
    assert len(found) == len(trained) + 1 and set(trials) == {record.number for record in trained}
    assert {number for number, run in trials.items() if run.data.tags.get("pareto") == "front"} == {
        record.number for record in front_of(records)
    }
    for record in trained:
        for metric in ("val_accuracy", "epoch_seconds"):
            history = client.get_metric_history(trials[record.number].info.run_id, metric)
            expected = [(point.step, point.value) for point in epoch_metrics(record, 0) if point.name == metric]
            assert sorted((point.step, point.value) for point in history) == expected


def halves(trials: int) -> tuple[list[TrialRecord], list[TrialRecord]]:
    """A search at half its way, and at its end."""
    records = simulated_search(trials)
    return records[: len(records) // 2], records


def through_an_outage(store: str, tmp_path: Path) -> None:
    """Writes half a search to a server, ends the server, fails, starts it again, and writes the rest."""
    early, records = halves(12)
    port, log = free_port(), tmp_path / "server.log"
    uri = f"http://127.0.0.1:{port}"
    server = start_server(store, tmp_path / "artifacts", port, log)
    try:
        tracker = write(uri, None, early)
        end_server(server)
        with pytest.raises(Exception, match=r"HTTP|[Cc]onnection|Max retries"):
            tracker.sync(records, summarise(records, REFERENCE))
        server = start_server(store, tmp_path / "artifacts", port, log)
        tracker.reload()
        tracker.sync(records, summarise(records, REFERENCE))
        (tmp_path / "front.html").write_text("<p>", encoding="utf-8")
        tracker.log_files([tmp_path / "front.html"])
        tracker.finish(tracker.links, interrupted=False)
        check_everything_is_there_once(uri, records)
    finally:
        end_server(server)


def test_a_server_over_http_through_an_outage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    through_an_outage(f"sqlite:///{tmp_path / 'mlflow.db'}", tmp_path)
    # MLflow's client would print an address for each run that ends.
    assert capfd.readouterr().out == ""


def test_a_server_with_postgresql_behind_it_through_an_outage(postgresql: str, tmp_path: Path) -> None:
    through_an_outage(postgresql, tmp_path)


def test_postgresql_itself_written_twice(postgresql: str, tmp_path: Path) -> None:
    early, records = halves(12)
    write(postgresql, tmp_path / "artifacts", early)
    write(postgresql, tmp_path / "artifacts", records)
    write(postgresql, tmp_path / "artifacts", records)
    check_everything_is_there_once(postgresql, records)
