"""Predicted latencies: the regression against numpy's own least squares, and how well it ranks what it has not seen."""

import random

import numpy as np
import pytest
from scipy.stats import spearmanr

from nas.strategy import latency_model
from nas.strategy.candidates import Candidate, SpaceCandidates
from nas.strategy.latency_model import PENALTY, LatencyModel, ridge
from nas.strategy.proposals import distinct, encoder_of
from tests.support.searches import DIGITS, shipped_space, slow_attention_ms

SOURCE = SpaceCandidates(shipped_space(), DIGITS)
ENCODER = encoder_of(SOURCE, 0)
POOL = list(distinct(SOURCE.sample, 120, random.Random(0), ()).values())


def latency(candidate: Candidate) -> float:
    return slow_attention_ms(SOURCE.architecture(candidate))


@pytest.mark.parametrize(("count", "features"), [(3, 7), (40, 7)])
@pytest.mark.parametrize("penalty", [0.1, 2.0])
def test_the_regression_is_least_squares_on_augmented_rows(count: int, features: int, penalty: float) -> None:
    """A penalty is the same as measurements of 0 at sqrt(penalty) along each axis; a free level is a column of ones."""
    state = np.random.default_rng(count)
    rows, targets = state.normal(size=(count, features)), state.normal(size=count)
    augmented = np.vstack([np.column_stack([rows, np.ones(count)]), np.sqrt(penalty) * np.eye(features, features + 1)])
    solution, *_ = np.linalg.lstsq(augmented, np.concatenate([targets, np.zeros(features)]), rcond=None)
    elsewhere = state.normal(size=(5, features))
    expected = elsewhere @ solution[:-1] + solution[-1]
    assert ridge(rows, targets, penalty).predict(elsewhere) == pytest.approx(expected)


def test_what_was_measured_is_taken_as_it_is() -> None:
    measured = [(candidate, latency(candidate)) for candidate in POOL[:10]]
    costs = LatencyModel([*measured, (POOL[0], 99.0)], ENCODER)(POOL)
    assert costs[:10].tolist() == [milliseconds for _, milliseconds in measured]
    logs = np.log([milliseconds for _, milliseconds in measured])
    features = ENCODER.encode(POOL)
    # The order in which measurements are solved for is that of the keys, so the sums differ in their last bits.
    assert np.log(costs[10:]) == pytest.approx(ridge(features[:10], logs, PENALTY).predict(features[10:]))


def test_of_very_many_measurements_the_regression_takes_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_model, "MOST_MEASURED", 40)
    measured = [(candidate, latency(candidate)) for candidate in POOL[:90]]
    model = LatencyModel(measured, ENCODER)
    assert model(POOL[:90]).tolist() == [milliseconds for _, milliseconds in measured]
    predicted = model(POOL)[90:]
    assert spearmanr(predicted, [latency(candidate) for candidate in POOL[90:]])[0] > 0.9
    assert (predicted != LatencyModel(sorted(measured, key=lambda pair: pair[0].key)[40:], ENCODER)(POOL)[90:]).any()


def test_held_out_candidates_are_ranked_where_flops_do_not_rank_them() -> None:
    known, others = POOL[:40], POOL[40:]
    truth = [latency(candidate) for candidate in others]
    predicted = LatencyModel([(candidate, latency(candidate)) for candidate in known], ENCODER)(others)
    assert spearmanr(predicted, truth)[0] > 0.9 > 0.6 > spearmanr([candidate.flops for candidate in others], truth)[0]


def test_one_measurement_says_the_same_of_all() -> None:
    assert LatencyModel([(POOL[0], 3.0)], ENCODER)(POOL[:4]) == pytest.approx([3.0] * 4)


def test_neither_order_nor_unit_matters() -> None:
    measured = [(candidate, latency(candidate)) for candidate in POOL[:20]]
    costs = LatencyModel(measured, ENCODER)(POOL)
    assert LatencyModel(measured[::-1], ENCODER)(POOL).tolist() == costs.tolist()
    seconds = LatencyModel([(candidate, one / 1000) for candidate, one in measured], ENCODER)(POOL)
    assert seconds == pytest.approx(costs / 1000)
