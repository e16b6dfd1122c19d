"""MLflow, as a view of the ledger: one search's runs, and what the UI needs to show them.

What is written is keyed by (search id, trial number) and read back before the first write, so a restart repeats nothing
and an outage only delays. A request whose answer was lost may have arrived, or may arrive later: values sent again are
the same points, which MLflow keeps once, and of runs made twice one is kept. `writer_thread.py` calls it, off the
path of everything that trains.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from nas.records.front import front_of
from nas.records.objectives import CostName
from nas.records.summary import Summary
from nas.records.trial import FAILURES, TrialRecord
from nas.settings.run_directory import error_file
from nas.tracking.environment import check_store, remove_mistaken_directory
from nas.tracking.new_store import make_store
from nas.tracking.run_fields import (
    architecture_params,
    changing_tags,
    cost_metrics,
    duplicates_of,
    epoch_metrics,
    fixed_tags,
    run_status,
    summary_metrics,
)
from nas.tracking.views import artifact_path, experiment_note, front_path, links, report_path, view_tags

BATCH = 900  # MLflow takes at most 1,000 metrics in one request.
LONGEST_PARAM = 6000
NOTE = "mlflow.note.content"
# Of a trial that was trained to the end: the command that makes a bundle of it.
EXPORT_TAG = "nas.export"
# Of a failed trial: the artifact that holds what was said of it.
FAILURE_TAG = "nas.errors"

Value = TypeVar("Value", str, float)


@dataclass(slots=True)
class _Held:
    """What MLflow holds of a trial, or of the search."""

    run_id: str
    status: str = "RUNNING"
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run) -> "_Held":
        return cls(run.info.run_id, run.info.status, run.data.tags, run.data.params, run.data.metrics)

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
    are in epochs. `clock` gives seconds since 1970, and so is `started_at`, when the search was started (None: now).
    `cost_names` are what its views show accuracy against, `errors` the directory of what was said of failed trials, and
    `export` the command that exports a trial.
    Any method raises where MLflow cannot be written; called again after `reload`, it goes on where it was.
    """

    def __init__(
        self,
        uri: str,
        artifacts: Path | None,
        experiment: str,
        name: str,
        search_id: str,
        rungs: Sequence[int] = (),
        *,
        clock: Callable[[], float] = time.time,
        started_at: float | None = None,
        cost_names: Sequence[CostName] = ("flops",),
        errors: Path | None = None,
        export: Callable[[int], str] | None = None,
    ) -> None:
        make_store(uri)
        check_store(uri)
        self._client = MlflowClient(tracking_uri=uri)
        remove_mistaken_directory(uri)
        self._search_id = search_id
        self._name = name
        self._rungs = tuple(rungs)
        self._cost_names = tuple(cost_names)
        self._errors = errors
        self._export = export
        self._clock = clock
        self._started_at = clock() if started_at is None else started_at
        self._experiment_id = existing_experiment(self._client, experiment, artifacts)
        self._totals: list[Metric] = []
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
        return self._parent.run_id

    @property
    def experiment_id(self) -> str:
        return self._experiment_id

    def trial_run_id(self, number: int) -> str:
        """The run of a trial that was given to a worker. Raises KeyError where it has none yet."""
        return self._children[number].run_id

    @property
    def status(self) -> str:
        """How MLflow shows the search, as RUNNING or FINISHED."""
        return self._parent.status

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

    def _only_one(self, runs: Sequence[Run]) -> _Held:
        """The fullest of several runs of the same key; the others, of requests that arrived twice, are deleted."""
        kept, *others = sorted(
            runs,
            key=lambda run: (-len(run.data.metrics) - len(run.data.params), run.info.start_time, run.info.run_id),
        )
        for run in others:
            self._client.delete_run(run.info.run_id)
        return _Held.of(kept)

    def reload(self) -> None:
        """Reads what MLflow holds. Needed after a write that failed: it may have arrived all the same."""
        self._synced: dict[int, tuple[TrialRecord, tuple[bool, int]]] = {}
        found = self._search("search")
        self._parent = self._only_one(found) if found else self._create_parent()
        by_trial: dict[int, list[Run]] = {}
        for run in self._search("trial"):
            by_trial.setdefault(int(run.data.tags["nas.trial"]), []).append(run)
        self._children = {number: self._only_one(runs) for number, runs in by_trial.items()}
        self._answered()

    def _create_parent(self) -> _Held:
        tags = {"nas.kind": "search", "nas.search_id": self._search_id}
        milliseconds = round(1000 * self._started_at)
        return _Held.of(self._client.create_run(self._experiment_id, milliseconds, tags, self._name))

    def _answered(self) -> None:
        self.last_answer = time.monotonic()

    def describe(self, params: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Writes what the search was started with onto the parent run, and its views onto the experiment."""
        fresh = {key: str(value) for key, value in params.items() if key not in self._parent.params}
        if not self._parent.tags.get(NOTE, "").startswith(self.links):
            tags = {NOTE: self.links, **tags}
        changed = _changed(tags, self._parent.tags)
        if fresh or changed:
            self._client.log_batch(self.run_id, params=_params(fresh), tags=_run_tags(changed))
            self._parent.params |= fresh
            self._parent.tags |= changed
        held = self._client.get_experiment(self._experiment_id).tags
        note = experiment_note(held.get(NOTE, ""), self._experiment_id, self._name, self.links)
        created_ms = round(1000 * self._started_at)
        wanted = view_tags(self._search_id, self._name, created_ms, self._cost_names) | {NOTE: note}
        for key, value in _changed(wanted, held).items():
            self._client.set_experiment_tag(self._experiment_id, key, value)
        self._answered()

    def reopen(self) -> None:
        """Shows the search as running, however it ended before."""
        self._client.set_tag(self.run_id, NOTE, self.links)
        self._set_status(self._parent, "RUNNING", None)

    def sync(self, records: Sequence[TrialRecord], summary: Summary) -> None:
        """Brings MLflow up to the ledger. Writes only what changed."""
        on_front = {record.number for record in front_of(records)}
        duplicates = duplicates_of(records)
        for record in records:
            shown = record.number in on_front, len(duplicates.get(record.number, ()))
            before = self._synced.get(record.number)
            # A record is never changed, only replaced: most are what they were.
            if not record.trained or (before is not None and before[0] is record and before[1] == shown):
                continue
            tags = changing_tags(record, record.number in on_front, self._rungs, duplicates.get(record.number, ()))
            if self._export is not None and record.outcome == "finished":
                tags |= {EXPORT_TAG: self._export(record.number)}
            self._sync_trial(record, tags)
            self._synced[record.number] = record, shown
        self._sync_totals(summary)

    def _sync_trial(self, record: TrialRecord, tags: Mapping[str, str]) -> None:
        tags = {"mlflow.parentRunId": self.run_id, **tags}
        child = self._children.get(record.number) or self._create_child(record, tags)
        params = [] if child.described else _params(architecture_params(record.architecture))
        points = epoch_metrics(record, child.epochs)
        points += [point for point in cost_metrics(record) if point.name not in child.metrics]
        fresh = _changed(tags, child.tags)
        if params or points or fresh:
            metrics = [Metric(point.name, point.value, point.milliseconds, point.step) for point in points]
            for start in range(0, max(1, len(metrics)), BATCH):
                # The tags say how far the metrics go, so they are written with the last of them.
                last = start + BATCH >= len(metrics)
                run_tags = _run_tags(fresh) if last else []
                self._client.log_batch(child.run_id, metrics[start : start + BATCH], params, run_tags)
                params = []
            child.tags |= fresh
            child.metrics |= {point.name: point.value for point in points}
            self._answered()
        if record.outcome in FAILURES:
            self._log_failure(child, record.number)
        self._set_status(child, run_status(record.outcome), record.finished_at)

    def _log_failure(self, child: _Held, number: int) -> None:
        """Keeps what was said of a trial's failure with its run, once, and leads there from its description."""
        file = None if self._errors is None else error_file(self._errors, number)
        if FAILURE_TAG in child.tags or file is None or not file.is_file():
            return
        self._client.log_artifact(child.run_id, str(file))
        link = f"[What was said of its failure]({artifact_path(self._experiment_id, child.run_id, file.name)})"
        tags = {NOTE: link, FAILURE_TAG: file.name}
        self._client.log_batch(child.run_id, tags=_run_tags(tags))
        child.tags |= tags
        self._answered()

    def _set_status(self, run: _Held, status: str, finished_at: float | None) -> None:
        if status == run.status:
            return
        if status in ("FINISHED", "KILLED", "FAILED"):
            end = None if finished_at is None else round(1000 * finished_at)
            self._client.set_terminated(run.run_id, status=status, end_time=end)
        else:
            self._client.update_run(run.run_id, status=status)
        run.status = status
        self._answered()

    def _create_child(self, record: TrialRecord, tags: Mapping[str, str]) -> _Held:
        known = {**tags, **fixed_tags(record, self._search_id)}
        run = self._client.create_run(
            self._experiment_id,
            start_time=None if record.started_at is None else round(1000 * record.started_at),
            tags=known,
            run_name=record.name,
        )
        child = self._children[record.number] = _Held(run.info.run_id, tags=known)
        self._answered()
        return child

    def _sync_totals(self, summary: Summary) -> None:
        self._send_totals()  # Of an earlier call that got no answer: as they were, or they would be there twice.
        now = round(1000 * self._clock())
        changed = _changed(summary_metrics(summary), self._parent.metrics)
        self._totals = [Metric(name, value, now, summary.epochs_trained) for name, value in changed.items()]
        self._send_totals()

    def _send_totals(self) -> None:
        if self._totals:
            self._client.log_batch(self.run_id, metrics=self._totals)
            self._parent.metrics |= {metric.key: metric.value for metric in self._totals}
            self._totals = []
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
        self._set_status(self._parent, "KILLED" if interrupted else "FINISHED", self._clock())


def existing_experiment(client: MlflowClient, name: str, artifacts: Path | None) -> str:
    """The id of an experiment, made where it is missing, then with its artifacts in `artifacts` if it is given."""
    existing = client.get_experiment_by_name(name)
    if existing is not None:
        return str(existing.experiment_id)
    location = None if artifacts is None else artifacts.as_uri()
    try:
        return str(client.create_experiment(name, artifact_location=location))
    except MlflowException:
        made: Experiment | None = client.get_experiment_by_name(name)  # by another search, just now
        if made is None:
            raise
        return str(made.experiment_id)


def _changed(wanted: Mapping[str, Value], held: Mapping[str, Value]) -> dict[str, Value]:
    return {key: value for key, value in wanted.items() if held.get(key) != value}


def _run_tags(values: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(key, value) for key, value in values.items()]


def _params(values: Mapping[str, str]) -> list[Param]:
    return [Param(key, value[:LONGEST_PARAM]) for key, value in values.items()]
