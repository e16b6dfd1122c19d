"""The page's figures beside the front: learning curves, hypervolume, what stopping saved, and the choices."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
from plotly.colors import sample_colorscale
from plotly.subplots import make_subplots

from nas.records.compute_used import ComputeUsed, hypervolume_steps
from nas.records.front import finished, front_hypervolume, front_of
from nas.records.pareto import Point
from nas.records.trial import TrialRecord
from nas.reporting.choice_figures import choices_figure, importance_figure
from nas.reporting.importance import Importances
from nas.reporting.parallel_figure import ParallelCoordinates, parallel_figure
from nas.reporting.style import (
    ACCENT_COLOUR,
    FIGURE_LAYOUT,
    FRONT_COLOUR,
    LEGEND_ABOVE,
    QUIET_COLOUR,
    STYLES,
    by_outcome,
)


def curves_figure(front: Sequence[TrialRecord], others: Sequence[TrialRecord]) -> go.Figure:
    """Validation accuracy by epoch: the members of the front, the cheapest dark, and before them all other trials.

    Of the others a trace names the trials of an outcome: the page's script puts in their curves.
    """
    figure = go.Figure()
    for outcome, group in by_outcome([record for record in others if record.epochs]).items():
        style = STYLES[outcome]
        figure.add_trace(
            go.Scatter(
                mode="lines" if any(len(record.epochs) > 1 for record in group) else "markers",
                line={"color": style.colour, "width": 1},
                marker={"size": 4},
                opacity=0.35,
                name=f"{style.label} ({len(group):,})",
                customdata=[record.number for record in group],
                hovertemplate="trial %{customdata}, epoch %{x}: %{y:.2%}<extra></extra>",
                meta={"role": "curves"},
            )
        )
    shades = sample_colorscale("Viridis", [0.9 * index / max(1, len(front) - 1) for index in range(len(front))])
    for record, shade in zip(front, shades, strict=True):
        figure.add_trace(
            go.Scatter(
                x=[epoch.epoch for epoch in record.epochs],
                y=[epoch.val_accuracy for epoch in record.epochs],
                mode="lines+markers",
                marker={"size": 4},
                line={"color": shade, "width": 1.5},
                name=f"{record.number:04d} · {record.readable_cost}",
                hovertemplate="epoch %{x}: %{y:.2%}",
            )
        )
    figure.update_layout(
        xaxis={"title": {"text": "epoch"}}, yaxis={"title": {"text": "validation accuracy"}, "tickformat": ".0%"}
    )
    return figure.update_layout(height=420, **FIGURE_LAYOUT)


def hypervolume_figure(records: Sequence[TrialRecord], reference: Point) -> go.Figure:
    """Hypervolume over the trials that ended and over the accelerator-hours that they took."""
    steps = hypervolume_steps(records, reference)
    anchors = front_hypervolume([record for record in finished(records) if record.anchor], reference)
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.05)
    volumes = [step.hypervolume for step in steps]
    spent: tuple[list[float], ...] = ([step.trials for step in steps], [step.hours for step in steps])
    for column, values in enumerate(spent):
        line = {"shape": "hv", "color": FRONT_COLOUR, "width": 2}
        figure.add_trace(
            go.Scatter(x=values, y=volumes, mode="lines", line=line, name="the front", showlegend=column == 0),
            1,
            column + 1,
        )
        if anchors:
            ends = [0, max(values)]
            dashes: dict[str, Any] = {"color": "#222222", "width": 1.5, "dash": "dash"}
            figure.add_trace(
                go.Scatter(x=ends, y=[anchors] * 2, mode="lines", line=dashes, name="the anchors alone",
                           showlegend=column == 0),
                1,
                column + 1,
            )  # fmt: skip
    figure.update_xaxes(title="trials ended", row=1, col=1)
    figure.update_xaxes(title="accelerator-hours of the trials ended", row=1, col=2)
    figure.update_yaxes(title="hypervolume", row=1, col=1)
    figure.update_layout(legend=LEGEND_ABOVE)
    return figure.update_layout(height=380, **FIGURE_LAYOUT)


def stopping_figure(spent: ComputeUsed) -> go.Figure:
    """Epochs and accelerator-hours spent, beside those that stopping trials early saved."""
    figure = make_subplots(1, 2, horizontal_spacing=0.1)
    sides = (("epochs", spent.epochs, spent.epochs_in_full), ("accelerator-hours", spent.hours, spent.hours_in_full))
    for column, (title, used, full) in enumerate(sides):
        for name, value, colour in (("spent", used, ACCENT_COLOUR), ("saved by stopping", full - used, QUIET_COLOUR)):
            bar = go.Bar(
                x=[value], y=[""], orientation="h", name=name, marker={"color": colour}, showlegend=column == 0,
                texttemplate="%{x:,.4~g}", insidetextanchor="middle",
                hovertemplate=f"{name}: %{{x:,.4~g}} {title}<extra></extra>",
            )  # fmt: skip
            figure.add_trace(bar, 1, column + 1)
        figure.update_xaxes(title=title, row=1, col=column + 1)
    figure.update_layout(
        barmode="stack", legend={"orientation": "h", "y": 1.1, "yanchor": "bottom", "traceorder": "normal"}
    )
    return figure.update_layout(height=200, **FIGURE_LAYOUT)


def page_figures(
    records: Sequence[TrialRecord],
    parallel: ParallelCoordinates,
    reference: Point,
    importances: Sequence[Importances],
    spent: ComputeUsed,
    full_epochs: int,
) -> dict[str, go.Figure]:
    """The figures that have something to show, by the name of their place on the page."""
    members = front_of(records)
    figures: dict[str, go.Figure] = {}
    on_front = {record.number for record in members}
    coordinates = parallel_figure(parallel, on_front)
    if coordinates is not None:
        figures["parallel"] = coordinates
    if any(record.epochs for record in records):
        figures["curves"] = curves_figure(members, [record for record in records if record.number not in on_front])
    if members:
        figures["choices"] = choices_figure(members)
        figures["hypervolume"] = hypervolume_figure(records, reference)
    if any(measured.choices for measured in importances):
        figures["importance"] = importance_figure(importances, full_epochs)
    if spent.epochs:
        figures["stopping"] = stopping_figure(spent)
    return figures
