"""How many trained networks a search needs, measured on a table of networks that are trained already.

    .venv/bin/python tests/benchmarks/search_quality.py --table nas-bench-macro.csv --reference-accuracy 85 \\
        --reference-flops 90e6 --seeds 24 --evaluations 400
    … --workers 8                    eight at a time
    … --observe accuracy_run1        one noisy training is seen, the mean of all is scored
    … --workers 16 --curves          learning curves, early stopping, 54 epochs; --evaluations 100 full trainings' worth

It runs the proposals and rung decisions of `nas/` themselves, beside Optuna's samplers and Ray Tune's ASHA, in a
discrete-event simulation. A table is a CSV file with columns choice_*, flops, accuracy_* (per cent) and, optionally,
params. Hypervolume is that of (accuracy, FLOPs) on linear axes over the reference, as a share of the whole table's.
Only distinct networks count as evaluations: what a sampler repeats is free.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np

from nas.records.pareto import Point, hypervolume
from nas.strategy.decisions import Decisions
from nas.strategy.halving import rung_epochs
from nas.strategy.posterior import Objective
from nas.workers.asha import AccuracyHalving
from search_spaces.errors import UserError, unknown_name
from tests.benchmarks.samplers import SAMPLERS, sampler_named
from tests.benchmarks.simulation import AccuracyRungs, GainRungs, NoRungs, Run, learning_curves, simulate
from tests.benchmarks.table import Table, TableSource, low_flops_third, read_table

EPOCHS, MINIMUM_EPOCHS, REDUCTION_FACTOR = 54, 2, 3
METHODS = ("ehvi", "random", "tpe", "tpe-multivariate", "tpe-multivariate-integers", "nsga2", "nsga2-20")
CURVE_METHODS = ("ehvi+pareto", "ehvi+none", "tpe-multivariate+asha", "tpe-multivariate+none", "random+asha")
SCHEDULERS = ("pareto", "asha", "none")
SHARES = (0.95, 0.98, 0.99)
CHECKPOINTS = (25, 50, 100, 200)


# Full trainings' worth of epochs after which searches with learning curves are looked at.
BUDGETS = (25, 50, 100)


def main(arguments: Sequence[str]) -> int:
    try:
        options = _parser().parse_args(list(arguments))
        table = read_table(options.table, options.observe)
        given = None if options.reference_accuracy is None else options.reference_accuracy / 100
        reference = table.reference(given, options.reference_flops)
        methods = options.methods or (CURVE_METHODS if options.curves else METHODS)
        for method in methods:
            _check(method, options.curves)
        if options.curves and options.evaluations < BUDGETS[0]:
            raise UserError(f"--evaluations is {options.evaluations}: expected at least {BUDGETS[0]} with --curves.")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(
        f"{options.table.name}: {len(table.rows):,} networks, reference {100 * reference[0]:.2f} % and "
        f"{reference[1]:,.0f} FLOPs, {options.seeds} seeds, {options.workers} at a time"
    )
    report = _curves if options.curves else _evaluations
    results = report(table, reference, methods, options)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True, metavar="FILE.csv")
    parser.add_argument(
        "--methods", nargs="+", metavar="NAME", help=f"of {', '.join(SAMPLERS)}; with --curves SAMPLER+SCHEDULER"
    )
    parser.add_argument("--seeds", type=int, default=24)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--evaluations", type=int, default=400, help="networks; with --curves full trainings' worth of epochs"
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--curves", action="store_true")
    parser.add_argument("--observe", metavar="COLUMN", help="the accuracy that searches see (default: the mean of all)")
    parser.add_argument("--reference-accuracy", type=float, metavar="PER_CENT")
    parser.add_argument("--reference-flops", type=float, metavar="X")
    parser.add_argument("--json", type=Path, metavar="OUT")
    return parser


def _check(method: str, curves: bool) -> None:
    sampler, plus, scheduler = method.partition("+")
    if sampler not in SAMPLERS:
        raise unknown_name("--methods", sampler, SAMPLERS)
    if curves and scheduler not in SCHEDULERS:
        raise unknown_name(f"--methods {method}: scheduler", scheduler, SCHEDULERS)
    if plus and not curves:
        raise UserError(f"--methods {method}: a scheduler needs --curves.")


def one_run(table: Table, reference: Point, method: str, seed: int, workers: int, epochs: int, budget: float) -> Run:
    """One simulated search of `budget` epochs. With one epoch a training there is nothing to stop."""
    sampler_name, _, scheduler = method.partition("+")
    rungs = rung_epochs(MINIMUM_EPOCHS, epochs, REDUCTION_FACTOR) if scheduler in ("pareto", "asha") else ()
    objective = Objective(reference, epochs, rungs, resolution=1e-5)
    decisions = Decisions(TableSource(table), objective, reduction_factor=REDUCTION_FACTOR, seed=seed)
    sampler = sampler_named(sampler_name, table, objective, decisions, seed, workers)
    scheduling: NoRungs = NoRungs()
    if scheduler == "pareto":
        scheduling = GainRungs(decisions, rungs)
    elif scheduler == "asha":
        halving = AccuracyHalving(minimum_epochs=MINIMUM_EPOCHS, epochs=epochs, reduction_factor=REDUCTION_FACTOR)
        scheduling = AccuracyRungs(halving.should_continue, rungs)
    curves = learning_curves(table, epochs, seed)
    if epochs == 1:
        curves.epoch_seconds[:] = 1.0
    return simulate(
        table, curves, sampler, scheduling, workers=workers, most_epochs=budget, keeps_held=scheduler == "pareto"
    )


def _evaluations(table: Table, reference: Point, methods: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    full = table.hypervolume(reference)
    shown = [count for count in CHECKPOINTS if count <= options.evaluations]
    shares = "".join(f"{f'to {share:.0%}':>15}" for share in SHARES)
    print(
        f"median (quartiles)\n{'method':<26}{shares}"
        + "".join(f"{f'HV at {n}':>12}" for n in shown)
        + "  repeats  s/proposal"
    )
    results: dict[str, Any] = {}
    for method in methods:
        runs = [
            one_run(table, reference, method, seed, options.workers, 1, options.evaluations)
            for seed in range(options.first_seed, options.first_seed + options.seeds)
        ]
        needed = {share: [_evaluations_to(run, share, table, reference) for run in runs] for share in SHARES}
        volumes = {n: [run.hypervolume_after(n, table, reference) / full for run in runs] for n in shown}
        seconds = [float(np.mean(run.proposal_seconds)) for run in runs]
        results[method] = {
            "evaluations_to": {f"{share:.2f}": [_finite(x) for x in values] for share, values in needed.items()},
            "hypervolume_at": volumes,
            "duplicates": [run.duplicates for run in runs],
            "proposal_seconds": seconds,
        }
        line = "".join(f"{_quartiles(values):>15}" for values in needed.values())
        line += "".join(f"{100 * np.median(values):>12.1f}" for values in volumes.values())
        print(
            f"{method:<26}{line}{np.median([run.duplicates for run in runs]):>9.0f}{np.median(seconds):>12.3f}",
            flush=True,
        )
    if "ehvi" in results:
        _ratios(results)
    return results


def _evaluations_to(run: Run, share: float, table: Table, reference: Point) -> float:
    """Evaluations until a share is reached, counted one by one also where several end at once."""
    goal = share * table.hypervolume(reference)
    best: list[Point] = []
    for count, (_, row) in enumerate(run.finished, 1):
        best = [point for point in [*best, *table.points([row])] if not _beaten(point, best)]
        if hypervolume(best, reference) >= goal - 1e-12:
            return count
    return math.inf


def _beaten(point: Point, others: Sequence[Point]) -> bool:
    return any(other[0] >= point[0] and other[1] <= point[1] and other != point for other in others)


def _ratios(results: dict[str, Any]) -> None:
    ours = {share: _median(values) for share, values in results["ehvi"]["evaluations_to"].items()}
    for method, result in results.items():
        if method != "ehvi":
            parts = []
            for share, values in result["evaluations_to"].items():
                theirs = _median(values)
                text = f"{theirs / ours[share]:.1f}×" if math.isfinite(theirs) else "more than the budget"
                parts.append(f"{float(share):.0%} {text if math.isfinite(ours[share]) else 'not reached'}")
            print(f"evaluations of {method} against ehvi: {', '.join(parts)}")


def _median(values: Sequence[float | None]) -> float:
    return float(np.median([math.inf if value is None else value for value in values]))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _quartiles(values: Sequence[float]) -> str:
    def text(value: float) -> str:
        return f"{value:.0f}" if math.isfinite(value) else "never"

    low, middle, high = (np.percentile(values, q, method="closest_observation") for q in (25, 50, 75))
    return f"{text(float(middle))} ({text(float(low))}–{text(float(high))})"


def _curves(table: Table, reference: Point, methods: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    budgets = [count for count in BUDGETS if count <= options.evaluations]
    third = low_flops_third(table, reference)
    full, full_third = table.hypervolume(reference), table.hypervolume(third)
    heading = "".join(f"{f'HV at {n}':>18}" for n in budgets)
    print(
        f"epochs of {EPOCHS} a full training; median (quartiles)\n"
        f"{'method':<26}{heading}{'cheap third':>18}{'epochs to 90 %':>22}{'seconds':>9}"
    )
    results: dict[str, Any] = {}
    for method in methods:
        started = time.perf_counter()
        volumes: dict[int, list[float]] = {n: [] for n in budgets}
        cheap, to_ninety = [], []
        for seed in range(options.first_seed, options.first_seed + options.seeds):
            # A budget is known from the start, so each is a search of its own.
            for n in budgets:
                run = one_run(table, reference, method, seed, options.workers, EPOCHS, n * EPOCHS)
                volumes[n].append(run.hypervolume_after(n * EPOCHS, table, reference) / full)
            cheap.append(run.hypervolume_after(budgets[-1] * EPOCHS, table, third) / full_third)
            to_ninety.append(run.epochs_to(0.9, table, reference))
        seconds = time.perf_counter() - started
        results[method] = {
            "hypervolume_at": volumes,
            "cheap_third": cheap,
            "epochs_to_0.90": [_finite(value) for value in to_ninety],
        }
        line = "".join(f"{_shares(values):>18}" for values in [*volumes.values(), cheap])
        print(f"{method:<26}{line}{_quartiles(to_ninety):>22}{seconds:>9.0f}", flush=True)
    if {"ehvi+pareto", "tpe-multivariate+asha"} <= results.keys():
        ours, theirs = (_median(results[name]["epochs_to_0.90"]) for name in ("ehvi+pareto", "tpe-multivariate+asha"))
        ratio = (
            f"{theirs / ours:.1f}×"
            if math.isfinite(theirs)
            else f"more than {options.evaluations * EPOCHS / ours:.1f}×"
        )
        print(f"epochs of tpe-multivariate+asha to 90 % against ehvi+pareto: {ratio}")
    return results


def _shares(values: Sequence[float]) -> str:
    low, middle, high = (100 * float(np.percentile(values, q)) for q in (25, 50, 75))
    return f"{middle:.1f} ({low:.1f}–{high:.1f})"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
