"""Saved views of the MLflow UI, decoded as the UI does. What the UI makes of them is in tests/browser."""

import base64
import json
import zlib
from dataclasses import replace
from typing import Any

from nas.tracking.saved_view import SavedView, Scatter, columns, saved_view_path, saved_view_tag

# MLflow refuses longer values of an experiment's tag.
LONGEST_EXPERIMENT_TAG = 20_000

VIEW = SavedView(
    slug="front-1",
    title="the front",
    run_filter="tags.`a` = 'b'",
    sort_column="tags.`pareto`",
    ascending=False,
    columns=columns("metrics", ("flops",)),
    charts=(Scatter("flops", "val_accuracy"), Scatter("params", "val_accuracy")),
    metrics=("val_accuracy", "flops", "params"),
    created_ms=1_790_000_000_000,
)


def decoded(value: str) -> dict[str, Any]:
    kind, _, state = json.loads(value)["state"].partition(";")
    assert kind == "deflate"
    return json.loads(zlib.decompress(base64.b64decode(state, validate=True)))


def test_a_view_is_a_tag_with_a_name_a_time_and_a_state() -> None:
    name, value = saved_view_tag(VIEW)
    assert name == "mlflow.sharedViewState.front-1"
    assert {key: field for key, field in json.loads(value).items() if key != "state"} == {
        "name": "the front",
        "createdAt": 1_790_000_000_000,
    }
    state = decoded(value)
    assert (state["searchFilter"], state["orderByKey"], state["orderByAsc"]) == (
        "tags.`a` = 'b'",
        "tags.`pareto`",
        False,
    )
    assert state["runsHiddenMode"] == "SHOW_ALL" and state["selectedColumns"] == ["metrics.`flops`"]


def test_its_charts_are_the_scatters_and_nothing_that_the_ui_would_add() -> None:
    state = decoded(saved_view_tag(VIEW)[1])
    shown = [chart for chart in state["compareRunCharts"] if not chart["deleted"]]
    kept_away = [chart["metricKey"] for chart in state["compareRunCharts"] if chart["deleted"]]
    assert [(chart["type"], chart["xaxis"]["key"], chart["yaxis"]["key"]) for chart in shown] == [
        ("SCATTER", "flops", "val_accuracy"),
        ("SCATTER", "params", "val_accuracy"),
    ]
    assert kept_away == ["val_accuracy", "flops", "params"]
    (section,) = state["compareRunSections"]
    assert {chart["metricSectionId"] for chart in state["compareRunCharts"]} == {section["uuid"]}
    identifiers = [chart["uuid"] for chart in state["compareRunCharts"]] + [section["uuid"]]
    assert len(set(identifiers)) == len(identifiers)


def test_equal_views_give_equal_tags() -> None:
    assert saved_view_tag(replace(VIEW)) == saved_view_tag(VIEW)
    assert saved_view_tag(replace(VIEW, slug="front-2")) != saved_view_tag(VIEW)


def test_a_view_fits_a_tag_with_many_metrics() -> None:
    many = replace(VIEW, metrics=tuple(f"metric_number_{index}" for index in range(60)))
    assert len(saved_view_tag(many)[1]) < LONGEST_EXPERIMENT_TAG


def test_the_path_names_the_view_and_no_search_of_its_own() -> None:
    path = saved_view_path("7", "front-1")
    assert path == "#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey=front-1&compareRunsMode=CHART"
