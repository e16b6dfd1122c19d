"""A comparison as text, as Markdown and as CSV."""

from collections.abc import Sequence
from functools import partial

from search_spaces.errors import printable
from search_spaces.units import readable_count
from trainers.comparison.networks import Comparison, Network
from trainers.files import csv_bytes
from trainers.intervals import CONFIDENCE
from trainers.rank_correlation import FEWEST_PAIRS

HEADER = (
    "network",
    "made of",
    "FLOPs",
    "params",
    "in the search",
    "validation",
    "reached ({split})",
    "±",
    "seeds",
    "from",
)
# The columns of numbers, which stand at the right.
_RIGHT = range(2, 9)
CSV_COLUMNS = (
    "network", "made_of", "from", "flops", "params", "search_accuracy", "val_accuracy", "accuracy", "margin", "seeds",
    "split", "directories",
)  # fmt: skip


def rows_of(comparison: Comparison) -> list[tuple[str, ...]]:
    """The table: its header, and a row each network."""
    header = tuple(name.format(split=comparison.split) for name in HEADER)
    return [header, *map(_row, comparison.networks)]


def _row(network: Network) -> tuple[str, ...]:
    first = network.trained[0]
    return (
        network.label,
        network.kind,
        readable_count(network.cost.flops),
        readable_count(network.cost.params),
        "–" if network.promised is None else f"{network.promised:.2%}",
        f"{_validation(network):.2%}",
        f"{network.accuracy:.2%}",
        f"{100 * network.margin:.2f}",
        str(len(network.reached)),
        printable(first.origin),
    )


def _validation(network: Network) -> float:
    values = [float(each.result["val_accuracy"]) for each in network.trained]
    return sum(values) / len(values)


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The table in plain text."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(
            text.rjust(width) if column in _RIGHT else text.ljust(width)
            for column, (text, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def lines_of(comparison: Comparison) -> list[str]:
    """What the table does not say: the baselines, the ranking, and what is to be kept in mind."""
    lines = []
    for beside in comparison.beside:
        lines.append(
            f"{beside.network.label}: {100 * beside.points:+.2f} ± {100 * beside.margin:.2f} points at "
            f"{beside.flops_ratio:.2f} times the FLOPs of {beside.baseline.label} "
            f"({beside.baseline.kind})"
        )
    if not comparison.beside:
        lines.append("nothing beside a baseline: that takes a hybrid, and a network of one operator throughout")
    lines.append(_ranking_line(comparison))
    several = any(len(network.reached) > 1 for network in comparison.networks)
    images = comparison.networks[0].images
    of = f"binomial, of {images:,} {comparison.split} images alone"
    if several:
        of += ", or of several seeds, where that is wider, over these (Student's t)"
    lines.append(f"±: {CONFIDENCE:.0%} intervals, {of}")
    return [*lines, *comparison.notes]


def _ranking_line(comparison: Comparison) -> str:
    found = comparison.correlation
    if found is None:
        return (
            f"rank correlation: none, as fewer than {FEWEST_PAIRS} networks that differ were trained to the end of a "
            "search"
        )
    return (
        f"rank correlation of accuracy in the search with accuracy reached: {found.value:.2f}, {CONFIDENCE:.0%} "
        f"interval {found.low:.2f} to {found.high:.2f} (Spearman, {found.pairs} networks)"
    )


def markdown(comparison: Comparison) -> str:
    """The table and the lines as a page."""
    header, *rows = ([text.replace("|", "\\|") for text in row] for row in rows_of(comparison))
    rule = ["---:" if column in _RIGHT else "---" for column in range(len(header))]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))
    return f"{table}\n\n" + "".join(f"- {line}\n" for line in lines_of(comparison))


def table_csv(comparison: Comparison) -> bytes:
    """The numbers as they are, a line each network; accuracies and margins are 0 to 1."""
    return csv_bytes(CSV_COLUMNS, map(partial(_csv_row, split=comparison.split), comparison.networks))


def _csv_row(network: Network, split: str) -> tuple[object, ...]:
    trained = network.trained
    return (
        network.label, network.kind, trained[0].origin, network.cost.flops, network.cost.params,
        "" if network.promised is None else network.promised, _validation(network), network.accuracy, network.margin,
        " ".join(str(each.result["seed"]) for each in trained), split, " ".join(each.directory for each in trained),
    )  # fmt: skip
