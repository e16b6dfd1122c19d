"""The files of a comparison: a table as CSV and as Markdown, and a figure."""

from pathlib import Path

from trainers.comparison.networks import Comparison, Network
from trainers.comparison.tables import markdown, table_csv
from trainers.figures import NetworkPoint, can_draw, comparison_png
from trainers.files import write_atomically

TABLE, PAGE, FIGURE = "comparison.csv", "comparison.md", "comparison.png"


def write_comparison(out: Path, comparison: Comparison) -> list[Path]:
    """Writes the files, each whole or not at all, in the place of earlier ones; the figure where matplotlib is there.

    Raises OSError.
    """
    contents = {TABLE: table_csv(comparison), PAGE: markdown(comparison).encode()}
    if can_draw():
        contents[FIGURE] = comparison_png([_point(network) for network in comparison.networks], comparison.split)
    out.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        write_atomically(out / name, content)
    return [out / name for name in contents]


def _point(network: Network) -> NetworkPoint:
    curves = tuple(tuple(epoch.val_accuracy for epoch in each.history) for each in network.trained if each.history)
    return NetworkPoint(
        network.label, network.kind, network.cost.flops, network.accuracy, network.margin,
        network.promised, curves,
    )  # fmt: skip
