"""MLflow, as a view of the ledger: one search's runs, and what the UI needs to show them.

What is written is keyed by (search id, trial number) and read back before the first write, so a restart repeats nothing
and an outage only delays. `tracking_thread.py` calls it, off the path of everything that trains.
"""

import logging
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from nas.experiment_views import experiment_note, front_path, links, report_path, view_tags
from nas.records import TrialRecord, front_of
from nas.run_fields import (
    changing_tags,
    cost_metrics,
    duplicates_of,
    epoch_metrics,
    fixed_tags,
    run_params,
    run_status,
    summary_metrics,
)
from nas.summary import Summary

BATCH = 900  # MLflow takes at most 1,000 metrics in one request.
LONGEST_PARAM = 6000
NOTE = "mlflow.note.content"


@dataclass(slots=True)
class _Child:
    """What MLflow holds of a trial."""

    run_id: str
    status: str = "RUNNING"
    tags: dict[str, str] = field(default_factory=dict)
    metrics: set[str] = field(default_factory=set)

    @property
    def described(self) -> bool:
        """Whether its parameters, its costs and the epochs that its tags count are written; they come in this order."""
        return "flops" in self.metrics

    @property
    def epochs(self) -> int:
        return int(self.tags["nas.epochs"]) if self.described else 0


