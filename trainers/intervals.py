"""How sure an accuracy is, and a difference of two: 95 % intervals, of so many images or so many seeds. Pure."""

import math
import statistics
from collections.abc import Sequence
from statistics import NormalDist

CONFIDENCE = 0.95
_DEVIATIONS = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)


def margin_of_difference(one: float, other: float, images: int) -> float:
    """To how much the difference of two accuracies is known on so many images: half of a 95 % interval.

    Binomial, with a success and a failure added to each (Agresti and Caffo, 2000), which holds near 0 and 1, too. The
    two are taken as independent. They see the same images, which can only make the difference surer.
    """
    variances = []
    for accuracy in (one, other):
        share = (accuracy * images + 1) / (images + 2)
        variances.append(share * (1 - share) / (images + 2))
    return _DEVIATIONS * math.sqrt(sum(variances))


def margin_of_accuracy(accuracy: float, images: int) -> float:
    """To how much one accuracy is known on so many images: half of a 95 % interval (Agresti and Coull, 1998)."""
    square = _DEVIATIONS**2
    share = (accuracy * images + square / 2) / (images + square)
    return _DEVIATIONS * math.sqrt(share * (1 - share) / (images + square))


def margin_of_mean(values: Sequence[float]) -> float:
    """To how much the mean over seeds is known: half of Student's 95 % interval. Of two values at least."""
    return student_t(len(values) - 1) * statistics.stdev(values) / math.sqrt(len(values))


def margin_of_mean_difference(values: Sequence[float], others: Sequence[float]) -> float:
    """To how much the difference of two means over seeds is known: half of Welch's 95 % interval.

    Of two values at least on either side.
    """
    parts = [statistics.variance(each) / len(each) for each in (values, others)]
    total = sum(parts)
    if total == 0:
        return 0.0
    squares = sum(part**2 / (len(each) - 1) for part, each in zip(parts, (values, others), strict=True))
    # Welch's degrees of freedom are seldom whole; fewer make the interval wider.
    return student_t(max(1, math.floor(total**2 / squares))) * math.sqrt(total)


def student_t(degrees: int) -> float:
    """How many standard errors to either side hold 95 % of Student's distribution, by bisection."""
    low, high = 0.0, 1.0
    while _share_within(high, degrees) < CONFIDENCE:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _share_within(middle, degrees) < CONFIDENCE else (low, middle)
    return (low + high) / 2


def _share_within(deviations: float, degrees: int) -> float:
    """The share of Student's distribution between -t and t, in finite sums (Abramowitz and Stegun, 26.7.3 and 4)."""
    angle = math.atan(deviations / math.sqrt(degrees))
    square = math.cos(angle) ** 2
    if degrees % 2:
        term = total = math.cos(angle) if degrees > 1 else 0.0
        for factor in range(2, degrees - 2, 2):
            term *= square * factor / (factor + 1)
            total += term
        return 2 / math.pi * (angle + math.sin(angle) * total)
    term = total = 1.0
    for factor in range(1, degrees - 2, 2):
        term *= square * factor / (factor + 1)
        total += term
    return math.sin(angle) * total
