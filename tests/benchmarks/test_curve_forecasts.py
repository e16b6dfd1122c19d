"""Scores of forecasts against integration and simulation, and a learned scale that is calibrated on made-up curves."""

import numpy as np
import pytest
import scipy.stats

from nas.strategy.learning_curves import Curve, final_log_error, learn_steps
from tests.benchmarks.curve_forecasts import forecasts, known_curves, made_curves
from tests.benchmarks.forecasts import normal_crps


def test_the_score_is_that_of_the_integral() -> None:
    grid = np.linspace(-12, 12, 200_001)
    for truth, mean, deviation in ((0.3, 0.1, 0.5), (-2.0, 1.0, 0.7)):
        integrand = (scipy.stats.norm(mean, deviation).cdf(grid) - (grid >= truth)) ** 2
        found = normal_crps(np.array([truth]), np.array([mean]), np.array([deviation]))
        assert found == pytest.approx(np.trapezoid(integrand, grid), abs=1e-4)


def test_some_trials_are_stopped_and_those_are_the_worse_ones() -> None:
    log_errors, log_flops = made_curves(np.random.default_rng(0), 200)
    curves = known_curves(log_errors, log_flops, [2, 6, 27], np.random.default_rng(1))
    lengths = np.array([len(curve.log_errors) for curve in curves])
    assert set(lengths) == {1, 2, 3}
    assert log_errors[lengths == 1, 1].mean() > log_errors[lengths > 1, 1].mean()


def test_forecasts_with_a_learned_scale_are_calibrated_on_curves_that_scatter_as_assumed() -> None:
    covered = []
    for seed in range(10):
        log_errors, log_flops = made_curves(np.random.default_rng(seed))
        found = forecasts(log_errors, log_flops, [2, 6, 18, 27], 20, seed)
        assert all(np.isfinite(values).all() for values in found.values())
        covered += [values[1].mean() for (name, _), values in found.items() if name == "of the search"]
    assert 0.85 <= np.mean(covered) <= 0.97


@pytest.mark.parametrize("curves", [[], [Curve((-0.5, -1.0), 15.0)], [Curve((-7.0, -7.0), 15.0)] * 5])
def test_few_or_equal_curves_give_finite_forecasts(curves: list[Curve]) -> None:
    mean, variance = final_log_error(Curve((-0.5,), 15.0), learn_steps(curves, [2, 6]))
    assert np.isfinite(mean) and 0 < variance < 100
