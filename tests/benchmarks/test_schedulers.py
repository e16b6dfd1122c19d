"""Other people's early stopping, against brute force: who goes on, whatever the order of the trials, and with ties."""

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import cast
from zlib import crc32

import numpy as np
import pytest
from scipy.special import ndtr

from nas.records.pareto import Point
from nas.strategy.candidates import Candidate
from nas.strategy.decisions import Decisions
from nas.strategy.posterior import TrialView
from tests.benchmarks.schedule import Schedule
from tests.benchmarks.schedulers import GainRungs, HyperbandRungs, MultiObjectiveRungs, epsilon_net_order
from tests.benchmarks.table import Table
from tests.benchmarks.table_source import TableSource

SCHEDULE = Schedule(epochs=9, minimum_epochs=2, reduction_factor=3, resolution=1e-3)


def ordered(points: Sequence[Point]) -> list[Point]:
    """The points, best first, by all pairs: the front of what is left, its most accurate first, then the farthest."""
    left, found = list(points), list[Point]()
    spans = [max(column) - min(column) or 1.0 for column in zip(*points, strict=True)]
    while left:
        layer = [one for one in left if not any(beats(other, one) for other in left)]
        left = [one for one in left if one not in layer]
        net = [layer.pop(layer.index(max(layer)))]
        while layer:
            gaps = [min(math.dist(*scaled(one, other, spans)) for other in net) for one in layer]
            farthest = max(one for one, gap in zip(layer, gaps, strict=True) if gap > max(gaps) - 1e-12)
            net.append(layer.pop(layer.index(farthest)))
        found += net
    return found


def beats(one: Point, other: Point) -> bool:
    return one != other and one[0] >= other[0] and one[1] <= other[1]


def scaled(one: Point, other: Point, spans: Sequence[float]) -> list[list[float]]:
    return [[value / span for value, span in zip(point, spans, strict=True)] for point in (one, other)]


def drawn_points(rng: random.Random, count: int) -> list[Point]:
    """With ties in either objective, and equal points."""
    return [(rng.randrange(9) / 8, 1000.0 * rng.randrange(1, 10)) for _ in range(count)]


def test_the_order_is_that_of_all_pairs_whatever_the_order_they_come_in() -> None:
    rng = random.Random(0)
    for _ in range(200):
        points = drawn_points(rng, rng.randrange(1, 20))
        expected = ordered(points)
        for _ in range(3):
            rng.shuffle(points)
            order = epsilon_net_order(points)
            assert sorted(order) == list(range(len(points)))
            assert [points[index] for index in order] == expected
    assert epsilon_net_order([]) == []


def test_a_front_begins_with_its_most_accurate_goes_on_far_away_and_units_do_not_matter() -> None:
    points = [(0.5, 10.0), (0.9, 100.0), (0.88, 90.0), (0.7, 40.0), (0.4, 20.0)]
    assert epsilon_net_order(points) == [1, 0, 3, 2, 4]
    assert epsilon_net_order([(accuracy, 1e9 * flops) for accuracy, flops in points]) == [1, 0, 3, 2, 4]


def trial(number: int, flops: float, accuracies: Sequence[float], status: str = "held") -> TrialView:
    return TrialView(number, Candidate(str(number), {}, flops, flops), tuple(accuracies), status)  # type: ignore[arg-type]


def test_multi_objective_asha_promotes_the_first_third_of_the_last_rung_that_has_some() -> None:
    rungs = MultiObjectiveRungs(SCHEDULE)
    trials = [trial(number, flops, [0.1, accuracy]) for number, (accuracy, flops) in enumerate([
        (0.5, 10.0), (0.9, 100.0), (0.4, 20.0), (0.7, 40.0), (0.3, 50.0)])]  # fmt: skip
    assert not rungs.should_continue(1, trials, math.inf)
    # Of five trials a third is one: the most accurate of the front.
    assert rungs.promotion(trials, math.inf) == 1
    trials[1] = replace(trials[1], status="running")
    assert rungs.promotion(trials, math.inf) is None
    # Of six it is two: the cheapest, too, which is the farthest.
    trials.append(trial(5, 60.0, [0.1, 0.3]))
    assert rungs.promotion(trials, math.inf) == 0
    # What has come to the next rung counts here, too; there, one of three is promoted first.
    for number, accuracy in ((0, 0.5), (1, 0.9), (3, 0.95)):
        trials[number] = trial(number, trials[number].candidate.flops, [*trials[number].accuracies, 0, 0, 0, accuracy])
    assert rungs.promotion(trials, math.inf) == 3
    # Seven epochs are too many at the first rung; three are not at the second.
    assert rungs.promotion(trials, 3) == 3 and rungs.promotion(trials, 2) is None


