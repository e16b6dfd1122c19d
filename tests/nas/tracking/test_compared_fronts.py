"""Several fronts in one MLflow chart, coloured by search, read back from a real store."""

import dataclasses
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from nas.records.comparison import ComparedSearch
from nas.records.front import front_of
from nas.tracking.compared_fronts import comparison_key, log_comparison, spread_order
from nas.tracking.environment import quiet_mlflow
from nas.tracking.saved_view import TAG_PREFIX
from nas.tracking.tracker import NOTE
from tests.nas.tracking.test_saved_view import decoded
from tests.support.present import present
from tests.support.reports import FACTS, RECORDS
from tests.support.searches import trial_record

IDS = ("1" * 32, "2" * 32)
FACTS_OF_OTHER = dataclasses.replace(FACTS, name="other")


def compared(*names: str) -> list[ComparedSearch]:
    return [ComparedSearch(dataclasses.replace(FACTS, name=name), RECORDS, {"search.seed": 0}, None) for name in names]


@pytest.fixture
def store(tmp_path: Path) -> str:
    quiet_mlflow()
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def runs_of(client: MlflowClient, kind: str) -> list[Run]:
    experiment = present(client.get_experiment_by_name("exp-comparisons"))
    return list(client.search_runs([experiment.experiment_id], f"tags.`nas.kind` = '{kind}'"))


def test_each_front_has_a_colour_and_the_same_comparison_is_there_once(tmp_path: Path, store: str) -> None:
    client = MlflowClient(store)
    client.set_experiment_tag(client.create_experiment("exp", str(tmp_path / "artifacts")), NOTE, "My words.")
    page = tmp_path / "comparison.html"
    page.write_text("first", encoding="utf-8")
    searches = compared("one", "other")
    path = log_comparison(store, "exp", searches, IDS, [page], "p = 0.01: real", 5)

    members = front_of(RECORDS)
    runs = runs_of(client, "compared")
    found = {(run.data.tags["nas.search"], int(run.data.tags["nas.trial"])): run for run in runs}
    assert set(found) == {(name, record.number) for name in ("one", "other") for record in members}
    for name in ("one", "other"):
        colours = {run.data.tags["mlflow.runColor"] for (search, _), run in found.items() if search == name}
        assert len(colours) == 1
        for record in members:
            metrics = found[name, record.number].data.metrics
            assert (metrics["val_accuracy"], metrics["flops"]) == (record.val_accuracy, record.flops)
    assert len({run.data.tags["mlflow.runColor"] for run in runs}) == 2

    experiment = present(client.get_experiment_by_name("exp-comparisons"))
    [view] = [key for key in experiment.tags if key.startswith(TAG_PREFIX)]
    assert f"viewStateShareKey={view.removeprefix(TAG_PREFIX)}&" in path
    state = decoded(experiment.tags[view])
    assert comparison_key(IDS) in state["searchFilter"] and state["orderByKey"] == "tags.`nas.rank`"
    of_searches = present(client.get_experiment_by_name("exp")).tags[NOTE]
    for note in (experiment.tags[NOTE], of_searches):
        assert note.startswith(f"[Fronts compared]({path}) · [page](#/") and "of one · other" in note
    assert of_searches.endswith("My words.")
    [parent] = runs_of(client, "comparison")
    assert "p = 0.01: real" in parent.data.tags[NOTE]

    # The other way round, with a member that beats all others of the second.
    page.write_text("second", encoding="utf-8")
    better = [*RECORDS, trial_record(10, (0.5, 0.99), flops=1_000_000)]
    searches = [searches[0], dataclasses.replace(searches[1], records=better)][::-1]
    assert log_comparison(store, "exp", searches, IDS[::-1], [page], "again", 6) == path
    [again] = runs_of(client, "comparison")
    assert again.info.run_id == parent.info.run_id
    artifact = client.download_artifacts(again.info.run_id, "comparison.html", str(tmp_path))
    assert Path(artifact).read_text(encoding="utf-8") == "second"
    now = {(run.data.tags["nas.search"], int(run.data.tags["nas.trial"])): run for run in runs_of(client, "compared")}
    assert set(now) == {("other", 10), *(("one", record.number) for record in members)}
    assert now["one", members[0].number].info.run_id == found["one", members[0].number].info.run_id
    assert present(client.get_experiment_by_name("exp")).tags[NOTE].count("[Fronts compared]") == 1


@pytest.mark.parametrize("count", [0, 1, 2, 3, 10, 37])
def test_every_beginning_is_spread_over_the_front(count: int) -> None:
    order = spread_order(count)
    assert sorted(order) == list(range(count)) and set(order[:2]) == ({0, count - 1} if count else set())
    if count > 10:
        assert (
            max(after - before for before, after in zip(sorted(order[:6]), sorted(order[:6])[1:], strict=False)) <= 16
        )
