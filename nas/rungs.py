"""Pareto-aware asynchronous successive halving: who trains on past a rung. Pure functions on plain data."""

from collections.abc import Sequence

from nas.pareto import Point, front_layers, isolation


def rung_epochs(minimum_epochs: int, epochs: int, reduction_factor: int) -> tuple[int, ...]:
    """The epochs at which trials are judged: minimum · factor^i, short of the full budget."""
    rungs = []
    epoch = minimum_epochs
    while epoch < epochs:
        rungs.append(epoch)
        epoch *= reduction_factor
    return tuple(rungs)


def priorities(points: Sequence[Point]) -> list[tuple[int, float]]:
    """A sort key for each point, smallest first: its front, then how alone it stands on it (the most alone first)."""
    layers = front_layers(points)
    keys = [(0, 0.0)] * len(points)
    for layer in set(layers):
        members = [index for index in range(len(points)) if layers[index] == layer]
        for index, alone in zip(members, isolation([points[index] for index in members]), strict=True):
            keys[index] = (layer, -alone)
    return keys


def goes_on(point: Point, peers: Sequence[Point], reduction_factor: int) -> bool:
    """Whether a trial with `point` = (accuracy at the rung, FLOPs) is in the best 1/reduction_factor of its rung.

    `peers` are the other trials that reached this rung. Fewer trials than the reduction factor stop nobody. A trial
    that another dominates is never preferred to it, and of equal trials all go on or none.
    """
    points = [point, *peers]
    if len(points) < reduction_factor:
        return True
    keys = priorities(points)
    better = sum(key < keys[0] for key in keys)
    return better * reduction_factor < len(points)
