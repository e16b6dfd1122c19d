"""The figures of the pages, as Plotly's own Python objects take them: these know every name and check every value."""

import json
from dataclasses import replace
from typing import Any

import plotly.graph_objects as go
import pytest
from plotly.io import templates
from plotly.offline import get_plotlyjs
from plotly.subplots import make_subplots

from nas.records.comparison import ComparedSearch
from nas.records.compute_used import compute_used
from nas.records.front import with_repeats
from nas.reporting.comparison import comparison_figure
from nas.reporting.figures import page_figures
from nas.reporting.front_figure import front_figure
from nas.reporting.importance import importances
from nas.reporting.parallel_figure import parallel_coordinates
from nas.reporting.plotly_json import plotly_script
from tests.support.reports import FACTS, RECORDS
from tests.support.simulated_search import EPOCHS, simulated_search


def figures(records: list[Any], epochs: int) -> dict[str, dict[str, Any]]:
    shown = with_repeats(records)
    found = page_figures(
        shown, parallel_coordinates(shown), FACTS.reference, importances(records, epochs),
        compute_used(shown, epochs), epochs,
    )  # fmt: skip
    compared = [ComparedSearch(replace(FACTS, name=name), records, {}, None) for name in ("one", "another")]
    return {**found, "front": front_figure(shown, "flops"), "comparison": comparison_figure(compared)}


@pytest.fixture(scope="module")
def drawn() -> dict[str, dict[str, Any]]:
    found = figures(simulated_search(60), EPOCHS)
    assert found.keys() == {
        "front", "parallel", "curves", "choices", "hypervolume", "importance", "stopping", "comparison",
    }  # fmt: skip
    return found


def test_plotly_takes_every_figure_as_it_is(drawn: dict[str, dict[str, Any]]) -> None:
    for name, figure in {**drawn, **figures(list(RECORDS), FACTS.full_epochs)}.items():
        written = json.loads(json.dumps(figure, allow_nan=False))
        assert json.loads(go.Figure(written).to_json()) == written, name
        assert written["layout"]["template"] == templates["plotly_white"].to_plotly_json()


@pytest.mark.parametrize(
    ("name", "rows", "columns", "options"),
    [
        ("hypervolume", 1, 2, {"shared_yaxes": True, "horizontal_spacing": 0.05}),
        ("stopping", 1, 2, {"horizontal_spacing": 0.1}),
        ("importance", 1, 2, {"horizontal_spacing": 0.2, "subplot_titles": ["left", "right"]}),
        ("choices", 4, 1, {"shared_xaxes": True, "vertical_spacing": 0.07, "subplot_titles": ["1", "2", "3", "4"]}),
    ],
)
def test_panels_lie_as_plotly_lays_them(
    drawn: dict[str, dict[str, Any]], name: str, rows: int, columns: int, options: dict[str, Any]
) -> None:
    layout, expected = drawn[name]["layout"], make_subplots(rows, columns, **options).to_plotly_json()["layout"]
    axes = [key for key in expected if "axis" in key]
    assert axes == [key for key in layout if "axis" in key]
    for key in axes:
        for field, value in expected[key].items():
            assert layout[key][field] == (pytest.approx(value) if field == "domain" else value), (key, field)
    for title, of_plotly in zip(layout.get("annotations", ()), expected.get("annotations", ()), strict=True):
        assert {**title, "text": "", "x": 0, "y": 0} == {**of_plotly, "text": "", "x": 0, "y": 0}
        assert (title["x"], title["y"]) == pytest.approx((of_plotly["x"], of_plotly["y"]))


def test_the_script_is_the_one_of_the_package() -> None:
    assert plotly_script() == get_plotlyjs()
