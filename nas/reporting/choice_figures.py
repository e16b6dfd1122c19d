"""The figures of the choices: which of them live on the front, and how much each mattered."""

from collections.abc import Callable, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from nas.records.trial import TrialRecord
from nas.reporting.importance import Importances
from nas.reporting.stages import StageChoice, stage_choices
from nas.reporting.style import ACCENT_COLOUR, FIGURE_LAYOUT, SECOND_COLOUR
from search_spaces.architecture import POSITIONAL_ENCODINGS, STAGE_COUNT

# Above this many members a cell of the choices is too narrow for its text, which is then shown on hovering.
READABLE_CELLS = 45


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


def choices_figure(front: Sequence[TrialRecord]) -> go.Figure:
    """What each stage is on the front, a column for each member from the cheapest to the most accurate."""
    figure = make_subplots(
        len(CHOICES), 1, shared_xaxes=True, vertical_spacing=0.07, subplot_titles=[title for title, *_ in CHOICES]
    )
    choices = [stage_choices(record.architecture) for record in front]
    hover = [
        f"{index + 1} of {len(front)}: trial {record.number}, {record.point[0]:.2%}, {record.readable_cost}"
        for index, record in enumerate(front)
    ]
    for row, (title, value, text, colours) in enumerate(CHOICES):
        numbers = [[value(member[stage]) for member in choices] for stage in range(STAGE_COUNT)]
        low, high = colour_range(numbers)
        heatmap = go.Heatmap(
            x=list(range(1, len(front) + 1)),
            y=[f"stage {stage + 1}" for stage in range(STAGE_COUNT)],
            z=numbers,
            text=[[text(member[stage]) for member in choices] for stage in range(STAGE_COUNT)],
            customdata=[hover] * STAGE_COUNT,
            hovertemplate="%{customdata}<br>%{y}, " + title.partition(" (")[0] + ": %{text}<extra></extra>",
            colorscale=colours,
            showscale=False,
            zmin=low,
            zmax=high,
            xgap=1,
            ygap=1,
        )
        if len(front) <= READABLE_CELLS:
            heatmap.texttemplate = "%{text}"
        figure.add_trace(heatmap, row + 1, 1)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    figure.update_xaxes(showgrid=False, dtick=max(1, len(front) // 20), tick0=1)
    figure.update_xaxes(title="member of the front, cheapest first", row=len(CHOICES), col=1)
    return figure.update_layout(height=680, **FIGURE_LAYOUT)


def importance_figure(importances: Sequence[Importances], full_epochs: int) -> go.Figure:
    """A bar for each choice and number of epochs; the choices that only attention has in a panel of their own."""
    figure = make_subplots(
        1, 2, horizontal_spacing=0.2, subplot_titles=("choices of every trial", "choices of a stage with attention")
    )
    colours = (SECOND_COLOUR, ACCENT_COLOUR) if len(importances) > 1 else (ACCENT_COLOUR,)
    for measured, colour in zip(importances, colours, strict=True):
        name = f"after {measured.epoch} epochs" + (", the full budget" if measured.epoch == full_epochs else "")
        for column, conditional in enumerate((False, True)):
            shown = [choice for choice in measured.choices if (choice.stage is not None) == conditional]
            figure.add_trace(
                go.Bar(
                    x=[choice.importance for choice in shown],
                    y=[choice.choice.replace("_", " ") for choice in shown],
                    customdata=[choice.trials for choice in shown],
                    hovertemplate="%{y}: %{x:.1%} of what explains accuracy, %{customdata} trials",
                    orientation="h",
                    marker={"color": colour},
                    name=name,
                    legendgroup=name,
                    showlegend=not conditional,
                ),
                1,
                column + 1,
            )
    # Plotly draws categories from below; both panels read from the input of the network down.
    names = {choice.choice.replace("_", " "): choice.stage for measured in importances for choice in measured.choices}
    for column, conditional in enumerate((False, True)):
        order = sorted(name for name, stage in names.items() if (stage is not None) == conditional)
        figure.update_yaxes(categoryorder="array", categoryarray=order[::-1], row=1, col=column + 1)
    figure.update_xaxes(tickformat="~%", rangemode="tozero", title="importance")
    figure.update_layout(
        legend={"orientation": "h", "y": 1.12, "yanchor": "bottom", "traceorder": "normal"}, barmode="group"
    )
    return figure.update_layout(height=460, **FIGURE_LAYOUT)
