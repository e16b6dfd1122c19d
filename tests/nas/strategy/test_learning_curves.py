"""Where curves end: the regressions against a direct formula, planted slopes and Monte Carlo."""

import math

import numpy as np
import pytest

from nas.strategy.learning_curves import (
    FALL_SPREAD,
    MOST_CURVES,
    RESIDUAL,
    RESIDUAL_TRIALS,
    SLOPE_SPREADS,
    Array,
    Curve,
    final_log_error,
    learn_step,
    learn_steps,
)


def planted(
    seed: int, count: int, fall: float = -0.4, slopes: tuple[float, float] = (-0.2, 0.1), noise: float = 0.02
) -> tuple[list[tuple[float, float]], list[float]]:
    random = np.random.default_rng(seed)
    errors, flops = random.normal(-1, 0.5, count), random.normal(18, 1.0, count)
    after = errors + fall + slopes[0] * (errors + 1) + slopes[1] * (flops - 18) + noise * random.standard_normal(count)
    return list(zip(errors.tolist(), flops.tolist(), strict=True)), after.tolist()


@pytest.mark.parametrize("count", [1, 2, 3, 8, 40])
@pytest.mark.parametrize("seed", range(3))
def test_a_step_is_a_bayesian_regression(seed: int, count: int) -> None:
    """Against the same posterior written in the space of the observations."""
    before, after = planted(seed, count, noise=0.3)
    step = learn_step(before, after)
    points = np.array(before)
    rows = np.column_stack([np.ones(count), points - points.mean(axis=0)])
    falls = np.array(after) - points[:, 0]
    prior = np.diag([FALL_SPREAD**2, SLOPE_SPREADS[0] ** 2, SLOPE_SPREADS[1] ** 2])
    gain = prior @ rows.T @ np.linalg.inv(rows @ prior @ rows.T + step.residual_variance * np.eye(count))
    assert step.centre == pytest.approx(points.mean(axis=0))
    # The residual variance settles over a few rounds, so both belong together but for the last one's change.
    assert step.coefficients == pytest.approx(gain @ falls, rel=0.02, abs=2e-3)
    assert step.covariance == pytest.approx(prior - gain @ rows @ prior, rel=0.05, abs=2e-3)
    residuals = falls - rows @ step.coefficients
    assumed = RESIDUAL_TRIALS * RESIDUAL**2
    assert step.residual_variance == pytest.approx((assumed + (residuals**2).sum()) / (RESIDUAL_TRIALS + count))


def test_a_planted_slope_is_found() -> None:
    step = learn_step(*planted(0, 300))
    assert step.coefficients == pytest.approx([-0.4, -0.2, 0.1], abs=0.03)
    mean, variance = step.forward(-2.0, 0.0, 19.0)
    assert mean == pytest.approx(-2.0 - 0.4 - 0.2 * -1 + 0.1 * 1, abs=0.05)
    assert variance == pytest.approx(step.residual_variance, rel=0.1) and variance < RESIDUAL**2


def test_without_data_nothing_is_known_but_the_prior() -> None:
    step = learn_step([], [])
    mean, variance = step.forward(-1.0, 0.0, 18.0)
    assert mean == -1.0
    assert step.residual_variance == pytest.approx(RESIDUAL**2)
    assert variance >= FALL_SPREAD**2 + RESIDUAL**2


@pytest.mark.parametrize("count", [0, 1, 5])
def test_the_unit_of_flops_does_not_matter(count: int) -> None:
    before, after = planted(1, count)
    shifted = [(error, log_flops - math.log(1e9)) for error, log_flops in before]
    here = learn_step(before, after).forward(-0.7, 0.1, 18.5)
    there = learn_step(shifted, after).forward(-0.7, 0.1, 18.5 - math.log(1e9))
    assert there == pytest.approx(here)


def test_the_order_of_the_trials_does_not_matter() -> None:
    before, after = planted(2, 12)
    order = np.random.default_rng(0).permutation(12)
    shuffled = learn_step([before[i] for i in order], [after[i] for i in order])
    assert shuffled.forward(-0.5, 0.2, 17.0) == pytest.approx(learn_step(before, after).forward(-0.5, 0.2, 17.0))


def test_equal_trials_teach_the_fall_and_no_slope() -> None:
    step = learn_step([(-1.0, 18.0)] * 50, [-1.5] * 50)
    assert step.coefficients == pytest.approx([-0.5, 0, 0], abs=0.01)
    assert np.diag(step.covariance)[1:] == pytest.approx(np.square(SLOPE_SPREADS))


@pytest.mark.parametrize("count", [2, 4, 100])
def test_a_chains_variance_is_that_of_draws(count: int) -> None:
    random = np.random.default_rng(0)
    steps = [learn_step(*planted(seed, count, noise=0.1)) for seed in (1, 2)]
    curve = Curve((-0.8,), 19.0)
    draws = 400_000
    values: Array = np.full(draws, -0.8)
    for step in steps:
        coefficients = random.multivariate_normal(step.coefficients, step.covariance, draws)
        rows = np.column_stack(
            [np.ones(draws), values - step.centre[0], np.full(draws, curve.log_flops - step.centre[1])]
        )
        values = values + (rows * coefficients).sum(axis=1)
        values = values + math.sqrt(step.residual_variance) * random.standard_normal(draws)
    mean, variance = final_log_error(curve, steps)
    assert mean == pytest.approx(values.mean(), abs=5 * values.std() / math.sqrt(draws))
    assert variance == pytest.approx(values.var(), rel=0.01)


def test_each_step_is_learned_from_the_curves_that_have_both_ends() -> None:
    curves = [Curve((-0.5, -0.9), 18.0), Curve((-0.6, -1.1, -1.4), 18.5), Curve((-0.4,), 17.0)]
    first, second = learn_steps(curves, 3)
    expected = learn_step([(-0.5, 18.0), (-0.6, 18.5)], [-0.9, -1.1])
    assert first.coefficients == pytest.approx(expected.coefficients) and first.centre == pytest.approx(expected.centre)
    assert second.coefficients == pytest.approx(learn_step([(-1.1, 18.5)], [-1.4]).coefficients)


def test_of_very_many_curves_some_teach_what_all_of_them_do() -> None:
    before, after = planted(0, 2 * MOST_CURVES + 1)
    curves = [Curve((error, end), flops) for (error, flops), end in zip(before, after, strict=True)]
    (step,) = learn_steps(curves, 2)
    every_third = learn_step(before[::3], after[::3])
    assert step.coefficients.tolist() == every_third.coefficients.tolist()
    assert step.coefficients == pytest.approx(learn_step(before, after).coefficients, abs=0.01)


def test_a_curve_at_the_last_level_is_its_own_end() -> None:
    curves = [Curve((-0.5, -0.9, -1.3), 18.0), Curve((-0.6, -1.1), 18.5), Curve((-0.6,), 18.5)]
    steps = learn_steps(curves, 3)
    assert final_log_error(curves[0], steps) == (-1.3, 0.0)
    late, early = final_log_error(curves[1], steps)[1], final_log_error(curves[2], steps)[1]
    assert 0 < late < early


def test_without_rungs_there_is_nothing_to_extrapolate() -> None:
    assert learn_steps([Curve((-0.5,), 18.0)], 1) == []
    assert final_log_error(Curve((-0.5,), 18.0), []) == (-0.5, 0.0)
