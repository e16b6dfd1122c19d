from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from nas.records.search_facts import SearchFacts
from nas.reporting.importance import importances
from nas.reporting.pictures import (
    choices_picture,
    curves_picture,
    front_picture,
    hypervolume_picture,
    importance_picture,
)
from tests.support.simulated_search import DIGITS, EPOCHS, simulated_search


def drawn_box(figure: Figure) -> tuple[float, float, float, float]:
    """What is drawn, in inches: left, bottom, and what is free at the right and at the top."""
    box = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())  # type: ignore[no-untyped-call]
    return box.x0, box.y0, figure.get_figwidth() - box.x1, figure.get_figheight() - box.y1


def test_nothing_sticks_out_of_a_picture() -> None:
    """Whatever the axes are called and however much accuracies have in common, as of a single trial."""
    facts = SearchFacts("a search", DIGITS, EPOCHS, (0.1, 2e7))
    for trials in (1, 120):
        records = simulated_search(trials)
        figures = (
            front_picture(facts, records),
            front_picture(facts, records, "params"),
            hypervolume_picture(facts, records),
            curves_picture(records),
            choices_picture(records),
            importance_picture(importances(records, EPOCHS)),
        )
        for figure in figures:
            assert min(drawn_box(figure)) >= 0, (trials, figure)
