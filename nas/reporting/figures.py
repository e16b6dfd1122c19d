"""The page's figures beside the front: learning curves, hypervolume, what stopping saved, and the choices."""

from collections.abc import Sequence

from plotly.colors import make_colorscale, sample_colorscale, sequential

from nas.records.compute_used import ComputeUsed, hypervolume_steps
from nas.records.front import finished, front_hypervolume, front_of
from nas.records.pareto import Point
from nas.records.trial import TrialRecord
from nas.reporting.choice_figures import choices_figure, importance_figure
from nas.reporting.importance import Importances
from nas.reporting.parallel_figure import ParallelCoordinates, parallel_figure
from nas.reporting.plotly_json import Json, bar, beside, figure, in_panel, panel, scatter
from nas.reporting.style import (
    ACCENT_COLOUR,
    FIGURE_LAYOUT,
    FRONT_COLOUR,
    LEGEND_ABOVE,
    QUIET_COLOUR,
    STYLES,
    by_outcome,
)


def curves_figure(front: Sequence[TrialRecord], others: Sequence[TrialRecord]) -> Json:
    """Validation accuracy by epoch: the members of the front, the cheapest dark, before them all others from scratch.

    Of the others a trace names the trials of an outcome: the page's script puts in their curves.
    """
    traces = []
    for outcome, group in by_outcome([record for record in others if record.is_comparable]).items():
        style = STYLES[outcome]
        traces.append(
            scatter(
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
    shares = [0.9 * index / max(1, len(front) - 1) for index in range(len(front))]
    shades = sample_colorscale(make_colorscale(sequential.Viridis), shares)
    for record, shade in zip(front, shades, strict=True):
        traces.append(
            scatter(
                x=[epoch.epoch for epoch in record.epochs],
                y=[epoch.val_accuracy for epoch in record.epochs],
                mode="lines+markers",
                marker={"size": 4},
                line={"color": shade, "width": 1.5},
                name=f"{record.number:04d} · {record.readable_cost}",
                hovertemplate="epoch %{x}: %{y:.2%}",
            )
        )
    axes = {
        "xaxis": {"title": {"text": "epoch"}},
        "yaxis": {"title": {"text": "validation accuracy"}, "tickformat": ".0%"},
    }
    return figure(traces, {**FIGURE_LAYOUT, **axes, "height": 420})


def hypervolume_figure(records: Sequence[TrialRecord], reference: Point) -> Json:
    """Hypervolume over the trials that ended and over the accelerator-hours that they took."""
    steps = hypervolume_steps(records, reference)
    anchors = front_hypervolume([record for record in finished(records) if record.anchor], reference)
    volumes = [step.hypervolume for step in steps]
    spent: tuple[list[float], ...] = ([step.trials for step in steps], [step.hours for step in steps])
    front_line = {"shape": "hv", "color": FRONT_COLOUR, "width": 2}
    anchors_line = {"color": "#222222", "width": 1.5, "dash": "dash"}
    traces = []
    for number, values in enumerate(spent, start=1):
        in_legend = number == 1
        line = scatter(x=values, y=volumes, mode="lines", line=front_line, name="the front", showlegend=in_legend)
        traces.append(in_panel(line, number))
        if anchors:
            line = scatter(x=[0, max(values)], y=[anchors] * 2, mode="lines", line=anchors_line,
                           name="the anchors alone", showlegend=in_legend)  # fmt: skip
            traces.append(in_panel(line, number))
    left, right = beside(0.475)
    hours = {"title": {"text": "accelerator-hours of the trials ended"}}
    layout = {
        **FIGURE_LAYOUT,
        **panel(1, left, [0, 1], {"title": {"text": "trials ended"}}, {"title": {"text": "hypervolume"}}),
        **panel(2, right, [0, 1], hours, {"matches": "y", "showticklabels": False}),
        "legend": LEGEND_ABOVE,
        "height": 380,
    }
    return figure(traces, layout)


def stopping_figure(spent: ComputeUsed) -> Json:
    """Epochs and accelerator-hours spent, beside those that stopping trials early saved."""
    sides = (("epochs", spent.epochs, spent.epochs_in_full), ("accelerator-hours", spent.hours, spent.hours_in_full))
    axes: Json = {}
    traces = []
    for number, ((title, used, full), domain) in enumerate(zip(sides, beside(0.45), strict=True), start=1):
        for name, value, colour in (("spent", used, ACCENT_COLOUR), ("saved by stopping", full - used, QUIET_COLOUR)):
            part = bar(
                x=[value], y=[""], orientation="h", name=name, marker={"color": colour}, showlegend=number == 1,
                texttemplate="%{x:,.4~g}", insidetextanchor="middle",
                hovertemplate=f"{name}: %{{x:,.4~g}} {title}<extra></extra>",
            )  # fmt: skip
            traces.append(in_panel(part, number))
        axes |= panel(number, domain, [0, 1], {"title": {"text": title}}, {})
    legend = {"orientation": "h", "y": 1.1, "yanchor": "bottom", "traceorder": "normal"}
    return figure(traces, {**FIGURE_LAYOUT, **axes, "barmode": "stack", "legend": legend, "height": 200})


def page_figures(
    records: Sequence[TrialRecord],
    parallel: ParallelCoordinates,
    reference: Point,
    importances: Sequence[Importances],
    spent: ComputeUsed,
    full_epochs: int,
) -> dict[str, Json]:
    """The figures that have something to show, by the name of their place on the page."""
    members = front_of(records)
    figures: dict[str, Json] = {}
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
