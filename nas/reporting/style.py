"""How the figures draw the trials of each outcome. The colours are those of Okabe and Ito, told apart by all."""

from dataclasses import dataclass

from nas.records.front import finished
from nas.records.trial import OUTCOMES, Outcome, TrialRecord

# The file of the page, in the directory of the report and among MLflow's artifacts.
REPORT_PAGE = "front.html"

FRONT_COLOUR = "#d55e00"
ACCENT_COLOUR = "#0072b2"
SECOND_COLOUR = "#e69f00"
QUIET_COLOUR = "#8a939c"

# What Plotly's figures have in common.
FIGURE_LAYOUT = {"margin": {"t": 60, "r": 20, "l": 70, "b": 50}}
LEGEND_ABOVE = {"orientation": "h", "y": 1.08, "yanchor": "bottom"}


@dataclass(frozen=True, slots=True)
class OutcomeStyle:
    """`symbol` is Plotly's name of the mark, `marker` Matplotlib's; `size` in pixels."""

    label: str
    colour: str
    symbol: str
    marker: str
    size: int


# Outcomes of trials that trained, those drawn first at the back.
STYLES: dict[str, OutcomeStyle] = {
    "stopped": OutcomeStyle("stopped early", QUIET_COLOUR, "triangle-down-open", "v", 7),
    "held": OutcomeStyle("held at a rung", QUIET_COLOUR, "triangle-up-open", "^", 7),
    "failed": OutcomeStyle("failed", "#cc79a7", "x", "x", 7),
    "diverged": OutcomeStyle("diverged", "#cc79a7", "cross", "+", 8),
    "crashed": OutcomeStyle("crashed", "#cc79a7", "x-thin-open", "x", 7),
    "oom": OutcomeStyle("out of memory", "#cc79a7", "hash-open", "x", 7),
    "running": OutcomeStyle("running", "#009e73", "diamond", "D", 7),
    "finished": OutcomeStyle("full budget", ACCENT_COLOUR, "circle", "o", 8),
}


@dataclass(frozen=True, slots=True)
class SearchStyle:
    """How the front of one of several searches is drawn. `dash` is Plotly's word, `line` Matplotlib's."""

    colour: str
    dash: str
    line: str


# Told apart by all, in this order; after as many searches the dash changes.
_SEARCH_COLOURS = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = (("solid", "-"), ("dash", "--"), ("dot", ":"), ("dashdot", "-."))


def search_styles(count: int) -> list[SearchStyle]:
    """A style for each of so many searches."""
    colours = len(_SEARCH_COLOURS)
    return [
        SearchStyle(_SEARCH_COLOURS[index % colours], *_DASHES[index // colours % len(_DASHES)])
        for index in range(count)
    ]


def by_outcome(records: list[TrialRecord]) -> dict[Outcome, list[TrialRecord]]:
    """The trials of each outcome that occurs, in the order of drawing; outcomes without a style come first."""
    styled = list(STYLES)
    order = sorted(OUTCOMES, key=lambda outcome: styled.index(outcome) if outcome in STYLES else -1)
    groups = {outcome: [record for record in records if record.outcome == outcome] for outcome in order}
    return {outcome: group for outcome, group in groups.items() if group}


def accuracy_range(records: list[TrialRecord]) -> tuple[float, float] | None:
    """The accuracies that a figure opens on: those of full-budget results, or None where there are none."""
    accuracies = [record.point[0] for record in finished(records)]
    if not accuracies:
        return None
    margin = 0.1 * (max(accuracies) - min(accuracies)) + 0.005
    return min(accuracies) - margin, max(accuracies) + margin
