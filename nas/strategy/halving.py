"""Successive halving by what a trial may still add to the front: who trains on past a rung. Pure functions.

At a rung a trial is worth its expected hypervolume improvement for each epoch that it still needs. It continues if the
best fresh architecture would bring no more for each of its epochs; else it is held, and promoted when it beats that
again.
"""

from collections.abc import Sequence

from nas.records.pareto import Point, dominates


def rung_epochs(minimum_epochs: int, epochs: int, reduction_factor: int) -> tuple[int, ...]:
    """The epochs after which trials are decided upon: minimum · factor^i, short of the full budget."""
    rungs = []
    epoch = minimum_epochs
    while epoch < epochs:
        rungs.append(epoch)
        epoch *= reduction_factor
    return tuple(rungs)


def lifted_improvement(point: Point, improvement: float, peers: Sequence[tuple[Point, float]]) -> float:
    """A trial's expected improvement, raised to the most of those that it dominates at its rung.

    `peers` are (accuracy at the rung, cost, …) and expected improvement. So no model ever stops a trial before one that
    it dominates.
    """
    return max([improvement, *(other for other_point, other in peers if dominates(point, other_point))])


def should_continue(
    point: Point,
    improvement: float,
    peers: Sequence[tuple[Point, float]],
    *,
    remaining_epochs: int,
    epochs: int,
    rival_improvement: float,
    reduction_factor: int,
) -> bool:
    """Whether a trial at a rung trains on.

    `point` is its (accuracy at the rung, cost, …), `improvement` what it is expected to add to the front's hypervolume,
    `peers` the same of the other trials that reached this rung. `rival_improvement` is that of the best that could be
    trained instead, for `epochs`. Fewer trials than the reduction factor stop nobody.
    """
    if 1 + len(peers) < reduction_factor:
        return True
    rate = lifted_improvement(point, improvement, peers) / remaining_epochs
    return rate >= rival_improvement / epochs


def promoted(rates: Sequence[float], fresh_rate: float) -> int | None:
    """The index of the held trial to promote: that of the highest improvement an epoch, if nothing fresh beats it."""
    if not rates:
        return None
    best = max(range(len(rates)), key=lambda index: (rates[index], -index))
    return best if rates[best] > 0 and rates[best] >= fresh_rate else None
