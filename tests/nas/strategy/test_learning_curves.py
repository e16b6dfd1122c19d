"""Where curves end: the regressions against a direct formula, planted slopes and Monte Carlo."""

import math

import numpy as np
import pytest

from nas.strategy.learning_curves import (
    FALL_SPREAD,
    MOST_CURVES,
    RESIDUAL,
    RESIDUAL_TRIALS,
    ROUNDS,
    SLOPE_SPREADS,
    STEP_TRIALS,
    Array,
    Curve,
    final_log_error,
    learn_step,
    learn_steps,
)

SCATTER = 0.04


def planted(
    seed: int, count: int, fall: float = -0.4, slopes: tuple[float, float] = (-0.2, 0.1), noise: float = 0.02
) -> tuple[Array, Array]:
    """[N, 2] log errors and log FLOPs, and [N] falls."""
    random = np.random.default_rng(seed)
    errors, flops = random.normal(-1, 0.5, count), random.normal(18, 1.0, count)
    falls = fall + slopes[0] * (errors + 1) + slopes[1] * (flops - 18) + noise * random.standard_normal(count)
    return np.column_stack([errors, flops]), falls


@pytest.mark.parametrize("count", [1, 2, 3, 8, 40])
@pytest.mark.parametrize("seed", range(3))
def test_a_step_is_a_bayesian_regression(seed: int, count: int) -> None:
    """Against the same posterior written in the space of the observations."""
    points, falls = planted(seed, count, noise=0.3)
    step, squares = learn_step(points, falls, SCATTER)
    rows = np.column_stack([np.ones(count), points - points.mean(axis=0)])
    # Of a unit of residual variance.
    prior = np.diag([FALL_SPREAD**2, SLOPE_SPREADS[0] ** 2, SLOPE_SPREADS[1] ** 2]) / SCATTER
    observed = rows @ prior @ rows.T + np.eye(count)
    gain = prior @ rows.T @ np.linalg.inv(observed)
    assert step.centre == pytest.approx(points.mean(axis=0))
    assert step.coefficients == pytest.approx(gain @ falls)
    assert squares == pytest.approx(falls @ np.linalg.solve(observed, falls))
    # The mean of an inverse gamma distribution of shape a and scale b is b / (a - 1).
    shape, scale = (STEP_TRIALS + count) / 2, (STEP_TRIALS * SCATTER + squares) / 2
    assert step.residual_variance == pytest.approx(scale / (shape - 1))
    assert step.covariance == pytest.approx(step.residual_variance * (prior - gain @ rows @ prior))


def test_a_planted_slope_is_found() -> None:
    step, _ = learn_step(*planted(0, 300), SCATTER)
    assert step.coefficients == pytest.approx([-0.4, -0.2, 0.1], abs=0.03)
    mean, variance = step.forward(-2.0, 0.0, 19.0)
    assert mean == pytest.approx(-2.0 - 0.4 - 0.2 * -1 + 0.1 * 1, abs=0.05)
    assert variance == pytest.approx(step.residual_variance, rel=0.1) and variance < SCATTER


def test_without_data_nothing_is_known_but_the_prior() -> None:
    step, squares = learn_step(np.zeros((0, 2)), np.zeros(0), SCATTER)
    mean, variance = step.forward(-1.0, 0.0, 18.0)
    assert mean == -1.0 and squares == 0
    assert step.residual_variance == pytest.approx(3 * SCATTER)
    assert variance == pytest.approx(FALL_SPREAD**2 + step.residual_variance)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_the_unit_of_flops_does_not_matter(count: int) -> None:
    points, falls = planted(1, count)
    here = learn_step(points, falls, SCATTER)[0].forward(-0.7, 0.1, 18.5)
    there = learn_step(points - [0, math.log(1e9)], falls, SCATTER)[0].forward(-0.7, 0.1, 18.5 - math.log(1e9))
    assert there == pytest.approx(here)


def test_the_order_of_the_trials_does_not_matter() -> None:
    points, falls = planted(2, 12)
    order = np.random.default_rng(0).permutation(12)
    shuffled, _ = learn_step(points[order], falls[order], SCATTER)
    found, _ = learn_step(points, falls, SCATTER)
    assert shuffled.forward(-0.5, 0.2, 17.0) == pytest.approx(found.forward(-0.5, 0.2, 17.0))


