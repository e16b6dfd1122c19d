"""The front of a search as the terminal shows it."""

from collections.abc import Sequence

from rich.table import Table

from nas.records.objectives import COSTS, CostName
from nas.records.pareto import knee
from nas.records.trial import TrialRecord
from search_spaces.units import readable_flops

# On a narrow terminal a label is broken between its words, of so many characters at most.
NARROWEST_LABEL = 8


def front_table(front: Sequence[TrialRecord], knee_number: int | None) -> Table:
    """The front as a table, by rising cost; the knee is marked.

    ms is the latency of one batch, its range where it was not steady, and MB its peak memory, a dash where they were
    not measured. Where the cost is latency, it has a column of its own.
    """
    on_latency = any(record.cost_name == "latency_ms" for record in front)
    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left")
    numbers = ["trial", "accuracy", *(["latency"] if on_latency else []), "FLOPs", "params", "ms", "MB"]
    for header in numbers:
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column(min_width=NARROWEST_LABEL)
    for record in front:
        mark = "  ← knee" if record.number == knee_number else ""
        accuracy, _ = record.point
        table.add_row(
            str(record.number),
            f"{accuracy:.2%}",
            *([record.readable_cost] if on_latency else []),
            readable_flops(record.flops).removesuffix("FLOPs").strip(),
            f"{record.params:,}",
            record.inference.readable_latency if record.inference else "–",
            f"{record.inference.peak_memory_mb:.3g}" if record.inference else "–",
            record.architecture.label + mark,
        )
    return table


def knee_line(front: Sequence[TrialRecord], cost_name: CostName) -> str:
    """What the knee of a front is."""
    noun = COSTS[cost_name].noun
    if knee([record.point for record in front]) == len(front) - 1:
        return f"knee: the front bends nowhere (accuracy over the logarithm of {noun}): its most accurate member"
    return (
        f"knee: where the front bends, farthest beyond the line between its ends (accuracy over the logarithm of "
        f"{noun}); from there on, accuracy gets dearer"
    )


def measurement_lines(front: Sequence[TrialRecord]) -> list[str]:
    """Under what conditions the members of a front were measured, a line for each set of them."""
    conditions = dict.fromkeys(record.inference.conditions for record in front if record.inference)
    return [f"ms and MB at {text}" for text in conditions]
