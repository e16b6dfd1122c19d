"""MLflow, as a view of the ledger. The only file that sees it.

One writer in the driver, in a thread of its own: nothing that trains waits for it. What is written is keyed by (search
id, trial number) and read back before the first write, so a restart repeats nothing and an outage only delays.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag

from nas.records import Outcome, TrialRecord, front_of
from nas.report import REPORT_PAGE, stage_texts
from nas.summary import Summary

LOGGER = logging.getLogger(__name__)

# Without this the UI opens a run or an experiment among the pages for language models.
UI_OF_TRAINING = "workflowType=machine_learning"

SYNC_SECONDS = 3.0
BATCH = 900  # MLflow takes at most 1,000 metrics in one request.

# A run's status has to be true to what happened; MLflow has these.
RUN_STATUS: dict[Outcome, str] = {"finished": "FINISHED", "stopped": "KILLED", "diverged": "FAILED", "failed": "FAILED"}


@dataclass(slots=True)
class _Child:
    """What MLflow holds of a trial."""

    run_id: str
    epochs: int = 0
    outcome: str = "running"
    on_front: bool = False


class Tracker:
    """The MLflow view of one search: a parent run, and a child run for each trial that trained.

    `uri` is a tracking URI. Artifacts of a new experiment go to `artifacts` (None: where the server puts them).
    """

    def __init__(self, uri: str, artifacts: Path | None, experiment: str, name: str, search_id: str) -> None:
        self._client = MlflowClient(tracking_uri=uri)
        self._experiment_id = self._ensure_experiment(experiment, artifacts)
        self._search_id = search_id
        self._parent = self._find("tags.`nas.kind` = 'search'")
        if not self._parent:
            tags = {"nas.kind": "search", "nas.search_id": search_id}
            self._parent = self._client.create_run(self._experiment_id, tags=tags, run_name=name)
        self._children = self._read_children()

    def _ensure_experiment(self, name: str, artifacts: Path | None) -> str:
        existing: Experiment | None = self._client.get_experiment_by_name(name)
        if existing is not None:
            return str(existing.experiment_id)
        location = None if artifacts is None else artifacts.as_uri()
        return str(self._client.create_experiment(name, artifact_location=location))

    def _find(self, extra: str) -> Run | None:
        found = self._client.search_runs(
            [self._experiment_id], f"tags.`nas.search_id` = '{self._search_id}' and {extra}", max_results=1
        )
        return found[0] if found else None

    def _read_children(self) -> dict[int, _Child]:
        children: dict[int, _Child] = {}
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id],
                f"tags.`nas.search_id` = '{self._search_id}' and tags.`nas.kind` = 'trial'",
                max_results=1000,
                page_token=token,
            )
            for run in page:
                tags = run.data.tags
                children[int(tags["nas.trial"])] = _Child(
                    run.info.run_id, int(tags["nas.epochs"]), tags["nas.outcome"], tags.get("pareto") == "front"
                )
            token = page.token
            if not token:
                return children

    @property
    def report_url_path(self) -> str:
        """Where the interactive report is in the MLflow UI, from the server's address on."""
        assert self._parent is not None
        run = f"#/experiments/{self._experiment_id}/runs/{self._parent.info.run_id}"
        return f"{run}/artifacts/{REPORT_PAGE}?{UI_OF_TRAINING}"

    @property
    def runs_url_path(self) -> str:
        """Where the list of runs is in the MLflow UI; by itself the UI opens on another page."""
        return f"#/experiments/{self._experiment_id}/runs?{UI_OF_TRAINING}"

    def describe(self, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Writes what the search was started with onto the parent run."""
        assert self._parent is not None
        written = self._parent.data.params
        fresh = [Param(key, str(value)[:6000]) for key, value in params.items() if key not in written]
        run_tags = [RunTag(key, value) for key, value in tags.items()]
        self._client.log_batch(self._parent.info.run_id, params=fresh, tags=run_tags)
        self._client.update_run(self._parent.info.run_id, status="RUNNING")

    def sync(self, records: Sequence[TrialRecord], summary: Summary) -> None:
        """Brings MLflow up to the ledger. Writes only what changed."""
        on_front = {record.number for record in front_of(records)}
        changed = False
        for record in records:
            if record.trained:
                changed |= self._sync_trial(record, record.number in on_front)
        if changed:
            self._write_totals(summary)

    def _sync_trial(self, record: TrialRecord, on_front: bool) -> bool:
        child = self._children.get(record.number)
        if child is None:
            child = self._children[record.number] = self._create_child(record)
        fresh = record.epochs[child.epochs :]
        ended = record.outcome != child.outcome
        if not fresh and not ended and on_front == child.on_front:
            return False
        now = int(time.time() * 1000)
        metrics = [
            Metric(name, value, now, epoch.epoch)
            for epoch in fresh
            for name, value in epoch.to_json().items()
            if name != "epoch"
        ]
        tags = [RunTag("nas.epochs", str(len(record.epochs))), RunTag("nas.outcome", record.outcome)]
        if on_front != child.on_front:
            tags.append(RunTag("pareto", "front" if on_front else "dominated"))
        if record.reason:
            tags.append(RunTag("nas.reason", record.reason[:5000]))
        for start in range(0, max(1, len(metrics)), BATCH):
            # The tags say how far the metrics go, so they are written with the last of them.
            last = start + BATCH >= len(metrics)
            self._client.log_batch(child.run_id, metrics=metrics[start : start + BATCH], tags=tags if last else [])
        if ended and record.outcome in RUN_STATUS:
            end = None if record.finished_at is None else int(record.finished_at * 1000)
            self._client.set_terminated(child.run_id, status=RUN_STATUS[record.outcome], end_time=end)
        child.epochs, child.outcome, child.on_front = len(record.epochs), record.outcome, on_front
        return True

    def _create_child(self, record: TrialRecord) -> _Child:
        assert self._parent is not None
        started = None if record.started_at is None else int(record.started_at * 1000)
        tags = {
            "mlflow.parentRunId": self._parent.info.run_id,
            "nas.kind": "trial",
            "nas.search_id": self._search_id,
            "nas.trial": str(record.number),
            "nas.epochs": "0",
            "nas.outcome": "running",
            "nas.anchor": str(record.anchor).lower(),
            "nas.seed": str(record.seed),
        }
        run = self._client.create_run(self._experiment_id, start_time=started, tags=tags, run_name=record.name)
        architecture = record.architecture
        params = {
            "architecture_id": architecture.id,
            "depth": architecture.depth,
            "base_channels": architecture.base_channels,
            "stem": architecture.stem,
            **{f"stage{index + 1}": text for index, text in enumerate(stage_texts(architecture))},
        }
        costs = [Metric(name, float(value), int(time.time() * 1000), 0) for name, value in
                 (("flops", record.flops), ("params", record.params))]  # fmt: skip
        self._client.log_batch(run.info.run_id, costs, [Param(key, str(value)[:6000]) for key, value in params.items()])
        return _Child(run.info.run_id)

    def _write_totals(self, summary: Summary) -> None:
        assert self._parent is not None
        step = summary.epochs_trained
        now = int(time.time() * 1000)
        values: dict[str, float] = {
            "hypervolume": summary.hypervolume,
            "front_size": len(summary.front),
            "accelerator_hours": summary.accelerator_hours,
            **{f"trials_{outcome}": number for outcome, number in summary.counts.items()},
        }
        if summary.best:
            values["best_val_accuracy"] = summary.best.point[0]
        metrics = [Metric(name, float(value), now, step) for name, value in values.items()]
        self._client.log_batch(self._parent.info.run_id, metrics=metrics)

    def finish(self, artifacts: Sequence[Path], note: str, interrupted: bool) -> None:
        """Logs the report and the summary on the parent, and ends it."""
        assert self._parent is not None
        run_id = self._parent.info.run_id
        for path in artifacts:
            self._client.log_artifact(run_id, str(path))
        self._client.set_tag(run_id, "mlflow.note.content", note)
        self._client.set_terminated(run_id, status="KILLED" if interrupted else "FINISHED")


class TrackerThread:
    """Keeps MLflow up to date from a thread, for as long as its context lasts.

    MLflow being down is no error of the search: it is tried again at every turn, and `failure` holds the last reason.
    """

    def __init__(self, make: Callable[[], Tracker], state: Callable[[], tuple[Sequence[TrialRecord], Summary]]) -> None:
        self._make = make
        self._state = state
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self.tracker: Tracker | None = None
        self.failure: str | None = None

    def __enter__(self) -> "TrackerThread":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing.set()
        self._thread.join()

    def finish(self, artifacts: Sequence[Path], note: Callable[[Tracker], str], interrupted: bool) -> None:
        """Logs the artifacts and ends the parent run, unless MLflow is down."""

        def write() -> None:
            if self.tracker is not None:
                self.tracker.finish(artifacts, note(self.tracker), interrupted)

        self._attempt(write)

    def _run(self) -> None:
        while not self._closing.wait(SYNC_SECONDS):
            self._turn()
        self._turn()

    def _turn(self) -> None:
        self._attempt(self._sync)

    def _sync(self) -> None:
        if self.tracker is None:
            self.tracker = self._make()
        self.tracker.sync(*self._state())
        self.failure = None

    def _attempt(self, write: Callable[[], None]) -> None:
        try:
            write()
        except Exception as error:
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            if self.failure is None:
                LOGGER.warning("MLflow cannot be written: %s", reason)
            self.failure = reason


def quiet_mlflow() -> None:
    """Keeps MLflow's start-up messages, and the address that it would guess a server at, out of the terminal."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # A server that does not answer is found out in seconds, not in minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
