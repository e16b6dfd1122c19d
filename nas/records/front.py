"""The front of a search: the architectures that were trained for the full budget and that no other beats."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from nas.records.pareto import Point, front, hypervolume
from nas.records.trial import TrialRecord


def finished(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The architectures with a full-budget result, the only ones that make the official front.

    One that was trained several times is represented by its first training, with the others' results as `repeats`.
    """
    trainings: dict[str, list[TrialRecord]] = {}
    for record in records:
        if record.outcome == "finished":
            trainings.setdefault(record.architecture.id, []).append(record)
    return [_merged(sorted(several, key=lambda record: record.number)) for several in trainings.values()]


def _merged(trainings: Sequence[TrialRecord]) -> TrialRecord:
    if len(trainings) == 1:
        return trainings[0]
    return replace(trainings[0], repeats=tuple(record.epochs[-1].val_accuracy for record in trainings))


def front_of(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The official front, by rising cost."""
    candidates = finished(records)
    return [candidates[index] for index in front([record.point for record in candidates])]


def cheapest_within(front: Sequence[TrialRecord], points: float) -> TrialRecord:
    """The cheapest member of a front, which is by rising cost, whose accuracy is at most `points` below the best.

    `points` and accuracies are 0 to 1. Of equal costs the more accurate comes first.
    """
    # Rounding aside: 0.93 is within 0.01 of 0.94.
    enough = max(record.point[0] for record in front) - points - 1e-9
    return next(record for record in front if record.point[0] >= enough)


def front_hypervolume(records: Iterable[TrialRecord], reference: Point) -> float:
    """The hypervolume of the official front, as a fraction of the box between `reference` and (1, cost 0)."""
    points = [record.point for record in finished(records)]
    return hypervolume(points, reference) / ((1 - reference[0]) * reference[1])


def hypervolume_history(records: Sequence[TrialRecord], reference: Point) -> list[tuple[float, float]]:
    """(finished_at, hypervolume) after each full-budget result, in the order in which they came."""
    history: list[tuple[float, float]] = []
    members: list[Point] = []
    volume = 0.0
    for record in sorted(finished(records), key=lambda record: record.finished_at or 0.0):
        accuracy, cost = record.point
        # Most results are no news to the front, which is small beside all results.
        if not any(member[0] >= accuracy and member[1] <= cost for member in members):
            members = [member for member in members if member[0] > accuracy or member[1] < cost]
            members.append((accuracy, cost))
            volume = hypervolume(members, reference) / ((1 - reference[0]) * reference[1])
        history.append((record.finished_at or 0.0, volume))
    return history
