"""A figure of Plotly as JSON for a page."""

import json
from typing import Any

import plotly.graph_objects as go
from plotly.io import templates

TEMPLATE = "plotly_white"


def figure_json(figure: go.Figure) -> dict[str, Any]:
    """A figure on white. Where a figure itself is given a template, Plotly checks all of it again, for each figure."""
    drawn: dict[str, Any] = json.loads(figure.to_json())
    drawn["layout"]["template"] = templates[TEMPLATE].to_plotly_json()
    return drawn