def test_multi_objective_asha_decides_as_brute_force() -> None:
    rng, rungs, promoted = random.Random(1), MultiObjectiveRungs(SCHEDULE), 0
    for _ in range(300):
        trials = []
        for number, (accuracy, flops) in enumerate(drawn_points(rng, rng.randrange(1, 25))):
            reached, status = rng.choice(((0, "running"), (2, "held"), (2, "running"), (6, "held"), (9, "finished")))
            curve = [0.0, accuracy, 0.0, 0.0, 0.0, rng.randrange(9) / 8, 0.0, 0.0, 0.0]
            trials.append(trial(number, flops, curve[:reached], status))
        expected = None
        for rung in (2, 6):
            at_rung = [one for one in trials if len(one.accuracies) >= rung]
            points = {one.number: (one.accuracies[rung - 1], one.candidate.flops) for one in at_rung}
            first = ordered(list(points.values()))[: len(at_rung) // 3]
            # Of equal points the first ones are in.
            for point in dict.fromkeys(first):
                alike = [one for one in at_rung if points[one.number] == point][: first.count(point)]
                waiting = [one.number for one in alike if one.status == "held" and len(one.accuracies) == rung]
                if waiting:
                    expected = waiting[0]
                    break
        promoted += expected is not None
        assert rungs.promotion(trials, math.inf) == expected
    assert 100 < promoted < 300


class SurelyHalf:
    """Decisions that hold everything back, and are sure that all trials end with an error of 0.5, give or take 1 %."""

    posterior = property(lambda self: self)

    def state(self, trials: Sequence[TrialView]) -> "SurelyHalf":
        return self

    def should_continue(self, number: int, state: object, epochs_left: float) -> bool:
        return False

    def probabilities_below(self, candidates: Sequence[Candidate], log_errors: np.ndarray) -> np.ndarray:
        return np.tile(ndtr((log_errors - math.log(0.5)) / 0.01), (len(candidates), 1))


def test_what_is_believed_of_a_trial_at_a_rung_is_scored_from_the_tenth_on_where_there_is_an_end() -> None:
    """Rows 1, 3, 5 … end as foretold, 2, 4, 6 … with an error of 0.25; the last one diverges."""
    observed = np.array([0.75, 0.5] * 8 + [math.nan])
    flops = np.ones(len(observed))
    source = TableSource(Table({"n": tuple(range(17))}, [(n,) for n in range(17)], flops, flops, observed, observed))
    rungs = GainRungs(cast(Decisions, SurelyHalf()), source, SCHEDULE)
    trials = [trial(number, 1.0, [0.1, 0.2], "running") for number in range(17)]
    for number in range(17):
        seen = [*trials[: number + 1], *(replace(one, accuracies=()) for one in trials[number + 1 :])]
        assert not rungs.should_continue(number, seen, math.inf)
    assert [score.coverage for score in rungs.forecasts] == [1, 0, 1, 0, 1, 0, 1]
    # Of what is all but sure the score is the distance.
    assert [score.crps for score in rungs.forecasts[1::2]] == pytest.approx([math.log(2)] * 3, abs=0.01)
    assert max(score.crps for score in rungs.forecasts[::2]) < 0.01


@pytest.mark.parametrize(
    ("schedule", "brackets"), [(SCHEDULE, 2), (Schedule(15, 6, 3, 1e-3), 1), (Schedule(54, 2, 3, 1e-3), 4)]
)
def test_hyperband_stops_by_accuracy_within_brackets_that_begin_at_other_rungs(
    schedule: Schedule, brackets: int
) -> None:
    """Optuna's: of a rung's results so far within the bracket, a trial has to be among the first third, or the best."""
    rng, rungs = random.Random(2), HyperbandRungs(schedule, seed=7)
    first_rungs = [*schedule.rungs, schedule.epochs]
    # So many of a round's trials are in each bracket: ⌈brackets · 3^s / (s + 1)⌉, the first beginning earliest.
    sizes = [math.ceil(brackets * 3**s / (s + 1)) for s in reversed(range(brackets))]
    results: dict[tuple[int, int], list[float]] = {}
    decided = []
    for number in rng.sample(range(90), 90):
        place, bracket = crc32(f"seed 7_{number}".encode()) % sum(sizes), 0
        while place >= sizes[bracket]:
            place, bracket = place - sizes[bracket], bracket + 1
        accuracies = [rng.randrange(20) / 20 for _ in range(schedule.epochs)]
        for rung in schedule.rungs:
            trials = [trial(index, 1.0, accuracies[:rung], "running") for index in range(90)]
            goes_on = rungs.should_continue(number, trials, math.inf)
            if rung < first_rungs[bracket]:
                assert goes_on
                continue
            others = results.setdefault((bracket, rung), [])
            others.append(accuracies[rung - 1])
            best = sorted(others, reverse=True)[max(len(others) // 3 - 1, 0)]
            decided.append(goes_on)
            assert goes_on == (accuracies[rung - 1] >= best), (number, rung)
            if not goes_on:
                break
    assert set(decided) == {True, False} and {bracket for bracket, _ in results} == set(range(len(schedule.rungs)))
