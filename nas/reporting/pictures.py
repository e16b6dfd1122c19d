"""The main figures as pictures, for people who read on paper."""

import io
from collections.abc import Mapping, Sequence

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.ticker import PercentFormatter

from nas.records.comparison import ComparedSearch
from nas.records.compute_used import hypervolume_steps
from nas.records.front import finished, front_hypervolume, front_of, front_over, with_repeats
from nas.records.objectives import COSTS, CostName
from nas.records.pareto import Point
from nas.records.search_facts import SearchFacts
from nas.records.trial import TrialRecord
from nas.reporting.choice_figures import CHOICES, READABLE_CELLS, colour_range
from nas.reporting.importance import Importances
from nas.reporting.reference_models import is_near, reference_models
from nas.reporting.stages import stage_choices
from nas.reporting.style import (
    ACCENT_COLOUR,
    FRONT_COLOUR,
    QUIET_COLOUR,
    SECOND_COLOUR,
    STYLES,
    accuracy_range,
    by_outcome,
    search_styles,
)
from search_spaces.architecture import STAGE_COUNT

DOTS_PER_INCH = 120

# Where the panels are, as shares of the picture. To have them found, each picture would be drawn twice.
ONE_PANEL = {"left": 0.125, "right": 0.98, "bottom": 0.13, "top": 0.92}
TWO_PANELS = {"left": 0.09, "right": 0.98, "bottom": 0.13, "top": 0.96, "wspace": 0.06}
ROWS = {"left": 0.08, "right": 0.98, "bottom": 0.04, "top": 0.96, "hspace": 0.2}
NAMED_BARS = {"left": 0.16, "right": 0.98, "bottom": 0.11, "top": 0.85, "wspace": 0.95}


class Picture(Figure):
    """A figure that a notebook shows: by itself it knows those alone that come of pyplot."""

    def _repr_png_(self) -> bytes:
        return png_bytes(self)


def png_bytes(picture: Figure) -> bytes:
    """A picture as the contents of a PNG file."""
    buffer = io.BytesIO()
    # The usual level 6 takes longer, for files that are smaller by a tenth or so.
    picture.savefig(buffer, format="png", pil_kwargs={"compress_level": 3})
    return buffer.getvalue()


def report_pictures(
    facts: SearchFacts, records: Sequence[TrialRecord], importances: Sequence[Importances]
) -> dict[str, bytes]:
    """The contents of the picture files of a report, by their names: five, and one for each cost beyond the first."""
    return result_pictures(facts, records) | importance_pictures(importances) | member_pictures(records)


def result_pictures(facts: SearchFacts, records: Sequence[TrialRecord]) -> dict[str, bytes]:
    """What came of the trials: the front over each cost, and its hypervolume."""
    return _files({
        "front.png": front_picture(facts, records),
        **{f"front_{name}.png": front_picture(facts, records, name) for name in facts.cost_names[1:]},
        "hypervolume.png": hypervolume_picture(facts, records),
    })  # fmt: skip


def member_pictures(records: Sequence[TrialRecord]) -> dict[str, bytes]:
    """The members of the front: how they learned, and what they are made of."""
    return _files({"learning_curves.png": curves_picture(records), "choices.png": choices_picture(records)})


def importance_pictures(importances: Sequence[Importances]) -> dict[str, bytes]:
    """How much each choice mattered."""
    return _files({"importance.png": importance_picture(importances)})


def _files(pictures: Mapping[str, Figure]) -> dict[str, bytes]:
    return {name: png_bytes(picture) for name, picture in pictures.items()}


def front_picture(facts: SearchFacts, records: Sequence[TrialRecord], over: CostName | None = None) -> Picture:
    """The front among all trials that trained, with the cost of the paper's models where it lies near.

    It is drawn over one cost, by default the first of the search's. Where there are several, the line joins those that
    no other beats in that one alone.
    """
    cost_name = facts.cost_name if over is None else over
    figure = Picture(figsize=(8, 5), dpi=DOTS_PER_INCH)
    axes = figure.subplots(gridspec_kw=ONE_PANEL)
    trained = [record for record in with_repeats(records) if record.is_comparable]
    _bars(axes, trained, cost_name, ACCENT_COLOUR)
    for outcome, group in by_outcome(trained).items():
        style = STYLES[outcome]
        # A Matplotlib size is an area in square points, three quarters of a pixel a side.
        area = (0.75 * style.size) ** 2
        axes.scatter(
            *_columns(group, cost_name), s=area, c=style.colour, marker=style.marker, linewidths=1, label=style.label
        )
    members = front_of(records)
    if members:
        _bars(axes, members, cost_name, FRONT_COLOUR)
        axes.step(*_columns(front_over(members, cost_name), cost_name), where="post", c=FRONT_COLOUR, lw=1.5)
        axes.scatter(*_columns(members, cost_name), s=42, c=FRONT_COLOUR, label="front", zorder=3)
    anchors = [record for record in trained if record.anchor]
    if anchors:
        columns = _columns(anchors, cost_name)
        axes.scatter(*columns, s=130, facecolors="none", edgecolors="black", label="anchors")
    if trained:
        if cost_name == "flops":
            _mark_reference_models(axes, facts, trained)
        axes.set_ylim(accuracy_range(list(records)))
        axes.set_xscale("log")
        axes.legend(loc="best")
    axes.set(xlabel=COSTS[cost_name].title, ylabel="validation accuracy", title=facts.name)
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    return figure