def test_equal_trials_teach_the_fall_and_no_slope() -> None:
    step, _ = learn_step(np.array([(-1.0, 18.0)] * 50), np.full(50, -0.5), SCATTER)
    assert step.coefficients == pytest.approx([-0.5, 0, 0], abs=0.01)
    assert np.diag(step.covariance)[1:] == pytest.approx(np.square(SLOPE_SPREADS) * step.residual_variance / SCATTER)


@pytest.mark.parametrize("count", [2, 4, 100])
def test_a_chains_variance_is_that_of_draws(count: int) -> None:
    random = np.random.default_rng(0)
    steps = [learn_step(*planted(seed, count, noise=0.1), SCATTER)[0] for seed in (1, 2)]
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
    first, second = learn_steps(curves, (1, 3, 9))
    assert first.centre == pytest.approx([-0.55, 18.25]) and second.centre == pytest.approx([-1.1, 18.5])
    assert learn_steps(curves, (2, 6, 18))[0].coefficients == pytest.approx(first.coefficients)


def test_the_scatter_of_a_unit_of_log_time_is_learned_over_all_steps() -> None:
    """A step that nothing is known of is as uncertain as the others, and as long as it takes."""
    random = np.random.default_rng(0)

    def falls(noise: float) -> list[Curve]:
        starts, flops = random.normal(-0.5, 0.3, 400), random.normal(18, 1, 400)
        ends = starts - 0.3 + noise * math.sqrt(math.log(3)) * random.standard_normal(400)
        return [Curve((a, b), f) for a, b, f in zip(starts.tolist(), ends.tolist(), flops.tolist(), strict=True)]

    for noise in (0.05, 0.5):
        known, unknown = learn_steps(falls(noise), (1, 3, 27))
        assert known.residual_variance == pytest.approx(noise**2 * math.log(3), rel=0.2)
        assert unknown.residual_variance == pytest.approx(3 * noise**2 * math.log(9), rel=0.2)


def test_the_scatter_is_the_one_that_the_steps_with_it_leave() -> None:
    """Against the formula, of steps that are learned once more with what was found."""
    curves = [Curve((-0.5, -0.9, -1.2), 18.0), Curve((-0.6, -1.1, -1.4), 18.5), Curve((-0.4, -0.6), 17.0)]
    epochs, scatter = (2, 6, 18), RESIDUAL**2
    points = [np.array([(-0.5, 18.0), (-0.6, 18.5), (-0.4, 17.0)]), np.array([(-0.9, 18.0), (-1.1, 18.5)])]
    fallen = [np.array([-0.4, -0.5, -0.2]), np.array([-0.3, -0.3])]
    for _ in range(ROUNDS):
        found = [learn_step(p, f, scatter * math.log(3)) for p, f in zip(points, fallen, strict=True)]
        squares = sum(left for _, left in found) / math.log(3)
        scatter = (RESIDUAL_TRIALS * RESIDUAL**2 + squares) / (RESIDUAL_TRIALS + 5)
    for step, (expected, _) in zip(learn_steps(curves, epochs), found, strict=True):
        assert step.residual_variance == pytest.approx(expected.residual_variance)
        assert step.covariance == pytest.approx(expected.covariance)


def test_of_very_many_curves_some_teach_what_all_of_them_do() -> None:
    points, falls = planted(0, 2 * MOST_CURVES + 1)
    curves = [
        Curve((error, error + fall), flops)
        for (error, flops), fall in zip(points.tolist(), falls.tolist(), strict=True)
    ]
    (step,) = learn_steps(curves, (1, 3))
    assert step.centre == pytest.approx(points[::3].mean(axis=0))
    assert step.coefficients == pytest.approx(learn_step(points, falls, SCATTER)[0].coefficients, abs=0.01)


def test_a_curve_at_the_last_level_is_its_own_end() -> None:
    curves = [Curve((-0.5, -0.9, -1.3), 18.0), Curve((-0.6, -1.1), 18.5), Curve((-0.6,), 18.5)]
    steps = learn_steps(curves, (1, 3, 9))
    assert final_log_error(curves[0], steps) == (-1.3, 0.0)
    late, early = final_log_error(curves[1], steps)[1], final_log_error(curves[2], steps)[1]
    assert 0 < late < early


def test_without_rungs_there_is_nothing_to_extrapolate() -> None:
    assert learn_steps([Curve((-0.5,), 18.0)], (9,)) == []
    assert final_log_error(Curve((-0.5,), 18.0), []) == (-0.5, 0.0)
