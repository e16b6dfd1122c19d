"""Several fronts in one MLflow chart, coloured by search: runs of their own, since a run has but one colour.

They lie in an experiment beside that of the searches, whose runs stay as they are. A comparison of the same searches
is brought up to date, and never there twice.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag

from nas.records.comparison import ComparedSearch
from nas.records.front import front_of
from nas.records.trial import TrialRecord
from nas.reporting.style import search_styles
from nas.settings.sqlite_addresses import sqlite_path
from nas.tracking.environment import check_store, remove_mistaken_directory
from nas.tracking.moved_store import ARTIFACTS, bring_artifacts_home
from nas.tracking.new_store import make_store
from nas.tracking.run_fields import MetricPoint, architecture_params, cost_metrics
from nas.tracking.tracker import NOTE, existing_experiment
from nas.tracking.views import compared_links, compared_path, compared_tag, experiment_note

SUFFIX = "-comparisons"
# The view sorts by it, and the UI loads a hundred runs: those that show the shape of each front come first.
RANK = "nas.rank"


def comparison_key(search_ids: Iterable[str]) -> str:
    """What a comparison of these searches is known by, in whatever order they are named."""
    return hashlib.sha256(" ".join(sorted(search_ids)).encode()).hexdigest()[:32]


def log_comparison(
    uri: str,
    experiment: str,
    searches: Sequence[ComparedSearch],
    search_ids: Sequence[str],
    files: Sequence[Path],
    said: str,
    created_ms: int,
) -> str:
    """Writes the fronts of the searches, with `files` (the page first) and what is `said` of them, beside `experiment`.

    Returns where they are in the MLflow UI, from the server's address on. `created_ms` is in milliseconds since 1970.
    Raises where MLflow cannot be written.
    """
    make_store(uri)
    check_store(uri)
    store = sqlite_path(uri)
    if store is not None:
        bring_artifacts_home(store)
    client = MlflowClient(tracking_uri=uri)
    remove_mistaken_directory(uri)
    artifacts = None if store is None else store.parent / ARTIFACTS
    beside = existing_experiment(client, f"{experiment}{SUFFIX}", artifacts)
    runs = _Runs(client, beside, comparison_key(search_ids))
    name = " · ".join(search.name for search in searches)
    parent_id = runs.parent(name, created_ms)
    runs.write_fronts(parent_id, searches, search_ids)
    for path in files:
        client.log_artifact(parent_id, str(path))
    links = compared_links(runs.experiment_id, parent_id, runs.key, files[0].name)
    client.log_batch(parent_id, tags=[RunTag(NOTE, f"{links}\n\n{said}")])
    client.set_terminated(parent_id)
    tag, view = compared_tag(runs.key, name, created_ms, searches[0].facts.cost_names)
    client.set_experiment_tag(runs.experiment_id, tag, view)
    _note(client, runs.experiment_id, name, links)
    of_searches = client.get_experiment_by_name(experiment)
    if of_searches is not None:
        _note(client, str(of_searches.experiment_id), name, links)
    return compared_path(runs.experiment_id, runs.key)


def spread_order(count: int) -> list[int]:
    """Each of so many places of a row, in an order in which every beginning is spread over the row, its ends first."""
    places = sorted(range(count), key=lambda place: int(f"{place:016b}"[::-1], 2))
    ends = list(dict.fromkeys((0, count - 1))) if count else []
    return ends + [place for place in places if place not in ends]


def _note(client: MlflowClient, experiment_id: str, name: str, links: str) -> None:
    held = client.get_experiment(experiment_id).tags.get(NOTE, "")
    client.set_experiment_tag(experiment_id, NOTE, experiment_note(held, experiment_id, name, links))


@dataclass(frozen=True, slots=True)
class _Runs:
    """The runs of one comparison: its own, and one for each member of each front."""

    client: MlflowClient
    experiment_id: str
    key: str

    def _found(self, kind: str) -> list[Run]:
        query = f"tags.`nas.comparison` = '{self.key}' and tags.`nas.kind` = '{kind}'"
        found: list[Run] = []
        token = None
        while True:
            page = self.client.search_runs([self.experiment_id], query, max_results=1000, page_token=token)
            found, token = [*found, *page], page.token
            if not token:
                return found

    def parent(self, name: str, created_ms: int) -> str:
        """The run of the comparison itself; of several, which a lost answer may have made, one is kept."""
        found = self._found("comparison")
        for other in found[1:]:
            self.client.delete_run(other.info.run_id)
        if found:
            return str(found[0].info.run_id)
        tags = {"nas.kind": "comparison", "nas.comparison": self.key}
        return str(self.client.create_run(self.experiment_id, created_ms, tags, name).info.run_id)

    def write_fronts(self, parent_id: str, searches: Sequence[ComparedSearch], search_ids: Sequence[str]) -> None:
        """A run for each member of each front; those of members that others have beaten since are deleted."""
        held: dict[tuple[str, str, float | None], str] = {}
        before = self._found("compared")
        for run in before:
            place = run.data.tags["nas.search_id"], run.data.tags["nas.trial"], run.data.metrics.get("val_accuracy")
            held.setdefault(place, run.info.run_id)
        kept = set()
        for search, search_id, style in zip(searches, search_ids, search_styles(len(searches)), strict=True):
            members = front_of(search.records)
            for rank, place_on_front in enumerate(spread_order(len(members))):
                record = members[place_on_front]
                run_id = held.get((search_id, str(record.number), record.point[0]))
                if run_id is None:
                    run_id = self._create(parent_id, search, search_id, record)
                tags = {"mlflow.runColor": style.colour, RANK: f"{rank:04d}"}
                self.client.log_batch(run_id, tags=[RunTag(name, value) for name, value in tags.items()])
                kept.add(run_id)
        for run in before:
            if run.info.run_id not in kept:
                self.client.delete_run(run.info.run_id)

    def _create(self, parent_id: str, search: ComparedSearch, search_id: str, record: TrialRecord) -> str:
        tags = {
            "nas.kind": "compared",
            "nas.comparison": self.key,
            "nas.search": search.name,
            "nas.search_id": search_id,
            "nas.trial": str(record.number),
            "mlflow.parentRunId": parent_id,
        }
        started_ms = round(1000 * (record.started_at or 0.0))
        run = self.client.create_run(self.experiment_id, started_ms, tags, f"{search.name} {record.name}")
        points = [*cost_metrics(record), MetricPoint("val_accuracy", record.point[0], started_ms, len(record.epochs))]
        metrics = [Metric(point.name, point.value, point.milliseconds, point.step) for point in points]
        params = {**architecture_params(record.architecture), "search": search.name}
        self.client.log_batch(run.info.run_id, metrics, [Param(name, value) for name, value in params.items()])
        ended = record.finished_at
        self.client.set_terminated(run.info.run_id, end_time=None if ended is None else round(1000 * ended))
        return str(run.info.run_id)
