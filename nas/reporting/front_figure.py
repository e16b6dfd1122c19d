"""The figure of the front, as a template: which trials are drawn how. The page's script puts in their values.

A trace names its trials in `customdata`, and its `meta` says what the script has to know of it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from nas.records.front import front_of, front_over
from nas.records.objectives import COSTS, CostName
from nas.records.trial import Outcome, TrialRecord
from nas.reporting.plotly_json import Json, figure, scatter
from nas.reporting.style import FRONT_COLOUR, STYLES, accuracy_range, by_outcome

# Each choice of the x axis: the trial's value that it shows, and its title.
AXES = {
    "flops": COSTS["flops"].title,
    "params": "parameters",
    "latency_ms": COSTS["latency_ms"].title,
    "epochs": "epochs trained",
}


def front_figure(records: Sequence[TrialRecord], cost_name: CostName) -> Json:
    """Accuracy against a cost, the search's first: each trial in one trace.

    In rows below are those never trained, and those from inherited weights, whose accuracies stand beside no others.
    """
    members = front_of(records)
    on_front = {record.number for record in members}
    trained = [record for record in records if record.is_comparable and record.number not in on_front]
    untrained = by_outcome([record for record in records if not record.is_comparable])
    traces = []
    for outcome, group in by_outcome(trained).items():
        style = STYLES[outcome]
        marker = {"color": style.colour, "size": style.size, "symbol": style.symbol}
        traces.append(_markers(group, style.label, marker, role="trials"))
    # Of several costs the page shows the first at first; what no other beats in that alone is joined.
    joined = front_over(members, cost_name)
    line = {"shape": "hv", "color": FRONT_COLOUR, "width": 1.5}
    numbers = [record.number for record in joined]
    traces.append(
        scatter(mode="lines", line=line, hoverinfo="skip", showlegend=False, customdata=numbers, meta={"role": "line"})
    )
    if members:
        marker = {"color": FRONT_COLOUR, "size": 11, "line": {"color": "white", "width": 1}}
        traces.append(_markers(members, "front", marker, role="trials"))
    anchors = [record for record in records if record.anchor and record.epochs]
    if anchors:
        ring = {"color": "#222222", "size": 17, "symbol": "circle-open", "line": {"width": 2}}
        traces.append(_markers(anchors, "anchors", ring, role="mark", hoverinfo="skip"))
    for row, group in enumerate(untrained.values()):
        marker = {"color": "#555555", "size": 9, "symbol": "line-ns-open", "line": {"width": 1}}
        trace = _markers(group, "", marker, role="untrained", row=row)
        traces.append({**trace, "yaxis": "y2", "showlegend": False})
    pinned = {"color": "#000000", "size": 20, "symbol": "square-open", "line": {"width": 2}}
    traces.append({**_markers([], "pinned", pinned, role="pinned", hoverinfo="skip"), "showlegend": False})
    return figure(traces, _layout(AXES[cost_name], accuracy_range(list(records)), _row_labels(untrained)))


def _row_labels(rows: Mapping[Outcome, Sequence[TrialRecord]]) -> list[str]:
    """What the rows below the accuracies are called: those that were trained at all inherited weights."""
    return [name if any(record.epochs for record in group) else f"{name}, no epoch" for name, group in rows.items()]


def _layout(cost_title: str, accuracies: tuple[float, float] | None, untrained: Sequence[str]) -> Json:
    """Axes and legend; each label of `untrained` gets a row of its own below the accuracies."""
    height = 0.05 * len(untrained)
    accuracy: Json = {
        "title": {"text": "validation accuracy"},
        "tickformat": ".1%",
        "domain": [height + 0.03 if untrained else 0, 1],
    }
    if accuracies is not None:
        accuracy["range"] = accuracies
    rows = {
        "domain": [0, height],
        "range": [-0.5, len(untrained) - 0.5],
        "tickvals": list(range(len(untrained))),
        "ticktext": list(untrained),
        "fixedrange": True,
        "zeroline": False,
    }
    return {
        "height": 560 + 25 * len(untrained),
        "xaxis": {"title": {"text": cost_title}, "type": "log", "anchor": "y2" if untrained else "y"},
        "yaxis": accuracy,
        "yaxis2": rows if untrained else None,
        "hoverlabel": {"align": "left", "bgcolor": "white", "font": {"color": "#1b1f24"}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "margin": {"t": 50, "r": 20, "l": 70},
        "clickmode": "event",
    }


def _markers(
    records: Sequence[TrialRecord], name: str, marker: dict[str, Any], *, hoverinfo: str = "text", **meta: object
) -> Json:
    return scatter(
        mode="markers",
        name=name,
        marker=marker,
        customdata=[record.number for record in records],
        hoverinfo=hoverinfo,
        meta=meta,
    )
