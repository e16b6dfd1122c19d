"""Figures as Plotly's script reads them: plain JSON.

The figures of Plotly's Python package take half a second to load, and check and copy every value: of 1,000 trials that
took longer than all else of the page. Tests hold these against them.
"""

import functools
import importlib.resources
import json
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]

# The titles of panels, in pixels.
_TITLE_SIZE = 16


def figure(traces: Sequence[Json], layout: Json) -> Json:
    """A figure on white. What is None is left out, in a trace and of a layout."""
    return {
        "data": [_given(trace) for trace in traces],
        "layout": {**_given(layout), "template": _white()},
    }


def scatter(**values: Any) -> Json:
    return {**values, "type": "scatter"}


def bar(**values: Any) -> Json:
    return {**values, "type": "bar"}


def heatmap(**values: Any) -> Json:
    return {**values, "type": "heatmap"}


def beside(width: float) -> tuple[list[float], list[float]]:
    """The domains of two panels beside each other, each of such a width, as a share of the figure's."""
    return [0.0, width], [1.0 - width, 1.0]


def in_panel(trace: Json, number: int) -> Json:
    """A trace in a panel, counted from 1."""
    return {**trace, "xaxis": f"x{_suffix(number)}", "yaxis": f"y{_suffix(number)}"}


def panel(number: int, horizontal: list[float], vertical: list[float], x: Json, y: Json) -> Json:
    """The axes of a panel, counted from 1: where they lie, as shares of the figure from below, and the rest."""
    suffix = _suffix(number)
    return {
        f"xaxis{suffix}": {"anchor": f"y{suffix}", "domain": horizontal, **x},
        f"yaxis{suffix}": {"anchor": f"x{suffix}", "domain": vertical, **y},
    }


def panel_title(text: str, x: float, y: float) -> Json:
    """The title of a panel whose upper edge has its middle there."""
    return {
        "text": text, "x": x, "y": y, "xref": "paper", "yref": "paper", "xanchor": "center", "yanchor": "bottom",
        "showarrow": False, "font": {"size": _TITLE_SIZE},
    }  # fmt: skip


def plotly_script() -> str:
    """Plotly's script, for a page that needs no network."""
    return _packaged("plotly.min.js")


def _suffix(number: int) -> str:
    return "" if number == 1 else str(number)


def _given(values: Json) -> Json:
    return {key: value for key, value in values.items() if value is not None}


@functools.cache
def _white() -> Json:
    found: Json = json.loads(_packaged("templates/plotly_white.json"))
    return found


def _packaged(name: str) -> str:
    return (importlib.resources.files("plotly") / "package_data" / name).read_text(encoding="utf-8")
