"""MLflow's saved views: a chart page, as the MLflow UI reads it out of a tag of an experiment.

The format is internal to the UI (seen in MLflow 3.15 to 3.17) and known here alone; the browser tests open it.
"""

import base64
import json
import uuid
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

TAG_PREFIX = "mlflow.sharedViewState."

# The UI opens an experiment among the pages for language models without this.
UI_OF_TRAINING = "workflowType=machine_learning"


@dataclass(frozen=True, slots=True)
class Scatter:
    """A scatter chart of the latest values of two metrics; the UI titles it "x vs. y"."""

    x_metric: str
    y_metric: str


@dataclass(frozen=True, slots=True)
class SavedView:
    """What a view shows: the runs that `run_filter` finds, `sort_column` first, as charts.

    `slug` names it within its experiment. Columns are written as the UI does: "metrics.`flops`". `metrics` are all that
    the runs log: the UI adds a chart of its own for each that it does not find in the view. `created_ms` is in
    milliseconds since 1970.
    """

    slug: str
    title: str
    run_filter: str
    sort_column: str
    ascending: bool
    columns: tuple[str, ...]
    charts: tuple[Scatter, ...]
    metrics: tuple[str, ...]
    created_ms: int


def saved_view_tag(view: SavedView) -> tuple[str, str]:
    """The experiment tag that holds a view: its name and its value. Equal views give equal tags."""
    text = json.dumps(_state(view), separators=(",", ":"), sort_keys=True)
    state = "deflate;" + base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    value = json.dumps({"name": view.title, "createdAt": view.created_ms, "state": state}, separators=(",", ":"))
    return TAG_PREFIX + view.slug, value


def saved_view_path(experiment_id: str, slug: str) -> str:
    """Where a view is in the MLflow UI, from the server's address on."""
    # Any further search key in the address, such as an order, makes the UI ignore the view.
    return f"#/experiments/{experiment_id}/runs?{UI_OF_TRAINING}&viewStateShareKey={slug}&compareRunsMode=CHART"


def _state(view: SavedView) -> dict[str, Any]:
    section = _uuid(view.slug, "section")
    charts: list[dict[str, Any]] = [
        {
            **_card(section, _uuid(view.slug, f"{chart.x_metric} {chart.y_metric}")),
            "type": "SCATTER",
            "xaxis": {"key": chart.x_metric, "type": "METRIC"},
            "yaxis": {"key": chart.y_metric, "type": "METRIC"},
            "runsCountToCompare": 1000,
        }
        for chart in view.charts
    ]
    charts += [
        {
            **_card(section, _uuid(view.slug, f"no chart of {metric}")),
            "type": "BAR",
            "metricKey": metric,
            "isGenerated": True,
            "deleted": True,
        }
        for metric in view.metrics
    ]
    return {
        "searchFilter": view.run_filter,
        "orderByKey": view.sort_column,
        "orderByAsc": view.ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": list(view.columns),
        "runsHiddenMode": "SHOW_ALL",
        "hideEmptyCharts": True,
        "isAccordionReordered": True,
        "compareRunCharts": charts,
        "compareRunSections": [
            {
                "uuid": section,
                "name": view.title,
                "display": True,
                "isReordered": True,
                "deleted": False,
                "isGenerated": False,
                "columns": 1,
                "cardHeight": 420,
            }
        ],
    }


def _card(section: str, identifier: str) -> dict[str, Any]:
    return {"uuid": identifier, "metricSectionId": section, "deleted": False, "isGenerated": False}


def _uuid(*parts: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join(parts)))


def columns(kind: str, names: Sequence[str]) -> tuple[str, ...]:
    """The UI's names of columns; `kind` is "attributes", "metrics", "params" or "tags"."""
    return tuple(f"{kind}.`{name}`" for name in names)
