"""What a front offers over its anchors, against brute force, and how sure that is, against the exact binomial."""

import math
from itertools import pairwise
from typing import Any

import pytest
from scipy.stats import binom

from nas.driver.conclusion import gain_lines
from nas.records.anchor_gains import anchor_gain
from nas.records.front import front_of
from nas.records.objectives import COSTS
from nas.records.summary import summarise
from tests.support.searches import trial_record
from trainers.intervals import margin_of_difference

ANCHOR = trial_record(0, (0.80,), flops=4_000_000, anchor=True)
OTHERS = [
    trial_record(1, (0.8185,), flops=4_120_000),
    trial_record(2, (0.79,), flops=2_000_000),
    trial_record(3, (0.60,), flops=1_000_000),
    trial_record(4, (0.95,), flops=8_000_000),
]


@pytest.mark.parametrize("accuracies", [(0.8, 0.8), (0.95, 0.93), (0.5, 0.6), (0.99, 0.98)])
def test_the_interval_holds_as_often_as_it_says(accuracies: tuple[float, float]) -> None:
    images, covered = 300, 0.0
    one, other = ([binom.pmf(right, images, accuracy) for right in range(images + 1)] for accuracy in accuracies)
    difference = accuracies[0] - accuracies[1]
    for first, weight in enumerate(one):
        if weight > 1e-7:
            for second, other_weight in enumerate(other):
                margin = margin_of_difference(first / images, second / images, images)
                centre = (first - second) / images
                covered += weight * other_weight * (abs(centre - difference) <= margin)
    assert 0.94 < covered < 0.985


def test_it_is_that_of_the_normal_distribution_where_images_are_many() -> None:
    assert margin_of_difference(0.7, 0.6, 100_000) == pytest.approx(1.96 * math.sqrt((0.21 + 0.24) / 100_000), rel=1e-3)
    assert margin_of_difference(1.0, 1.0, 100) > 0


def test_an_anchor_on_the_front_is_beside_its_neighbours() -> None:
    """`Nothing beats it` was said of one beside 1.85 points more for 3 % more FLOPs."""
    gain = anchor_gain(ANCHOR, front_of([ANCHOR, *OTHERS]), "flops", 1000)
    assert (gain.accuracy_gained, gain.cost_saved) == (0, 0)
    assert (gain.most_accurate.number, gain.cheapest.number) == (0, 0)
    assert gain.slightly_dearer is not None and gain.perhaps_as_accurate is not None
    assert (gain.slightly_dearer.number, gain.perhaps_as_accurate.number) == (1, 2)
    assert gain.slightly_dearer.points == pytest.approx(0.0185)
    assert gain.saved_range == pytest.approx((0.0, 0.5))
    lines = gain_lines(summarise([ANCHOR, *OTHERS], (0.1, 1e7), ("flops",), 1000))
    margins = [100 * margin_of_difference(accuracy, 0.8, 1000) for accuracy in (0.8185, 0.79)]
    assert lines[1:] == [
        f"  at equal FLOPs: nothing is more accurate; +1.85 ± {margins[0]:.2f} points for 3.0% more FLOPs (trial 1)",
        f"  at equal accuracy: nothing is cheaper; 50% fewer FLOPs at -1.00 ± {margins[1]:.2f} points (trial 2), which "
        "so many images cannot tell from none",
        "± and ranges: 95% intervals, binomial, of the 1,000 validation images; the front was chosen on these, too, "
        "which flatters it",
    ]


def test_gains_at_equal_cost_and_at_equal_accuracy_come_with_who_has_them_and_how_sure_they_are() -> None:
    better = [trial_record(5, (0.90,), flops=3_600_000), trial_record(6, (0.81,), flops=3_000_000)]
    lines = gain_lines(summarise([ANCHOR, *better, *OTHERS], (0.1, 1e7), ("flops",), 1000))
    assert lines[0] == f"against {ANCHOR.architecture.label} (80.00%, 4 MFLOPs):"
    assert lines[1] == f"  at equal FLOPs: +10.00 ± {100 * margin_of_difference(0.9, 0.8, 1000):.2f} points (trial 5)"
    # Trial 5 is surely as accurate, trial 2 may be.
    assert lines[2] == "  at equal accuracy: 25% fewer FLOPs, 10% to 50% (trial 6)"


def test_more_images_make_it_surer() -> None:
    members = front_of([ANCHOR, *OTHERS])
    ranges = [anchor_gain(ANCHOR, members, "flops", images).saved_range for images in (50, 1_000, 100_000)]
    widths = [high - low for low, high in filter(None, ranges)]
    assert all(narrower <= wider for wider, narrower in pairwise(widths)) and widths[-1] == 0
    unknown = anchor_gain(ANCHOR, members, "flops", None)
    assert unknown.saved_range is None and unknown.most_accurate.margin is None


def test_failures_may_be_why_nothing_is_better() -> None:
    records = [ANCHOR, trial_record(1, (), outcome="failed")]
    text = "\n".join(gain_lines(summarise(records, (0.1, 1e7))))
    assert "nothing that was trained is more accurate, and 1 failed" in text and "±" not in text


def test_a_dearer_member_that_is_on_the_front_for_another_cost_is_no_gain() -> None:
    costs: dict[str, Any] = {"cost_names": ("flops", "params")}
    anchor = trial_record(0, (0.8,), flops=4_000_000, params=9_000, anchor=True, **costs)
    small = trial_record(1, (0.7,), flops=4_100_000, params=5_000, **costs)
    members = front_of([anchor, small])
    assert len(members) == 2 and anchor_gain(anchor, members, "flops", 1000).slightly_dearer is None
    better = trial_record(2, (0.82,), flops=4_200_000, params=9_500, **costs)
    for cost_name in COSTS.keys() - {"latency_ms"}:
        gain = anchor_gain(anchor, front_of([anchor, small, better]), cost_name, 1000)
        assert gain.slightly_dearer is not None and gain.slightly_dearer.number == 2
        assert gain.slightly_dearer.saved == pytest.approx(-0.05 if cost_name == "flops" else -1 / 18)
