"""What an MLflow store holds of a search, held against the search's records."""

from collections.abc import Sequence

from mlflow import MlflowClient
from mlflow.entities import Run

from nas.records.front import front_of
from nas.records.summary import Summary
from nas.records.trial import TrialRecord
from nas.tracking.run_fields import EPOCH_METRICS, architecture_params, run_status, summary_metrics
from tests.support.present import present

WAITING = "SCHEDULED"


def check_all_there_once(
    uri: str, experiment: str, records: Sequence[TrialRecord], summary: Summary, status: str = "FINISHED"
) -> Run:
    """Asserts that every run, metric, parameter and tag of an ended search is there, and no other. The parent run."""
    client = MlflowClient(uri)
    found = client.search_runs([present(client.get_experiment_by_name(experiment)).experiment_id], max_results=1000)
    (parent,) = [run for run in found if run.data.tags["nas.kind"] == "search"]
    children = [run for run in found if run is not parent]
    trained = {record.number: record for record in records if record.trained}
    assert sorted(int(run.data.tags["nas.trial"]) for run in children) == sorted(trained)
    front = {record.number for record in front_of(records)}
    for run in children:
        record = trained[int(run.data.tags["nas.trial"])]
        _check_child(client, run, record)
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert (run.data.tags.get("pareto") == "front") == (record.number in front)
    assert parent.info.status == status and parent.info.end_time >= parent.info.start_time
    assert parent.data.metrics == summary_metrics(summary)
    for name in parent.data.metrics:
        points = [(point.step, point.value) for point in client.get_metric_history(parent.info.run_id, name)]
        assert len(points) == len(set(points)), (name, points)
    return parent


def _check_child(client: MlflowClient, run: Run, record: TrialRecord) -> None:
    def history(name: str) -> list[tuple[int, float]]:
        return sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, name))

    for name in EPOCH_METRICS:
        expected = [(epoch.epoch, getattr(epoch, name)) for epoch in record.epochs]
        assert history(name) == expected, (record.number, name)
    costs: dict[str, float] = {"flops": record.flops, "params": record.params}
    if record.inference is not None:
        costs |= {"latency_ms": record.inference.latency_ms, "peak_memory_mb": record.inference.peak_memory_mb}
        costs["inference_latency_low_ms"] = record.inference.latency_low_ms
        costs["inference_latency_high_ms"] = record.inference.latency_high_ms
    for name, value in costs.items():
        assert history(name) == [(0, value)], (record.number, name)
    assert set(run.data.metrics) == {*costs, *(EPOCH_METRICS if record.epochs else ())}
    assert run.data.params == architecture_params(record.architecture)
    assert run.info.status == (WAITING if record.outcome in ("running", "held") else run_status(record.outcome))
    tags = run.data.tags
    assert (tags["nas.outcome"], tags["nas.epochs"]) == (record.outcome, str(len(record.epochs)))
    assert tags.get("nas.reason") == record.reason and run.info.run_name == record.name
