"""Full trainings in MLflow: a run for each, nested in the run of its trial, which is nested in that of the search.

Trainers know nothing of MLflow: what they left on disk is read. A training is known by its key, so that it has one run
however often it is brought in.
"""

from collections.abc import Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from nas.tracking.full_training_fields import (
    KIND,
    result_digest,
    training_key,
    training_metrics,
    training_name,
    training_params,
    training_tags,
)
from nas.tracking.tracker import BATCH, LONGEST_PARAM, Tracker
from trainers.bundle.trained import Trained

# What a run shows of the output directory, where it is there.
FILES = ("history.csv", "classes.csv", "confusion.csv", "corruptions.csv", "curves.png", "confusion.png", "result.json")
# Written last: a run that has it is whole.
WHOLE = "nas.result"


def log_full_trainings(uri: str, tracker: Tracker, search_id: str, trainings: Sequence[Trained]) -> None:
    """Writes what MLflow lacks of these trainings of trials of the search. Raises where MLflow cannot be written."""
    client = MlflowClient(tracking_uri=uri)
    for trained in trainings:
        trial = int(trained.bundle.provenance.origin["trial"])
        run = _run(client, tracker, search_id, trained, trial)
        if run.data.tags.get(WHOLE) != result_digest(trained):
            _write(client, run, trained)


def _run(client: MlflowClient, tracker: Tracker, search_id: str, trained: Trained, trial: int) -> Run:
    """The run of a training; of several, which a lost answer may have made, one is kept."""
    query = (
        f"tags.`nas.search_id` = '{search_id}' and tags.`nas.kind` = '{KIND}' "
        f"and tags.`nas.full_training` = '{training_key(trained)}'"
    )
    found: list[Run] = client.search_runs([tracker.experiment_id], query, order_by=["attributes.start_time ASC"])
    for other in found[1:]:
        client.delete_run(other.info.run_id)
    if found:
        return found[0]
    return client.create_run(
        tracker.experiment_id,
        start_time=_started_ms(trained),
        tags=training_tags(trained, search_id, trial, tracker.trial_run_id(trial)),
        run_name=training_name(trained, trial),
    )


def _started_ms(trained: Trained) -> int:
    """About when it began: its bundle was written at its end."""
    ended = Path(trained.directory).stat().st_mtime
    return round(1000 * (ended - trained.result["seconds"]))


def _write(client: MlflowClient, run: Run, trained: Trained) -> None:
    run_id = run.info.run_id
    params = [
        Param(key, value[:LONGEST_PARAM])
        for key, value in training_params(trained).items()
        if key not in run.data.params
    ]
    points = training_metrics(trained, run.info.start_time)
    metrics = [Metric(point.name, point.value, point.milliseconds, point.step) for point in points]
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run_id, metrics[start : start + BATCH], params)
        params = []
    for name in FILES:
        if (path := Path(trained.directory) / name).is_file():
            client.log_artifact(run_id, str(path))
    ended_ms = run.info.start_time + round(1000 * trained.result["seconds"])
    client.set_terminated(run_id, status="FINISHED", end_time=ended_ms)
    client.log_batch(run_id, tags=[RunTag(WHOLE, result_digest(trained))])
