"""How often a latency is measured on a machine that others may be using, and what is made of it. Pure.

A network is run in rounds of some runs, the networks that are to be compared in turn. What else a machine does can slow
a round down and never make it faster, so that the quickest rounds are those that were least disturbed: once three of
them agree, their median is the latency. Where they do not before a limit is reached, it is told with its spread.
"""

import dataclasses
import math
import statistics
from collections.abc import Sequence

from trainers.inference_cost import AGREEMENT, InferenceCost

# Runs of a round, and rounds that have to agree.
ROUND_RUNS = 10
AGREEING_ROUNDS = 3
# A network is given up as unsteady after so many rounds.
MOST_ROUNDS = 20
# A ratio of two latencies is settled once its median is known to within this share.
RATIO_UNCERTAINTY = 0.025


def is_enough(rounds: Sequence[InferenceCost], is_late: bool) -> bool:
    """Whether a network has been measured often enough: its quickest rounds agree, or there is no more time."""
    if len(rounds) < AGREEING_ROUNDS:
        return False
    return is_late or len(rounds) >= MOST_ROUNDS or _agree(_alike(rounds))


def combined(rounds: Sequence[InferenceCost]) -> InferenceCost:
    """What rounds come to, in whatever order they were run: at least one.

    Of a cluster's different machines the one counts that most rounds were run on. The interval begins at the quickest
    round. It ends at the last of the quickest rounds, or at the middle one of all where they do not agree.
    """
    alike = _alike(rounds)
    quickest = alike[:AGREEING_ROUNDS]
    last = quickest[-1].latency_ms
    if not _agree(alike):
        last = max(last, statistics.median(cost.latency_ms for cost in alike))
    return dataclasses.replace(
        quickest[0],
        latency_ms=statistics.median(cost.latency_ms for cost in quickest),
        latency_spread_ms=statistics.median(cost.latency_spread_ms for cost in quickest),
        peak_memory_mb=max(cost.peak_memory_mb for cost in alike),
        runs=sum(cost.runs for cost in alike),
        latency_low_ms=quickest[0].latency_ms,
        latency_high_ms=last,
        rounds=len(alike),
    )


def is_median_known(values: Sequence[float]) -> bool:
    """Whether the median of values, of which some lie far off, is known to within RATIO_UNCERTAINTY.

    By the notch of a box plot: 1.57 interquartile ranges over the root of their number on both sides.
    """
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return 1.57 * (third - first) / math.sqrt(len(values)) <= RATIO_UNCERTAINTY * median


def _alike(rounds: Sequence[InferenceCost]) -> list[InferenceCost]:
    """The rounds under the conditions that most of them were run under, the quickest first."""
    conditions = [cost.conditions for cost in rounds]
    most = max(sorted(set(conditions)), key=conditions.count)
    return sorted((cost for cost in rounds if cost.conditions == most), key=lambda cost: cost.latency_ms)


def _agree(alike: Sequence[InferenceCost]) -> bool:
    quickest = alike[:AGREEING_ROUNDS]
    return len(quickest) == AGREEING_ROUNDS and quickest[-1].latency_ms <= AGREEMENT * quickest[0].latency_ms