def comparison_picture(searches: Sequence[ComparedSearch], box: Point) -> Figure:
    """The fronts of several searches in one box, with their hypervolumes there: of several costs over the first."""
    cost_name = searches[0].facts.cost_name
    figure = Figure(figsize=(8, 5), layout="constrained", dpi=DOTS_PER_INCH)
    axes = figure.subplots()
    for search, style in zip(searches, search_styles(len(searches)), strict=True):
        members = front_over(front_of(search.records), cost_name)
        _bars(axes, members, cost_name, style.colour)
        costs, accuracies = _columns(members, cost_name)
        label = f"{search.name}: {front_hypervolume(search.records, box):.4f}"
        axes.step(costs, accuracies, where="post", c=style.colour, ls=style.line, marker="o", ms=5, lw=1.5, label=label)
    if any(front_of(search.records) for search in searches):
        axes.set_xscale("log")
    axes.legend(loc="lower right", title="hypervolume")
    axes.set(xlabel=COSTS[cost_name].title, ylabel="validation accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    return figure


def _bars(axes: Axes, records: Sequence[TrialRecord], cost_name: CostName, colour: str) -> None:
    """Bars from the least to the most accurate training of those that were trained several times."""
    repeated = [record for record in records if record.repeats]
    if repeated:
        costs, accuracies = _columns(repeated, cost_name)
        below = [record.point[0] - min(record.repeats) for record in repeated]
        above = [max(record.repeats) - record.point[0] for record in repeated]
        axes.errorbar(costs, accuracies, yerr=[below, above], fmt="none", ecolor=colour, elinewidth=1, capsize=2)


def _columns(records: Sequence[TrialRecord], cost_name: CostName) -> tuple[list[float], list[float]]:
    return [float(record.cost_in(cost_name)) for record in records], [record.point[0] for record in records]


def _mark_reference_models(axes: Axes, facts: SearchFacts, trained: Sequence[TrialRecord]) -> None:
    models = reference_models(facts.data)
    if is_near([model.flops for model in models], [record.flops for record in trained]):
        for model in models:
            axes.axvline(model.flops, c="black", lw=0.6, ls=":")
            axes.text(model.flops, 0.99, model.name, rotation=90, fontsize=6, ha="right", va="top",
                      transform=axes.get_xaxis_transform())  # fmt: skip


def hypervolume_picture(facts: SearchFacts, records: Sequence[TrialRecord]) -> Figure:
    """Hypervolume over trials and over accelerator-hours, with the anchors' own as a line."""
    figure = Figure(figsize=(9, 4), dpi=DOTS_PER_INCH)
    panels = figure.subplots(1, 2, sharey=True, gridspec_kw=TWO_PANELS)
    steps = hypervolume_steps(records, facts.reference)
    anchors = front_hypervolume([record for record in finished(records) if record.anchor], facts.reference)
    volumes = [step.hypervolume for step in steps]
    spent: tuple[list[float], ...] = ([step.trials for step in steps], [step.hours for step in steps])
    for axes, values in zip(panels, spent, strict=True):
        axes.step(values, volumes, where="post", c=FRONT_COLOUR, label="the front")
        if anchors:
            axes.axhline(anchors, c="black", ls="--", lw=1, label="the anchors alone")
        axes.grid(alpha=0.3)
    panels[0].set(xlabel="trials ended", ylabel="hypervolume")
    panels[1].set(xlabel="accelerator-hours of the trials ended")
    panels[0].legend(loc="lower right")
    return figure


def curves_picture(records: Sequence[TrialRecord]) -> Figure:
    """Validation accuracy by epoch: the members of the front, the cheapest dark, before all other trials."""
    figure = Figure(figsize=(8, 4), dpi=DOTS_PER_INCH)
    axes = figure.subplots(gridspec_kw=ONE_PANEL)
    members = front_of(records)
    on_front = {record.number for record in members}
    others = [record for record in records if record.is_comparable and record.number not in on_front]
    curves = [[(epoch.epoch, epoch.val_accuracy) for epoch in record.epochs] for record in others]
    axes.add_collection(LineCollection(curves, colors=QUIET_COLOUR, linewidths=0.5, alpha=0.3), autolim=True)
    axes.set_prop_cycle(color=[_viridis(index, len(members)) for index in range(max(1, len(members)))])
    for record in members:
        epochs = [epoch.epoch for epoch in record.epochs]
        accuracies = [epoch.val_accuracy for epoch in record.epochs]
        axes.plot(epochs, accuracies, lw=1.2, label=f"{record.number:04d} · {record.readable_cost}")
    if 0 < len(members) <= READABLE_CELLS:
        axes.legend(loc="lower right", fontsize=7, ncols=2)
    axes.set(xlabel="epoch", ylabel="validation accuracy")
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.grid(alpha=0.3)
    return figure


def _viridis(index: int, count: int) -> tuple[float, float, float, float]:
    return colormaps["viridis"](0.9 * index / max(1, count - 1))


def choices_picture(records: Sequence[TrialRecord]) -> Figure:
    """What each stage is on the front, from its cheapest to its most accurate member."""
    figure = Figure(figsize=(9, 8), dpi=DOTS_PER_INCH)
    choices = [stage_choices(record.architecture) for record in front_of(records)]
    for axes, (title, value, text, colours) in zip(
        figure.subplots(len(CHOICES), 1, gridspec_kw=ROWS), CHOICES, strict=True
    ):
        axes.set_title(title, fontsize=10)
        axes.set_yticks(range(STAGE_COUNT), [f"stage {stage + 1}" for stage in range(STAGE_COUNT)])
        if not choices:
            continue
        numbers = [[value(member[stage]) for member in choices] for stage in range(STAGE_COUNT)]
        cells = [[float("nan") if number is None else number for number in row] for row in numbers]
        low, high = colour_range(numbers)
        axes.imshow(cells, aspect="auto", cmap=colours, vmin=low, vmax=high, interpolation="nearest")
        axes.set_xticks([])
        if len(choices) <= READABLE_CELLS:
            _write_cells(axes, [[text(member[stage]) for member in choices] for stage in range(STAGE_COUNT)])
    axes.set_xlabel("members of the front, cheapest first")
    return figure


def _write_cells(axes: Axes, texts: Sequence[Sequence[str]]) -> None:
    """Writes a text into the middle of each cell of an image. Each is laid out once: as hundreds of Matplotlib's texts
    they would take as long as all else of the picture.
    """
    figure = axes.get_figure(root=True)
    assert figure is not None
    places: dict[str, list[tuple[int, int]]] = {}
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            if text:
                places.setdefault(text, []).append((column, row))
    for text, offsets in places.items():
        # In inches, of which a point is a 72nd.
        outline = TextPath((0, 0), text, size=7 / 72)
        middle = outline.get_extents().get_points().mean(axis=0)
        centred = Path(outline.vertices - middle, outline.codes)
        cells = PathCollection([centred], offsets=offsets, offset_transform=axes.transData, color="black", linewidths=0)
        cells.set_transform(figure.dpi_scale_trans)
        axes.add_collection(cells, autolim=False)


def importance_picture(importances: Sequence[Importances]) -> Figure:
    """How much each choice mattered, for each number of epochs that was looked at."""
    figure = Figure(figsize=(9, 5), dpi=DOTS_PER_INCH)
    panels = figure.subplots(1, 2, gridspec_kw=NAMED_BARS)
    shown = [measured for measured in importances if measured.choices]
    for axes, conditional in zip(panels, (False, True), strict=True):
        names = sorted(
            {choice.choice for measured in shown for choice in measured.choices if bool(choice.stage) == conditional}
        )
        for index, measured in enumerate(shown):
            shares = {choice.choice: choice.importance for choice in measured.choices}
            places = [place + 0.4 * index for place in range(len(names))]
            colour = ACCENT_COLOUR if measured is shown[-1] else SECOND_COLOUR
            axes.barh(places, [shares.get(name, 0.0) for name in names], 0.4, color=colour,
                      label=f"after {measured.epoch} epochs, {measured.trials} trials")  # fmt: skip
        axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
        axes.invert_yaxis()
        axes.locator_params(axis="x", nbins=4)
        axes.set(xlabel="importance", title="choices of a stage with attention" if conditional else "every trial")
    if shown:
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="upper center", ncols=2)
    return figure
