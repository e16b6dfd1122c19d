"""Full trainings and detectors in MLflow: a run for each, nested in that of its trial, which is nested in the search's.

Trainers know nothing of MLflow: what they left on disk is read. A training is known by its key, so that it has one run
however often it is brought in.
"""

from collections.abc import Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from nas.tracking.tracker import BATCH, LONGEST_PARAM, Tracker
from nas.tracking.trained_fields import TrainedRun, run_of
from trainers.bundle.trained import Trained
from trainers.detection.trained import TrainedDetector

# Written last: a run that has it is whole.
WHOLE = "nas.result"


def log_trained(uri: str, tracker: Tracker, search_id: str, trained: Sequence[Trained | TrainedDetector]) -> None:
    """Writes what MLflow lacks of what was trained on from trials of the search. Raises where it cannot be written."""
    client = MlflowClient(tracking_uri=uri)
    for each in map(run_of, trained):
        run = _run(client, tracker, search_id, each)
        if run.data.tags.get(WHOLE) != each.digest:
            _write(client, run, each)


def _run(client: MlflowClient, tracker: Tracker, search_id: str, trained: TrainedRun) -> Run:
    """The run of a training; of several, which a lost answer may have made, one is kept."""
    query = (
        f"tags.`nas.search_id` = '{search_id}' and tags.`nas.kind` = '{trained.kind}' "
        f"and tags.`nas.{trained.kind}` = '{trained.key}'"
    )
    found: list[Run] = client.search_runs([tracker.experiment_id], query, order_by=["attributes.start_time ASC"])
    for other in found[1:]:
        client.delete_run(other.info.run_id)
    if found:
        return found[0]
    return client.create_run(
        tracker.experiment_id,
        start_time=_started_ms(trained),
        tags=trained.tags(search_id, tracker.trial_run_id(trained.trial)),
        run_name=trained.name,
    )


def _started_ms(trained: TrainedRun) -> int:
    """About when it began: its directory was written at its end."""
    return round(1000 * (Path(trained.directory).stat().st_mtime - trained.seconds))


def _write(client: MlflowClient, run: Run, trained: TrainedRun) -> None:
    run_id = run.info.run_id
    params = [Param(key, value[:LONGEST_PARAM]) for key, value in trained.params.items() if key not in run.data.params]
    points = trained.points(run.info.start_time)
    metrics = [Metric(point.name, point.value, point.milliseconds, point.step) for point in points]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics[start : start + BATCH], params)
        params = []
    for name in trained.files:
        if (path := Path(trained.directory) / name).is_file():
            client.log_artifact(run_id, str(path))
    ended_ms = run.info.start_time + round(1000 * trained.seconds)
    client.set_terminated(run_id, status="FINISHED", end_time=ended_ms)
    client.log_batch(run_id, tags=[RunTag(WHOLE, trained.digest)])
