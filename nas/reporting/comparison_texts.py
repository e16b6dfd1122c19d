"""What a comparison of searches says, in words and as a table. Plain text."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

from nas.records.comparison import SEED, SIGNIFICANCE, ComparedSearch, Difference, Group
from nas.records.front import best_of, finished, front_hypervolume, front_of
from nas.records.objectives import readable_costs
from nas.records.pareto import Point

COLUMNS = ("search", "seed", "members", "cheapest", "most accurate", "hypervolume", "of its anchors")


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A search in the table, its cells by `COLUMNS`."""

    cells: tuple[str, ...]


def comparison_rows(searches: Sequence[ComparedSearch], box: Point) -> list[ComparisonRow]:
    """The searches by falling hypervolume in one box."""
    ordered = sorted(searches, key=lambda search: -front_hypervolume(search.records, box))
    return [ComparisonRow(_cells(search, box)) for search in ordered]


def _cells(search: ComparedSearch, box: Point) -> tuple[str, ...]:
    members = front_of(search.records)
    anchors = [record for record in finished(search.records) if record.anchor]
    shown = [members[0], best_of(members)] if members else []
    ends = [f"{record.point[0]:.2%} at {record.readable_cost}" for record in shown]
    return (
        search.name,
        str(search.settings[SEED]),
        str(len(members)),
        *(ends or ["–", "–"]),
        f"{front_hypervolume(search.records, box):.4f}",
        f"{front_hypervolume(anchors, box):.4f}",
    )


def box_text(searches: Sequence[ComparedSearch], box: Point) -> str:
    """What hypervolumes are the share of."""
    return (
        f"Hypervolumes are shares of one box for all: above an accuracy of {box[0]:.1%} and below "
        f"{readable_costs(box[1:], searches[0].facts.cost_names)}."
    )


def difference_lines(groups: Sequence[Group], differences: Sequence[Difference]) -> list[str]:
    """Whether what differs is real, and by what test, or why nobody can tell."""
    left_out = [name for group in groups for name in group.left_out]
    notes = [f"no other sample, as another has their seed: {', '.join(left_out)}"] if left_out else []
    if not differences:
        several = (
            "whether a difference is real takes several hypervolumes of each: searches that differ in --seed alone, or "
            "search.replicates"
        )
        return [several, *notes] if len(groups) > 1 else notes
    lines = [_difference_text(difference) for difference in differences]
    lines.append(
        "by the two-sided Mann-Whitney U test of hypervolumes (scipy.stats.mannwhitneyu), "
        f"{f'Holm-adjusted for {len(differences)} comparisons, ' if len(differences) > 1 else ''}"
        f"real at p < {SIGNIFICANCE:g}"
    )
    if any(group.of_replicates for group in groups):
        lines.append("of replicates it says how much trainings differ, and nothing of other seeds of a search")
    return [*lines, *notes]


def _difference_text(difference: Difference) -> str:
    one, other = difference.one, difference.other
    if difference.is_real:
        verdict = "real"
    elif difference.least_p >= SIGNIFICANCE:
        verdict = f"cannot be told: so few hypervolumes show p = {difference.least_p:.2g} at best"
    else:
        verdict = "not shown to be real"
    counts = f"{len(one.hypervolumes)} and {len(other.hypervolumes)} {'replicates' if one.of_replicates else 'seeds'}"
    return (
        f"{one.label} against {other.label}: {difference.gained:+.4f} in the median ({counts}), "
        f"p = {difference.p:.2g}: {verdict}"
    )


def comparison_csv(searches: Sequence[ComparedSearch], box: Point) -> str:
    """The table for people who compute, with the box in its last columns."""
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    costs = [f"reference_{name}" for name in searches[0].facts.cost_names]
    writer.writerow(["search", "seed", "members", "hypervolume", "reference_val_accuracy", *costs])
    for search in searches:
        volume = front_hypervolume(search.records, box)
        writer.writerow([search.name, search.settings[SEED], len(front_of(search.records)), volume, *box])
    return table.getvalue()
