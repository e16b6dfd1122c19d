"""The figures of a search: an interactive page that needs no network, pictures, and tables."""

import csv
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from matplotlib.figure import Figure
from plotly.io import to_html

from nas.pareto import Point
from nas.records import Outcome, TrialRecord, finished, front_of, hypervolume_history, readable_flops
from search_spaces.architecture import Architecture

FRONT_COLOUR = "#d62728"
COLOURS: dict[Outcome, str] = {"finished": "#1f77b4", "stopped": "#b0b8c0", "running": "#8fc98f"}

REPORT_PAGE = "front.html"

PAGE_CONFIG = {"displaylogo": False}

CSV_COLUMNS = (
    "number", "outcome", "on_front", "val_accuracy", "flops", "params", "epochs", "anchor", "depth", "base_channels",
    "stem", "stage1", "stage2", "stage3", "stage4", "architecture_id", "seed", "reason",
)  # fmt: skip


def write_report(directory: Path, name: str, records: Sequence[TrialRecord], reference: Point) -> list[Path]:
    """Writes front.html, front.png, hypervolume.png, trials.csv and front.csv. The paths written."""
    directory.mkdir(parents=True, exist_ok=True)
    page = directory / REPORT_PAGE
    page.write_text(report_page(name, records, reference), encoding="utf-8")
    front_picture(name, records).savefig(directory / "front.png", dpi=120)
    hypervolume_picture(records, reference).savefig(directory / "hypervolume.png", dpi=120)
    members = front_of(records)
    _write_csv(directory / "trials.csv", records, members)
    _write_csv(directory / "front.csv", members, members)
    return [page, *(directory / file for file in ("front.png", "hypervolume.png", "trials.csv", "front.csv"))]


def report_page(name: str, records: Sequence[TrialRecord], reference: Point) -> str:
    """The interactive page: the front among all trials, and the hypervolume as results came in. Self-contained HTML."""
    front_html = to_html(_front_figure(records), full_html=False, include_plotlyjs=True, config=PAGE_CONFIG)
    history_html = to_html(
        _history_figure(records, reference), full_html=False, include_plotlyjs=False, config=PAGE_CONFIG
    )
    rows = "".join(
        f"<tr><td>{record.number}</td><td>{record.point[0]:.2%}</td><td>{readable_flops(record.flops)}</td>"
        f"<td>{record.params:,}</td><td>{html.escape(record.architecture.label)}</td></tr>"
        for record in front_of(records)
    )
    title = html.escape(name)
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        "<style>body{font:15px/1.5 system-ui,sans-serif;margin:1.5rem auto;max-width:70rem;padding:0 1rem}"
        "table{border-collapse:collapse}td,th{padding:.2rem .8rem;text-align:right}"
        "td:last-child,th:last-child{text-align:left}tr:nth-child(even){background:#f4f6f8}</style></head><body>"
        f"<h1>{title}</h1><p>Every point is an architecture. The line joins those that no other beats in both "
        "validation accuracy and FLOPs (2 a multiply-add, one image). Stopped trials stand at the accuracy they were "
        "stopped at; a double click on the figure shows those far below. A label reads: depth, width, stem, then the "
        "four stages: C convolution, A7×8r attention of extent 7 with 8 heads and relative positions (a absolute, "
        "n none, o relative alone).</p>"
        f"{front_html}<h2>The front</h2><table><tr><th>trial</th><th>accuracy</th><th>FLOPs</th><th>parameters</th>"
        f"<th>architecture</th></tr>{rows}</table><h2>Hypervolume</h2><p>The share of the box "
        f"above an accuracy of {reference[0]:.0%} and below {readable_flops(reference[1])} that the front dominates, "
        f"as trials were finished.</p>{history_html}</body></html>"
    )


def _front_figure(records: Sequence[TrialRecord]) -> go.Figure:
    figure = go.Figure()
    members = front_of(records)
    on_front = {record.number for record in members}
    for outcome in ("stopped", "running", "finished"):
        shown = [
            record
            for record in records
            if record.outcome == outcome and record.epochs and record.number not in on_front
        ]
        if shown:
            figure.add_trace(_markers(shown, outcome, color=COLOURS[outcome], size=8))
    if members:
        figure.add_trace(
            go.Scatter(
                x=[record.flops for record in members],
                y=[record.point[0] for record in members],
                mode="lines",
                line={"shape": "hv", "color": FRONT_COLOUR, "width": 1.5},
                hoverinfo="skip",
                showlegend=False,
            )
        )
        figure.add_trace(_markers(members, "front", color=FRONT_COLOUR, size=11))
    anchors = [record for record in records if record.anchor and record.epochs]
    if anchors:
        figure.add_trace(_markers(anchors, "anchors", color="#222222", size=17, symbol="circle-open"))
    axis = [
        {"label": label, "method": "relayout", "args": [{"xaxis.type": kind}]}
        for label, kind in (("FLOPs, log", "log"), ("FLOPs, linear", "linear"))
    ]
    figure.update_layout(
        template="plotly_white",
        height=560,
        xaxis={"title": "FLOPs of one image", "type": "log"},
        yaxis={"title": "validation accuracy", "tickformat": ".1%", "range": accuracy_range(records)},
        hoverlabel={"align": "left"},
        updatemenus=[{"buttons": axis, "x": 0, "xanchor": "left", "y": 1.14, "direction": "right", "type": "buttons"}],
        margin={"t": 60},
    )
    return figure


