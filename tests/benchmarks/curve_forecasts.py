"""How well final log errors are forecast from the first epochs: the search's model and another, side by side.

    .venv/bin/python tests/benchmarks/curve_forecasts.py FILE.csv [--rungs 2 6] [--trials 10 20 50] [--seeds 40]

FILE is of tests/benchmarks/trained_table.py. In random orders of its trainings the first N are known, some to the end
and some stopped at rungs; the others are forecast at each rung. Printed are the continuous ranked probability score
(Gneiting and Raftery 2007), the coverage of 90 % intervals, and the stated deviation over the root mean square error.
Without FILE, of made-up curves: lines in log time that wander, with other exponents for each curve and each seed.
"""

import argparse
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nas.strategy.halving import rung_epochs
from nas.strategy.learning_curves import (
    FALL_SPREAD,
    RESIDUAL,
    RESIDUAL_TRIALS,
    SLOPE_SPREADS,
    Curve,
    Step,
    final_log_error,
    learn_steps,
)
from tests.benchmarks.forecasts import normal_crps
from tests.benchmarks.trainings import read_trainings
from trainers.data.datasets import check_data

Array = NDArray[np.float64]
Model = Callable[[Sequence[Curve], Sequence[int]], list[Step]]
INTERVAL = 1.6449


def read_curves(path: Path) -> tuple[Array, Array]:
    """[N, epochs] log errors, as a search sees them, and [N] log FLOPs of the trainings that came to their end."""
    table = read_trainings(path)
    rows, images = table.finished(), check_data(table.data).validation_images
    errors = 1 - np.array([row.accuracies for row in rows])
    return np.log(np.maximum(errors, 0.5 / images)), np.log([row.flops for row in rows])


def made_curves(random: np.random.Generator, count: int = 120, epochs: int = 27) -> tuple[Array, Array]:
    """The same of curves log error(e) = final + decay·τ + wander·B(τ), τ = ln(epochs / e), B Brownian motion."""
    tau = np.log(epochs / np.arange(1, epochs + 1))
    log_flops = random.normal(15, 1, count)
    final = -1.5 + 0.4 * random.standard_normal(count) - 0.15 * (log_flops - 15)
    decay = random.uniform(0.15, 0.8) * (1 + random.uniform(0, 0.3) * random.standard_normal(count))
    wander = np.exp(random.uniform(math.log(0.03), math.log(0.25)) + 0.3 * random.standard_normal(count))
    steps = random.standard_normal((count, epochs - 1)) * np.sqrt(-np.diff(tau))
    motion = np.concatenate([steps[:, ::-1].cumsum(axis=1)[:, ::-1], np.zeros((count, 1))], axis=1)
    return np.minimum(final[:, None] + decay[:, None] * tau + wander[:, None] * motion, 0.0), log_flops


def known_curves(
    log_errors: Array, log_flops: Array, levels: Sequence[int], random: np.random.Generator
) -> list[Curve]:
    """Trials as a search leaves them: past a rung go the best two fifths so far, and a fifth of the others."""
    reached: list[list[float]] = [[] for _ in levels]
    curves = []
    for errors, flops in zip(log_errors[:, np.array(levels) - 1], log_flops.tolist(), strict=True):
        length = 0
        for level, error in enumerate(errors.tolist()):
            length = level + 1
            reached[level].append(error)
            better = sum(other < error for other in reached[level]) / len(reached[level])
            if len(reached[level]) >= 3 and better >= 0.4 and random.random() >= 0.2:
                break
        curves.append(Curve(tuple(errors[:length].tolist()), flops))
    return curves


def each_step_alone(curves: Sequence[Curve], levels: Sequence[int]) -> list[Step]:
    """Regressions whose residual variance each step learns for itself, from the same prior whatever time it takes."""
    return [
        _step_alone([c for c in curves if len(c.log_errors) > level + 1], level) for level in range(len(levels) - 1)
    ]


def _step_alone(curves: Sequence[Curve], level: int) -> Step:
    variance = RESIDUAL**2
    if not curves:
        return Step(np.zeros(2), np.zeros(3), np.diag([FALL_SPREAD**2, 0.0, 0.0]), variance)
    points = np.array([(curve.log_errors[level], curve.log_flops) for curve in curves])
    falls = np.array([curve.log_errors[level + 1] for curve in curves]) - points[:, 0]
    centre = points.mean(axis=0)
    rows = np.column_stack([np.ones(len(points)), points - centre])
    prior = np.diag([FALL_SPREAD**-2, *(spread**-2 for spread in SLOPE_SPREADS)])
    # The residual variance and the coefficients depend on each other; a few rounds settle both.
    for _ in range(5):
        covariance = np.linalg.inv(prior + rows.T @ rows / variance)
        coefficients = covariance @ rows.T @ falls / variance
        residuals = falls - rows @ coefficients
        variance = (RESIDUAL_TRIALS * RESIDUAL**2 + float(residuals @ residuals)) / (RESIDUAL_TRIALS + len(falls))
    return Step(centre, coefficients, covariance, variance)


MODELS: dict[str, Model] = {"of the search": learn_steps, "each step alone": each_step_alone}


def forecasts(
    log_errors: Array, log_flops: Array, levels: Sequence[int], known: int, seed: int
) -> dict[tuple[str, int], Array]:
    """(score, within the interval, variance, squared error) of each held-out training, by model and rung: [4, M]."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(log_errors))
    curves = known_curves(log_errors[order[:known]], log_flops[order[:known]], levels, random)
    curves.sort(key=lambda curve: (curve.log_errors, curve.log_flops))
    held_out = order[known:]
    truth = log_errors[held_out, -1]
    found = {}
    for name, model in MODELS.items():
        steps = model(curves, levels)
        for place, level in enumerate(levels[:-1]):
            seen = [
                Curve(tuple(log_errors[row, np.array(levels[: place + 1]) - 1].tolist()), float(log_flops[row]))
                for row in held_out
            ]
            mean, variance = np.array([final_log_error(curve, steps) for curve in seen]).T
            within = np.abs(truth - mean) <= INTERVAL * np.sqrt(variance)
            found[name, level] = np.array(
                [normal_crps(truth, mean, np.sqrt(variance)), within, variance, (truth - mean) ** 2]
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, nargs="?", metavar="FILE.csv")
    parser.add_argument("--rungs", type=int, nargs="+", help="epochs (default: 2, 6, 18, … short of the last)")
    parser.add_argument("--trials", type=int, nargs="+", default=[10, 20, 50])
    parser.add_argument("--seeds", type=int, default=40)
    options = parser.parse_args()
    table = None if options.file is None else read_curves(options.file)
    print(f"{'known':>5}{'rung':>6}  {'model':<16}{'CRPS':>8}{'coverage':>10}{'stated / actual':>17}")
    for known in options.trials:
        parts: dict[tuple[str, int], list[Array]] = {}
        for seed in range(options.seeds):
            log_errors, log_flops = table or made_curves(np.random.default_rng(seed))
            epochs = log_errors.shape[1]
            levels = [*(options.rungs or rung_epochs(2, epochs, 3)), epochs]
            if known < len(log_errors):
                for key, values in forecasts(log_errors, log_flops, levels, known, seed).items():
                    parts.setdefault(key, []).append(values)
        for (name, level), some in sorted(parts.items(), key=lambda item: item[0][1]):
            score, covered, variance, square = np.concatenate(some, axis=1).mean(axis=1)
            ratio = math.sqrt(variance / square)
            print(f"{known:>5}{level:>6}  {name:<16}{score:>8.3f}{covered:>10.0%}{ratio:>17.2f}")


if __name__ == "__main__":
    main()
