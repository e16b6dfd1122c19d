"""The front of a search as the terminal shows it."""

from collections.abc import Sequence

from rich.table import Table

from nas.records.front import best_of
from nas.records.objectives import CostName, nouns, readable_cost
from nas.records.pareto import knee
from nas.records.trial import TrialRecord
from nas.settings.search_settings import SearchSettings
from search_spaces.units import readable_flops

# On a narrow terminal a label is broken between its words, of so many characters at most.
NARROWEST_LABEL = 8


def front_table(front: Sequence[TrialRecord], knee_number: int | None) -> Table:
    """The front as a table, by rising cost; the knee is marked.

    ms is the latency of one batch, its range where it was not steady, and MB its peak memory, a dash where they were
    not measured. Where latency is a cost, it has a column of its own.
    """
    on_latency = any("latency_ms" in record.cost_names for record in front)
    table = Table(box=None, padding=(0, 2, 0, 0), title_justify="left")
    numbers = ["trial", "accuracy", *(["latency"] if on_latency else []), "FLOPs", "params", "ms", "MB"]
    for header in numbers:
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column(min_width=NARROWEST_LABEL)
    for record in front:
        mark = "  ← knee" if record.number == knee_number else ""
        table.add_row(
            str(record.number),
            f"{record.point[0]:.2%}",
            *([readable_cost(record.cost_in("latency_ms"), "latency_ms")] if on_latency else []),
            readable_flops(record.flops).removesuffix("FLOPs").strip(),
            f"{record.params:,}",
            record.inference.readable_latency if record.inference else "–",
            f"{record.inference.peak_memory_mb:.3g}" if record.inference else "–",
            record.architecture.label + mark,
        )
    return table


def knee_line(front: Sequence[TrialRecord], cost_names: Sequence[CostName]) -> str:
    """What the knee of a front is."""
    several = len(cost_names) > 1
    over = f"accuracy over the logarithm{'s' * several} of {nouns(cost_names)}"
    if front[knee([record.point for record in front])] is best_of(front):
        return f"knee: the front bends nowhere ({over}): its most accurate member"
    line = "plane through" if several else "line between"
    return (
        f"knee: where the front bends, farthest beyond the {line} its ends ({over}{', each alike' * several}); from "
        "there on, accuracy gets dearer"
    )


def uncounted_lines(members: Sequence[TrialRecord], search: SearchSettings) -> list[str]:
    """Which members of a front are no result that was asked for: they are there, and add nothing to the hypervolume."""
    by_limit: dict[str, list[str]] = {}
    for record in members:
        for limit in _missed(record, search):
            by_limit.setdefault(limit, []).append(str(record.number))
    return [
        f"by {limit} {len(numbers)} of {len(members)} on the front {'does' if len(numbers) == 1 else 'do'} not count: "
        f"{'trial' if len(numbers) == 1 else 'trials'} {', '.join(numbers)}"
        for limit, numbers in by_limit.items()
    ]


def uncounted_remarks(record: TrialRecord, search: SearchSettings) -> list[str]:
    """The same of a trial by itself."""
    return [f"by {limit} it does not count" for limit in _missed(record, search)]


def _missed(record: TrialRecord, search: SearchSettings) -> list[str]:
    latency_ms = record.cost_in("latency_ms") if search.max_latency_ms is not None else None
    return search.missed(record.point[0], latency_ms)


def measurement_lines(front: Sequence[TrialRecord]) -> list[str]:
    """Under what conditions the members of a front were measured, a line for each set of them."""
    conditions = dict.fromkeys(record.inference.conditions for record in front if record.inference)
    return [f"ms and MB at {text}" for text in conditions]
