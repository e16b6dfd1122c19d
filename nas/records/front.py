"""The front of a search: the architectures that were trained for the full budget and that no other beats."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from nas.records.objectives import CostName
from nas.records.pareto import Point, box_volume, dominates, front, hypervolume, most_accurate
from nas.records.trial import TrialRecord
from search_spaces.architecture import Architecture


def finished(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The architectures with a full-budget result, the only ones that make the official front.

    One that was trained several times is represented by its first training, with the others' results as `repeats`.
    """
    trainings: dict[Architecture, list[TrialRecord]] = {}
    for record in records:
        if record.outcome == "finished":
            trainings.setdefault(record.architecture, []).append(record)
    return [_merged(sorted(several, key=lambda record: record.number)) for several in trainings.values()]


def _merged(trainings: Sequence[TrialRecord]) -> TrialRecord:
    if len(trainings) == 1:
        return trainings[0]
    return replace(trainings[0], repeats=tuple(record.epochs[-1].val_accuracy for record in trainings))


def with_repeats(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The records, that which stands for an architecture trained several times with the others' results."""
    found = list(records)
    merged = {record.number: record for record in finished(found)}
    return [merged.get(record.number, record) for record in found]


def front_of(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The official front, by rising cost, the first cost first."""
    candidates = finished(records)
    return [candidates[index] for index in front([record.point for record in candidates])]


def front_over(members: Sequence[TrialRecord], cost_name: CostName) -> list[TrialRecord]:
    """The members of a front that no other beats in accuracy and this cost alone, by rising cost."""
    points = [(record.point[0], record.cost_in(cost_name)) for record in members]
    return [members[index] for index in front(points)]


def best_of(members: Sequence[TrialRecord]) -> TrialRecord:
    """The most accurate member of a front, of equally accurate ones the cheapest."""
    return members[most_accurate([record.point for record in members])]


def cheapest_within(front: Sequence[TrialRecord], points: float) -> TrialRecord:
    """The cheapest member of a front, which is by rising cost, whose accuracy is at most `points` below the best.

    `points` and accuracies are 0 to 1. Of equal costs the more accurate comes first.
    """
    # Rounding aside: 0.93 is within 0.01 of 0.94.
    enough = max(record.point[0] for record in front) - points - 1e-9
    return next(record for record in front if record.point[0] >= enough)


def front_hypervolume(records: Iterable[TrialRecord], reference: Point) -> float:
    """The hypervolume of the official front, as a fraction of the box between `reference` and accuracy 1 at no cost."""
    points = [record.point for record in finished(records)]
    return hypervolume(points, reference) / box_volume(reference)


def hypervolume_history(records: Sequence[TrialRecord], reference: Point) -> list[tuple[float, float]]:
    """(finished_at, hypervolume) after each full-budget result, in the order in which they came."""
    history: list[tuple[float, float]] = []
    members: list[Point] = []
    volume = 0.0
    for record in sorted(finished(records), key=lambda record: record.finished_at or 0.0):
        point = record.point
        # Most results are no news to the front, which is small beside all results.
        if not any(member == point or dominates(member, point) for member in members):
            members = [member for member in members if not dominates(point, member)]
            members.append(point)
            volume = hypervolume(members, reference) / box_volume(reference)
        history.append((record.finished_at or 0.0, volume))
    return history