def accuracy_range(records: Sequence[TrialRecord]) -> tuple[float, float] | None:
    """The accuracies that a figure opens on: those of full-budget results, not those of trials stopped early."""
    accuracies = [record.point[0] for record in finished(records)]
    if not accuracies:
        return None
    margin = 0.1 * (max(accuracies) - min(accuracies)) + 0.005
    return min(accuracies) - margin, max(accuracies) + margin


def _markers(records: Sequence[TrialRecord], name: str, *, color: str, size: int, symbol: str = "circle") -> go.Scatter:
    marker: dict[str, Any] = {"color": color, "size": size, "symbol": symbol}
    if symbol.endswith("open"):
        marker["line"] = {"width": 2}
    return go.Scatter(
        x=[record.flops for record in records],
        y=[record.point[0] for record in records],
        mode="markers",
        name=name,
        marker=marker,
        customdata=[_hover(record) for record in records],
        hovertemplate="%{customdata}<extra></extra>",
    )


def _hover(record: TrialRecord) -> str:
    stages = "<br>".join(f"stage {index + 1}: {text}" for index, text in enumerate(stage_texts(record.architecture)))
    return (
        f"<b>trial {record.number}</b>, {record.outcome}, {len(record.epochs)} epochs<br>"
        f"accuracy {record.point[0]:.2%}, {readable_flops(record.flops)}, {record.params:,} parameters<br>"
        f"depth {record.architecture.depth}, {record.architecture.base_channels} channels, "
        f"{record.architecture.stem.replace('_', ' ')} stem<br>{stages}"
    )


def stage_texts(architecture: Architecture) -> list[str]:
    """What each stage is made of, in words; blocks that differ are listed one by one."""
    texts = []
    for blocks in architecture.stages:
        labels = [operator.label for operator in blocks]
        texts.append(labels[0] if len(set(labels)) == 1 else " ".join(labels))
    return texts


def _history_figure(records: Sequence[TrialRecord], reference: Point) -> go.Figure:
    history = hypervolume_history(records, reference)
    start = min((record.started_at or 0.0 for record in records), default=0.0)
    minutes = [(moment - start) / 60 for moment, _ in history]
    figure = go.Figure(
        go.Scatter(x=minutes, y=[volume for _, volume in history], mode="lines+markers", line={"shape": "hv"})
    )
    figure.update_layout(
        template="plotly_white",
        height=360,
        xaxis={"title": "minutes since the first trial began"},
        yaxis={"title": "hypervolume"},
    )
    return figure


def front_picture(name: str, records: Sequence[TrialRecord]) -> Figure:
    """The front among all trials, for paper."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for outcome, colour in COLOURS.items():
        shown = [record.point for record in records if record.outcome == outcome and record.epochs]
        if shown:
            axes.scatter([x for _, x in shown], [y for y, _ in shown], s=22, c=colour, label=outcome)
    members = [record.point for record in front_of(records)]
    if members:
        axes.step([x for _, x in members], [y for y, _ in members], where="post", c=FRONT_COLOUR, lw=1.5)
        axes.scatter([x for _, x in members], [y for y, _ in members], s=42, c=FRONT_COLOUR, label="front", zorder=3)
    anchors = [record.point for record in records if record.anchor and record.epochs]
    if anchors:
        x, y = [x for _, x in anchors], [y for y, _ in anchors]
        axes.scatter(x, y, s=130, facecolors="none", edgecolors="black", label="anchors")
    if any(record.epochs for record in records):
        axes.set_ylim(accuracy_range(records))
        axes.set_xscale("log")
        axes.legend(loc="lower right")
    axes.set(xlabel="FLOPs of one image", ylabel="validation accuracy", title=name)
    axes.grid(alpha=0.3)
    return figure


def hypervolume_picture(records: Sequence[TrialRecord], reference: Point) -> Figure:
    """Hypervolume over full-budget results, with the anchors' own as a line."""
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    history = hypervolume_history(records, reference)
    axes.step(range(1, len(history) + 1), [volume for _, volume in history], where="post", marker="o", ms=3)
    anchors = hypervolume_history([record for record in finished(records) if record.anchor], reference)
    if anchors:
        axes.axhline(anchors[-1][1], c="black", ls="--", lw=1, label="anchors alone")
        axes.legend(loc="lower right")
    axes.set(xlabel="trials finished", ylabel="hypervolume")
    axes.grid(alpha=0.3)
    return figure


def _write_csv(path: Path, records: Sequence[TrialRecord], front: Sequence[TrialRecord]) -> None:
    on_front = {record.number for record in front}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CSV_COLUMNS)
        writer.writeheader()
        for record in records:
            row = {key: value for key, value in record.to_json().items() if key in CSV_COLUMNS}
            architecture = record.architecture
            row |= {f"stage{index + 1}": text for index, text in enumerate(stage_texts(architecture))}
            row |= {"depth": architecture.depth, "base_channels": architecture.base_channels}
            writer.writerow(row | {"stem": architecture.stem, "on_front": record.number in on_front})
