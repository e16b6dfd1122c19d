"""Successive halving by what a trial may still add to the front: who trains on past a rung. Pure functions.

At a rung a trial is worth its expected gain for each epoch that it still needs. It goes on if the best fresh
architecture would bring no more for each of its epochs; else it is held, and promoted when it beats that again.
"""

from collections.abc import Sequence

from nas.records.pareto import Point, dominates


def rung_epochs(minimum_epochs: int, epochs: int, reduction_factor: int) -> tuple[int, ...]:
    """The epochs at which trials are judged: minimum · factor^i, short of the full budget."""
    rungs = []
    epoch = minimum_epochs
    while epoch < epochs:
        rungs.append(epoch)
        epoch *= reduction_factor
    return tuple(rungs)


def lifted_gain(point: Point, gain: float, peers: Sequence[tuple[Point, float]]) -> float:
    """A trial's expected gain, raised to the most of those that it dominates at its rung.

    `peers` are (accuracy at the rung, cost) and expected gain. So what a model believes never stops a trial before one
    that it dominates.
    """
    return max([gain, *(other for other_point, other in peers if dominates(point, other_point))])


def goes_on(
    point: Point,
    gain: float,
    peers: Sequence[tuple[Point, float]],
    *,
    remaining_epochs: int,
    epochs: int,
    rival_gain: float,
    reduction_factor: int,
) -> bool:
    """Whether a trial at a rung trains on.

    `point` is its (accuracy at the rung, cost), `gain` what it is expected to add to the front, `peers` the same of
    the other trials that reached this rung. `rival_gain` is that of the best that could be trained instead, for
    `epochs`. Fewer trials than the reduction factor stop nobody.
    """
    if 1 + len(peers) < reduction_factor:
        return True
    rate = lifted_gain(point, gain, peers) / remaining_epochs
    return rate >= rival_gain / epochs


def promoted(rates: Sequence[float], fresh_rate: float) -> int | None:
    """The index of the held trial to promote: that of the highest gain an epoch, if nothing fresh has a higher one."""
    if not rates:
        return None
    best = max(range(len(rates)), key=lambda index: (rates[index], -index))
    return best if rates[best] > 0 and rates[best] >= fresh_rate else None
