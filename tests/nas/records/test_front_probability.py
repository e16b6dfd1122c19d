"""How sure a front is: against closed forms, statistics and Monte Carlo."""

import math
import random
import statistics

import numpy as np
import pytest

from nas.records.front_probability import Result, front_probabilities, pooled_std
from tests.support.present import present


def test_the_deviation_of_one_architecture_is_the_sample_deviation() -> None:
    assert pooled_std([Result((0.90, 0.92, 0.97), (1.0,))]) == pytest.approx(statistics.stdev([0.90, 0.92, 0.97]))


@pytest.mark.parametrize("trainings", [2, 3, 7])
def test_equally_many_trainings_pool_to_the_mean_variance(trainings: int) -> None:
    rng = random.Random(trainings)
    results = [Result(tuple(rng.random() for _ in range(trainings)), (1.0,)) for _ in range(6)]
    variance = statistics.fmean(statistics.variance(result.accuracies) for result in results)
    assert pooled_std([*results, Result((0.3,), (5.0,))]) == pytest.approx(math.sqrt(variance))


def test_nothing_trained_twice_says_nothing() -> None:
    results = [Result((0.9,), (1.0,)), Result((0.8,), (2.0,))]
    assert pooled_std(results) is None and front_probabilities(results) is None
    assert pooled_std([]) is None and front_probabilities([]) is None


@pytest.mark.parametrize(("first", "second"), [(0.90, 0.905), (0.90, 0.90), (0.90, 0.85), (0.5, 0.99)])
def test_two_are_a_normal_distribution(first: float, second: float) -> None:
    cheap = Result((first - 0.01, first + 0.01), (1.0,))
    dear = Result((second - 0.01, second, second + 0.01), (2.0,))
    std = pooled_std([cheap, dear])
    assert std is not None
    error = std * math.sqrt(1 / 2 + 1 / 3)
    alone, rivalled = present(front_probabilities([cheap, dear]))
    assert alone == pytest.approx(1)
    assert rivalled == pytest.approx(statistics.NormalDist().cdf((second - first) / error), abs=1e-6)


def test_of_equal_flops_both_are_rivals() -> None:
    results = [Result((0.90, 0.92), (3.0,)), Result((0.91, 0.93, 0.92), (3.0,))]
    one, other = present(front_probabilities(results))
    assert one + other == pytest.approx(1) and one < 0.5 < other
    alike = front_probabilities([Result((0.9, 0.8), (1.0,))] * 2)
    assert alike == pytest.approx([0.5, 0.5])


@pytest.mark.parametrize("seed", range(4))
def test_many_are_as_drawn(seed: int) -> None:
    rng = random.Random(seed)
    results = [
        Result(
            tuple(0.9 + 0.02 * rng.gauss(0, 1) for _ in range(rng.choice([1, 2, 2, 4]))), (float(rng.randint(1, 5)),)
        )
        for _ in range(9)
    ]
    rng.shuffle(results)
    std = pooled_std(results)
    assert std is not None
    errors = [std / math.sqrt(len(result.accuracies)) for result in results]
    draws = np.random.default_rng(seed).normal([result.mean for result in results], errors, (60_000, len(results)))
    for index, (result, probability) in enumerate(zip(results, present(front_probabilities(results)), strict=True)):
        rivals = [j for j, other in enumerate(results) if j != index and other.costs <= result.costs]
        on_front = (draws[:, [index]] >= draws[:, rivals]).all(axis=1).mean() if rivals else 1.0
        assert probability == pytest.approx(on_front, abs=0.012)


def test_order_and_units_do_not_matter() -> None:
    rng = random.Random(0)
    results = [Result((rng.random(), rng.random()), (float(rng.randint(1, 4)),)) for _ in range(7)]
    expected = present(front_probabilities(results))
    order = rng.sample(range(7), 7)
    scaled = [Result(results[index].accuracies, (results[index].costs[0] * 1e9,)) for index in order]
    assert front_probabilities(scaled) == pytest.approx([expected[index] for index in order])


def test_trainings_that_agree_leave_no_doubt() -> None:
    results = [Result((0.9, 0.9), (1.0,)), Result((0.8, 0.8), (2.0,)), Result((0.95,), (3.0,))]
    assert front_probabilities(results) == pytest.approx([1, 0, 1])
