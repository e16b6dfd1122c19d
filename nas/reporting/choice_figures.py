"""The figures of the choices: which of them live on the front, and how much each mattered."""

from collections.abc import Callable, Sequence

from plotly.colors import make_colorscale, sequential

from nas.records.trial import TrialRecord
from nas.reporting.importance import Importances
from nas.reporting.plotly_json import Json, bar, beside, figure, heatmap, in_panel, panel, panel_title
from nas.reporting.stages import StageChoice, stage_choices
from nas.reporting.style import ACCENT_COLOUR, FIGURE_LAYOUT, SECOND_COLOUR
from search_spaces.architecture import POSITIONAL_ENCODINGS, STAGE_COUNT

# Above this many members a cell of the choices is too narrow for its text, which is then shown on hovering.
READABLE_CELLS = 45

# Of the rows of cells, as shares of the figure.
ROW_HEIGHT, ROW_SPACING = 0.1975, 0.07


ENCODING_LETTERS = {None: "", "none": "n", "absolute": "a", "relative": "r", "relative_only": "o"}

# What a row of cells shows of a stage: its title, the number that gives the colour, the text, and the colours.
CHOICES: tuple[tuple[str, Callable[[StageChoice], float | None], Callable[[StageChoice], str], str], ...] = (
    ("operator (share of attention)", lambda choice: choice.attention, lambda choice: _operator(choice), "Blues"),
    ("spatial extent", lambda choice: choice.spatial_extent, lambda choice: _number(choice.spatial_extent), "YlOrBr"),
    ("heads", lambda choice: choice.heads, lambda choice: _number(choice.heads), "YlOrBr"),
    (
        "positional encoding",
        lambda choice: _encoding(choice),
        lambda choice: ENCODING_LETTERS[choice.positional_encoding],
        "BuGn",
    ),
)


def _operator(choice: StageChoice) -> str:
    return {0.0: "C", 1.0: "A"}.get(choice.attention, f"{choice.attention:.0%}")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _encoding(choice: StageChoice) -> float | None:
    encoding = choice.positional_encoding
    return None if encoding is None else float(POSITIONAL_ENCODINGS.index(encoding))


def colour_range(numbers: Sequence[Sequence[float | None]]) -> tuple[float, float]:
    """What the ends of a row's colours stand for: the dark half is left out, as black text on it is hard to read."""
    present = [number for line in numbers for number in line if number is not None] or [0.0]
    low, high = min(present), max(present)
    return low - 0.3, 2 * high - low + 0.3


def choices_figure(front: Sequence[TrialRecord]) -> Json:
    """What each stage is on the front, a column for each member from the cheapest to the most accurate."""
    choices = [stage_choices(record.architecture) for record in front]
    hover = [
        f"{index + 1} of {len(front)}: trial {record.number}, {record.point[0]:.2%}, {record.readable_cost}"
        for index, record in enumerate(front)
    ]
    lowest = len(CHOICES)
    across = {"showgrid": False, "dtick": max(1, len(front) // 20), "tick0": 1}
    above = {**across, "matches": f"x{lowest}", "showticklabels": False}
    last = {**across, "title": {"text": "member of the front, cheapest first"}}
    axes: Json = {}
    traces, titles = [], []
    for number, (title, value, text, colours) in enumerate(CHOICES, start=1):
        numbers = [[value(member[stage]) for member in choices] for stage in range(STAGE_COUNT)]
        low, high = colour_range(numbers)
        cells = heatmap(
            x=list(range(1, len(front) + 1)),
            y=[f"stage {stage + 1}" for stage in range(STAGE_COUNT)],
            z=numbers,
            text=[[text(member[stage]) for member in choices] for stage in range(STAGE_COUNT)],
            texttemplate="%{text}" if len(front) <= READABLE_CELLS else None,
            customdata=[hover] * STAGE_COUNT,
            hovertemplate="%{customdata}<br>%{y}, " + title.partition(" (")[0] + ": %{text}<extra></extra>",
            colorscale=make_colorscale(getattr(sequential, colours)),
            showscale=False,
            zmin=low,
            zmax=high,
            xgap=1,
            ygap=1,
        )
        traces.append(in_panel(cells, number))
        bottom = (lowest - number) * (ROW_HEIGHT + ROW_SPACING)
        down = {"autorange": "reversed", "showgrid": False}
        axes |= panel(number, [0, 1], [bottom, bottom + ROW_HEIGHT], last if number == lowest else above, down)
        titles.append(panel_title(title, 0.5, bottom + ROW_HEIGHT))
    return figure(traces, {**FIGURE_LAYOUT, **axes, "annotations": titles, "height": 680})


def importance_figure(importances: Sequence[Importances], full_epochs: int) -> Json:
    """A bar for each choice and number of epochs; the choices that only attention has in a panel of their own."""
    colours = (SECOND_COLOUR, ACCENT_COLOUR) if len(importances) > 1 else (ACCENT_COLOUR,)
    traces = []
    for measured, colour in zip(importances, colours, strict=True):
        name = f"after {measured.epoch} epochs" + (", the full budget" if measured.epoch == full_epochs else "")
        for conditional in (False, True):
            shown = [choice for choice in measured.choices if (choice.stage is not None) == conditional]
            bars = bar(
                x=[choice.importance for choice in shown],
                y=[choice.choice.replace("_", " ") for choice in shown],
                customdata=[choice.trials for choice in shown],
                hovertemplate="%{y}: %{x:.1%} of what explains accuracy, %{customdata} trials",
                orientation="h",
                marker={"color": colour},
                name=name,
                legendgroup=name,
                showlegend=not conditional,
            )
            traces.append(in_panel(bars, 1 + conditional))
    # Plotly draws categories from below; both panels read from the input of the network down.
    names = {choice.choice.replace("_", " "): choice.stage for measured in importances for choice in measured.choices}
    axes: Json = {}
    titles = []
    for conditional, domain in zip((False, True), beside(0.4), strict=True):
        order = sorted(name for name, stage in names.items() if (stage is not None) == conditional)
        across = {"tickformat": "~%", "rangemode": "tozero", "title": {"text": "importance"}}
        down = {"categoryorder": "array", "categoryarray": order[::-1]}
        axes |= panel(1 + conditional, domain, [0, 1], across, down)
        title = "choices of a stage with attention" if conditional else "choices of every trial"
        titles.append(panel_title(title, sum(domain) / 2, 1.0))
    legend = {"orientation": "h", "y": 1.12, "yanchor": "bottom", "traceorder": "normal"}
    layout = {**FIGURE_LAYOUT, **axes, "annotations": titles, "legend": legend, "barmode": "group", "height": 460}
    return figure(traces, layout)
