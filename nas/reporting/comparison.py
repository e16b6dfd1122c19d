"""Several fronts in one page and one picture, with their hypervolumes in one box, as files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nas.records.comparison import ComparedSearch, common_box, differences, groups
from nas.records.front import front_of, front_over
from nas.records.objectives import COSTS
from nas.records.trial import TrialRecord
from nas.reporting.comparison_texts import COLUMNS, box_text, comparison_csv, comparison_rows, difference_lines
from nas.reporting.page import ENVIRONMENT, page_style
from nas.reporting.pictures import comparison_picture, png_bytes
from nas.reporting.plotly_json import Json, figure, plotly_script, scatter
from nas.reporting.style import FIGURE_LAYOUT, LEGEND_ABOVE, search_styles
from search_spaces.shared_files import replace_shared_file

COMPARISON_PAGE = "comparison.html"


def write_comparison(directory: Path, searches: Sequence[ComparedSearch], notes: Sequence[str]) -> list[Path]:
    """Writes comparison.html, comparison.png and comparison.csv to `directory`, made where it is missing.

    `notes` is what has to be kept in mind. Raises OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    box = common_box(searches)
    contents = {
        COMPARISON_PAGE: comparison_page(searches, notes).encode(),
        "comparison.png": png_bytes(comparison_picture(searches, box)),
        "comparison.csv": comparison_csv(searches, box).encode(),
    }
    for name, content in contents.items():
        replace_shared_file(directory / name, content)
    return [directory / name for name in contents]


def comparison_page(searches: Sequence[ComparedSearch], notes: Sequence[str]) -> str:
    """The page, which needs no network. Whatever a user named is escaped."""
    box = common_box(searches)
    compared = groups(searches, box)
    return ENVIRONMENT.get_template("comparison.html").render(
        name=" · ".join(search.name for search in searches),
        columns=COLUMNS,
        rows=comparison_rows(searches, box),
        box=box_text(searches, box),
        notes=notes,
        lines=difference_lines(compared, differences(compared)),
        figure=comparison_figure(searches),
        style=page_style(),
        plotly=plotly_script(),
    )


def comparison_figure(searches: Sequence[ComparedSearch]) -> Json:
    """The fronts of the searches, each in a colour of its own, over one axis of cost.

    Of several costs it is the first, and of each front what no other beats in that alone.
    """
    cost_name, traces = searches[0].facts.cost_name, []
    for search, style in zip(searches, search_styles(len(searches)), strict=True):
        members = front_over(front_of(search.records), cost_name)
        texts = [
            f"{search.name} {record.number}<br>{record.architecture.label}<br>{record.point[0]:.2%} at "
            f"{record.readable_cost}"
            for record in members
        ]
        traces.append(
            scatter(
                mode="lines+markers",
                name=search.name,
                x=[record.cost for record in members],
                y=[record.point[0] for record in members],
                line={"shape": "hv", "color": style.colour, "dash": style.dash},
                marker={"color": style.colour, "size": 9},
                error_y=repeat_bars(members),
                text=texts,
                hoverinfo="text",
            )
        )
    layout = {
        **FIGURE_LAYOUT,
        "height": 560,
        "legend": LEGEND_ABOVE,
        "xaxis": {"title": {"text": COSTS[cost_name].title}, "type": "log"},
        "yaxis": {"title": {"text": "validation accuracy"}, "tickformat": ".1%"},
    }
    return figure(traces, layout)


def repeat_bars(members: Sequence[TrialRecord]) -> dict[str, Any] | None:
    """Bars from the least to the most accurate training, where any of the members was trained several times."""
    if not any(record.repeats for record in members):
        return None
    return {
        "type": "data",
        "symmetric": False,
        "array": [max(record.repeats, default=record.point[0]) - record.point[0] for record in members],
        "arrayminus": [record.point[0] - min(record.repeats, default=record.point[0]) for record in members],
        "thickness": 1,
        "width": 3,
    }
