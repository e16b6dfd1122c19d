"""Parallel coordinates: each trial that trained a line over its choices, its cost and its accuracy.

The figure is a template, as that of the front: a trace names its trials, and the page's script puts in their places, so
that it can draw those that the table shows.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from plotly.colors import make_colorscale, sample_colorscale, sequential

from nas.records.trial import TrialRecord
from nas.reporting.plotly_json import Json, figure, scatter
from nas.reporting.stages import StageChoice, stage_choices
from nas.reporting.style import FRONT_COLOUR
from search_spaces.architecture import STAGE_COUNT
from search_spaces.units import readable_flops

# Lines are coloured by their rank of accuracy, in so many bands.
BANDS = 5
MOST_TICKS = 9
# Lines of the same choice lie as far apart, as a share of the axis.
SPREAD = 0.03
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True, slots=True)
class ParallelAxis:
    """An axis: where each trial stands on it, from 0 below to 1 above, and the marks with their texts."""

    title: str
    places: tuple[float, ...]
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class ParallelCoordinates:
    """The axes of what differs among `records`, the trials that have an accuracy."""

    records: tuple[TrialRecord, ...]
    axes: tuple[ParallelAxis, ...]

    def places(self) -> dict[int, list[float]]:
        """Where each trial crosses the axes, by its number."""
        return {
            record.number: [round(axis.places[index], 3) for axis in self.axes]
            for index, record in enumerate(self.records)
        }


def parallel_coordinates(records: Sequence[TrialRecord]) -> ParallelCoordinates:
    """Frame, stages, costs and accuracy of what was trained from scratch; what is the same in all is left out."""
    trained = tuple(record for record in records if record.is_comparable)
    networks = [record.architecture for record in trained]
    stages = [stage_choices(network) for network in networks]
    latencies = [record.latency_ms for record in trained if record.latency_ms is not None]
    axes = [
        _choices("stem", [(network.stem, network.stem.replace("_", " ")) for network in networks]),
        _choices("depth", [_numbered(network.depth) for network in networks]),
        _choices("channels", [_numbered(network.base_channels) for network in networks]),
        *(_choices(f"stage {stage + 1}", [_stage(of[stage]) for of in stages]) for stage in range(STAGE_COUNT)),
        _cost("FLOPs", [record.flops for record in trained], readable_flops),
        _cost("parameters", [record.params for record in trained], lambda count: f"{round(count):,}"),
        # Of a search on latency alone it is known of every trial.
        _cost("latency", latencies if len(latencies) == len(trained) else [], lambda cost: f"{cost:.3g} ms"),
        _accuracy([record.point[0] for record in trained]),
    ]
    return ParallelCoordinates(trained, tuple(axis for axis in axes if axis is not None))


def _numbered(value: int) -> tuple[int, str]:
    return value, str(value)


def _stage(choice: StageChoice) -> tuple[tuple[float, float], str]:
    """A stage as it is put in order, and its text: C, or the extent of its attention and how much of it that is."""
    if choice.spatial_extent is None:
        return (0.0, 0.0), "C"
    share = "" if choice.attention == 1 else f" {choice.attention:.0%}"
    return (choice.attention, choice.spatial_extent), f"A{choice.spatial_extent:.3g}{share}"


def _choices(title: str, values: Sequence[tuple[Hashable, str]]) -> ParallelAxis | None:
    """An axis of values that are chosen from a few, in their order; None where there is but one."""
    texts = dict(values)
    order = sorted(texts)  # type: ignore[type-var] # Of one kind each.
    if len(order) < 2:
        return None
    place = {value: index / (len(order) - 1) for index, value in enumerate(order)}
    step = math.ceil(len(order) / MOST_TICKS)
    return ParallelAxis(
        title,
        tuple(place[value] + SPREAD * (index * _GOLDEN % 1 - 0.5) for index, (value, _) in enumerate(values)),
        tuple((place[value], texts[value]) for value in order[::step]),
    )


def _cost(title: str, costs: Sequence[float], readable: Callable[[float], str]) -> ParallelAxis | None:
    """An axis of the logarithm of a cost."""
    if len(set(costs)) < 2:
        return None
    low, high = math.log(min(costs)), math.log(max(costs))
    ticks = tuple((place, readable(math.exp(low + place * (high - low)))) for place in (0.0, 0.5, 1.0))
    return ParallelAxis(title, tuple((math.log(cost) - low) / (high - low) for cost in costs), ticks)


def _accuracy(accuracies: Sequence[float]) -> ParallelAxis | None:
    if len(set(accuracies)) < 2:
        return None
    low, high = min(accuracies), max(accuracies)
    ticks = tuple((place, f"{low + place * (high - low):.1%}") for place in (0.0, 0.25, 0.5, 0.75, 1.0))
    return ParallelAxis("accuracy", tuple((accuracy - low) / (high - low) for accuracy in accuracies), ticks)


def parallel_figure(shown: ParallelCoordinates, on_front: set[int]) -> Json | None:
    """The figure, the least accurate at the back and the front before all; None where there is nothing to compare."""
    if len(shown.axes) < 2:
        return None
    ranked = [record.number for record in sorted(shown.records, key=lambda record: record.point[0])]
    others = [number for number in ranked if number not in on_front]
    traces = []
    shares = [0.95 - 0.85 * band / (BANDS - 1) for band in range(BANDS)]
    colours = sample_colorscale(make_colorscale(sequential.Viridis), shares)
    for band, colour in enumerate(colours):
        numbers = others[len(others) * band // BANDS : len(others) * (band + 1) // BANDS]
        traces.append(_lines(numbers, {"color": colour, "width": 1}, 0.5))
    traces.append(_lines([number for number in ranked if number in on_front], {"color": FRONT_COLOUR, "width": 2}, 1))
    layout = {
        "margin": {"t": 40, "r": 60, "l": 60, "b": 20},
        "height": 420,
        "showlegend": False,
        "xaxis": {
            "tickvals": list(range(len(shown.axes))), "ticktext": [axis.title for axis in shown.axes], "side": "top",
            "range": [-0.3, len(shown.axes) - 0.7], "gridcolor": "#8a939c", "zeroline": False, "fixedrange": True,
        },
        "yaxis": {"visible": False, "range": [-0.06, 1.06], "fixedrange": True},
        "annotations": [
            {
                "x": index, "y": place, "text": text, "showarrow": False, "xanchor": "left", "xshift": 3,
                "font": {"size": 10, "color": "#1b1f24"}, "bgcolor": "rgba(255,255,255,0.7)",
            }
            for index, axis in enumerate(shown.axes)
            for place, text in axis.ticks
        ],
    }  # fmt: skip
    return figure(traces, layout)


def _lines(numbers: Sequence[int], line: dict[str, object], opacity: float) -> Json:
    return scatter(
        mode="lines", line=line, opacity=opacity, customdata=list(numbers), hoverinfo="text", meta={"role": "parallel"}
    )
