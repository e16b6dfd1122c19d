from collections.abc import Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from nas.records.front import front_of
from nas.records.search_facts import SearchFacts
from nas.records.trial import TrialRecord
from nas.reporting.choice_figures import CHOICES
from nas.reporting.importance import importances
from nas.reporting.pictures import (
    choices_picture,
    curves_picture,
    front_picture,
    hypervolume_picture,
    importance_picture,
)
from nas.reporting.stages import stage_choices
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


def pixels(figure: Figure) -> NDArray[np.float64]:
    """[height, width] brightness of a picture, from 0 to 1."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()  # type: ignore[no-untyped-call]
    rgba = np.asarray(canvas.buffer_rgba(), dtype=np.float64)  # type: ignore[no-untyped-call]
    return rgba[..., :3].mean(axis=2) / 255


def with_cells(records: Sequence[TrialRecord], front: Sequence[TrialRecord]) -> Figure:
    """The picture, whose cells are written by Matplotlib's own texts, of these members."""
    figure = choices_picture(records)
    for axes, (_, _, text, _) in zip(figure.axes, CHOICES, strict=True):
        for cells in list(axes.collections):
            cells.remove()
        for column, record in enumerate(front):
            for stage, choice in enumerate(stage_choices(record.architecture)):
                axes.text(column, stage, text(choice), ha="center", va="center", fontsize=7)
    return figure


def test_the_cells_say_what_each_stage_is_as_matplotlib_would_write_it() -> None:
    records = simulated_search(120)
    front = front_of(records)
    ground = pixels(with_cells(records, []))

    def ink(figure: Figure) -> NDArray[np.float64]:
        # Edges of glyphs lie up to a pixel apart.
        return uniform_filter(ground - pixels(figure), 5).ravel()

    written = ink(choices_picture(records))
    alike, mistaken = (
        np.corrcoef(written, ink(with_cells(records, members)))[0, 1] for members in (front, front[::-1])
    )
    assert alike > 0.85 > mistaken + 0.1