class Tracker:
    """The MLflow view of one search: a parent run, and a child run for each trial that trained.

    `uri` is a tracking URI. Artifacts of a new experiment go to `artifacts` (None: where the server puts them). `rungs`
    are in epochs. Any method raises where MLflow cannot be written; called again, it goes on where it was.
    """

    def __init__(
        self, uri: str, artifacts: Path | None, experiment: str, name: str, search_id: str, rungs: Sequence[int] = ()
    ) -> None:
        _check_store(uri)
        self._client = MlflowClient(tracking_uri=uri)
        self._search_id = search_id
        self._name = name
        self._rungs = tuple(rungs)
        self._experiment_id = self._ensure_experiment(experiment, artifacts)
        self._parent = self._ensure_parent()
        self._totals: dict[str, float] = dict(self._parent.data.metrics)
        self._children: dict[int, _Child] = {}
        self.last_answer = time.monotonic()
        self.reload()

    @property
    def links(self) -> str:
        """One line of Markdown that leads to the front, to the front alone and to the report."""
        return links(self._experiment_id, self.run_id, self._search_id)

    @property
    def front_path(self) -> str:
        """Where the front is in the MLflow UI, from the server's address on."""
        return front_path(self._experiment_id, self._search_id)

    @property
    def report_path(self) -> str:
        """Where the interactive report is in the MLflow UI, from the server's address on."""
        return report_path(self._experiment_id, self.run_id)

    @property
    def run_id(self) -> str:
        """The parent run."""
        return str(self._parent.info.run_id)

    def _ensure_experiment(self, name: str, artifacts: Path | None) -> str:
        existing = self._client.get_experiment_by_name(name)
        if existing is not None:
            return str(existing.experiment_id)
        location = None if artifacts is None else artifacts.as_uri()
        try:
            return str(self._client.create_experiment(name, artifact_location=location))
        except MlflowException:
            made: Experiment | None = self._client.get_experiment_by_name(name)  # by another search, just now
            if made is None:
                raise
            return str(made.experiment_id)

    def _ensure_parent(self) -> Run:
        found = self._search("search")
        if found:
            return self._only_one(found)
        tags = {"nas.kind": "search", "nas.search_id": self._search_id}
        return self._client.create_run(self._experiment_id, tags=tags, run_name=self._name)

    def _search(self, kind: str) -> list[Run]:
        """Every run of this search of one kind."""
        runs: list[Run] = []
        token = None
        while True:
            page = self._client.search_runs(
                [self._experiment_id],
                f"tags.`nas.search_id` = '{self._search_id}' and tags.`nas.kind` = '{kind}'",
                max_results=1000,
                page_token=token,
            )
            runs += page
            token = page.token
            if not token:
                return runs

    def _only_one(self, runs: Sequence[Run]) -> Run:
        """The first of several runs of the same key; the others, from requests whose answer was lost, are deleted."""
        kept, *others = sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))
        for run in others:
            self._client.delete_run(run.info.run_id)
        return kept

    def reload(self) -> None:
        """Reads what MLflow holds of the trials. Needed after a write that failed: it may have arrived all the same."""
        by_trial: dict[int, list[Run]] = {}
        for run in self._search("trial"):
            by_trial.setdefault(int(run.data.tags["nas.trial"]), []).append(run)
        self._children = {}
        for number, runs in by_trial.items():
            run = self._only_one(runs)
            self._children[number] = _Child(run.info.run_id, run.info.status, run.data.tags, set(run.data.metrics))
        self._answered()

    def _answered(self) -> None:
        self.last_answer = time.monotonic()

    def describe(self, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Writes what the search was started with onto the parent run, and its views onto the experiment."""
        written = self._parent.data.params
        fresh = [Param(key, str(value)[:LONGEST_PARAM]) for key, value in params.items() if key not in written]
        run_tags = [RunTag(key, value) for key, value in {NOTE: self.links, **tags}.items()]
        self._client.log_batch(self.run_id, params=fresh, tags=run_tags)
        self._client.update_run(self.run_id, status="RUNNING")
        held = self._client.get_experiment(self._experiment_id).tags
        note = experiment_note(held.get(NOTE, ""), self._experiment_id, self._name, self.links)
        wanted = view_tags(self._search_id, self._name, self._parent.info.start_time) | {NOTE: note}
        for key, value in wanted.items():
            if held.get(key) != value:
                self._client.set_experiment_tag(self._experiment_id, key, value)
        self._answered()

    def sync(self, records: Sequence[TrialRecord], summary: Summary) -> None:
        """Brings MLflow up to the ledger. Writes only what changed."""
        on_front = {record.number for record in front_of(records)}
        duplicates = duplicates_of(records)
        for record in records:
            if record.trained:
                tags = changing_tags(record, record.number in on_front, self._rungs, duplicates.get(record.number, ()))
                self._sync_trial(record, tags)
        self._sync_totals(summary)

    def _sync_trial(self, record: TrialRecord, tags: Mapping[str, str]) -> None:
        child = self._children.get(record.number) or self._create_child(record, tags)
        params = [] if child.described else _params(run_params(record))
        points = epoch_metrics(record, child.epochs)
        points += [point for point in cost_metrics(record) if point.name not in child.metrics]
        fresh = {key: value for key, value in tags.items() if child.tags.get(key) != value}
        if params or points or fresh:
            metrics = [Metric(point.name, point.value, point.milliseconds, point.step) for point in points]
            for start in range(0, max(1, len(metrics)), BATCH):
                # The tags say how far the metrics go, so they are written with the last of them.
                last = start + BATCH >= len(metrics)
                run_tags = [RunTag(key, value) for key, value in fresh.items()] if last else []
                self._client.log_batch(child.run_id, metrics[start : start + BATCH], params, run_tags)
                params = []
            child.tags |= fresh
            child.metrics |= {point.name for point in points}
            self._answered()
        self._set_status(child, run_status(record.outcome), record.finished_at)

    def _set_status(self, child: _Child, status: str, finished_at: float | None) -> None:
        if status == child.status:
            return
        if status in ("FINISHED", "KILLED", "FAILED"):
            end = None if finished_at is None else round(1000 * finished_at)
            self._client.set_terminated(child.run_id, status=status, end_time=end)
        else:
            self._client.update_run(child.run_id, status=status)
        child.status = status
        self._answered()

    def _create_child(self, record: TrialRecord, tags: Mapping[str, str]) -> _Child:
        known = {**fixed_tags(record, self._search_id), **tags}
        run = self._client.create_run(
            self._experiment_id,
            start_time=None if record.started_at is None else round(1000 * record.started_at),
            tags={"mlflow.parentRunId": self.run_id, **known},
            run_name=record.name,
        )
        child = self._children[record.number] = _Child(run.info.run_id, tags=dict(known))
        self._answered()
        return child

    def _sync_totals(self, summary: Summary) -> None:
        changed = {name: value for name, value in summary_metrics(summary).items() if self._totals.get(name) != value}
        if changed:
            now = round(1000 * time.time())
            metrics = [Metric(name, value, now, summary.epochs_trained) for name, value in changed.items()]
            self._client.log_batch(self.run_id, metrics=metrics)
            self._totals |= changed
            self._answered()

    def log_files(self, paths: Sequence[Path]) -> None:
        """Logs files onto the parent, in place of those of the same names."""
        for path in paths:
            self._client.log_artifact(self.run_id, str(path))
            self._answered()

    def finish(self, note: str, interrupted: bool) -> None:
        """Writes the note of the search and ends its run; trials that wait for a resumption are shown as scheduled."""
        for child in self._children.values():
            if child.status == "RUNNING":
                self._set_status(child, "SCHEDULED", None)
        self._client.set_tag(self.run_id, NOTE, note)
        self._client.set_terminated(self.run_id, status="KILLED" if interrupted else "FINISHED")
        self._answered()


def _params(values: Mapping[str, str]) -> list[Param]:
    return [Param(key, value[:LONGEST_PARAM]) for key, value in values.items()]


def _check_store(uri: str) -> None:
    """Raises sqlite3.Error where a SQLite store cannot be written; MLflow itself would retry that for 100 s."""
    path = uri.removeprefix("sqlite:///")
    if path == uri or not path or path.startswith(("?", ":")):
        return
    connection = sqlite3.connect(path.partition("?")[0], timeout=5)
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.rollback()
    finally:
        connection.close()


def quiet_mlflow() -> None:
    """Keeps MLflow's start-up messages, and the address that it would guess a server at, out of the terminal."""
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    # A server that does not answer is found out in seconds, not in minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
