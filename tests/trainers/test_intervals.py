"""Intervals of accuracies over seeds, against scipy's distributions."""

import math

import numpy as np
import pytest
from scipy import stats

from trainers.intervals import margin_of_accuracy, margin_of_mean, margin_of_mean_difference, student_t


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 6, 9, 10, 30, 101])
def test_students_quantile_is_that_of_scipy(degrees: int) -> None:
    assert student_t(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), rel=1e-9)


def test_margins_over_seeds_are_those_of_scipy() -> None:
    values, others = [0.91, 0.93, 0.915, 0.92], [0.88, 0.9, 0.897]
    low, high = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert margin_of_mean(values) == pytest.approx((high - low) / 2)
    interval = stats.ttest_ind(values, others, equal_var=False).confidence_interval()
    # With the whole number of degrees of freedom below Welch's, hardly wider.
    assert (interval.high - interval.low) / 2 <= margin_of_mean_difference(values, others) < 1.2 * (interval.high - 0.0)
    assert margin_of_mean_difference([0.5, 0.5], [0.25, 0.25]) == 0


def test_a_single_accuracy_is_covered_as_often_as_promised() -> None:
    images = 200
    for accuracy in (0.5, 0.9, 0.97):
        counts = np.arange(images + 1)
        found = counts / images
        margins = np.array([margin_of_accuracy(one, images) for one in found])
        # The interval lies around the shrunken share.
        square = stats.norm.ppf(0.975) ** 2
        centres = (counts + square / 2) / (images + square)
        covered = stats.binom.pmf(counts, images, accuracy)[np.abs(centres - accuracy) <= margins].sum()
        assert covered > 0.93
    assert margin_of_accuracy(0.9, 10_000) == pytest.approx(1.96 * math.sqrt(0.09 / 10_000), rel=1e-2)
