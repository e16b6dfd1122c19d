"""How many trained networks a search needs, measured on tables of networks that are trained already.

    .venv/bin/python tests/benchmarks/search_quality.py --table nas-bench-macro.csv@85/90e6 arxiv.csv.gz \\
        --methods ehvi random local-search --seeds 24 --evaluations 100 --runs runs.jsonl
    … --baseline tests/benchmarks/baselines/*.json   ends with 1 where searching has become worse than it was
    … --workers 8                                    eight at a time
    … --prior other.csv --prior-evaluations 60       ehvi knows what a search of another table of these choices found
    … --observe accuracy_run1                        one noisy training is seen, the mean of all is scored
    … --workers 16 --curves                          learning curves, early stopping; --evaluations 100 full trainings'
                                                     worth. They are made up, of 54 epochs, but for the tables below

It runs the proposals and rung decisions of `nas/` themselves, beside Optuna's samplers, Ray Tune's ASHA, local search
of the front, and peers where they are installed (tests/benchmarks/peers.py), in a discrete-event simulation. A table is
a CSV file, or a .csv.gz, with columns choice_*, flops, accuracy_* (per cent) and, optionally, params. FILE@85/90e6
states its reference, accuracy in per cent and FLOPs. Hypervolume is that of (accuracy, FLOPs) on linear axes over the
reference, as a share of the whole table's. Only distinct networks count as evaluations: what a sampler repeats is free.

A table of tests/benchmarks/trained_table.py is known by its first line. With --curves the curves, the epochs and their
times are its own, and rungs are those of a search on its data. Of a network that was trained with several seeds, one
training is seen, drawn by the seed of the search; scored is the mean of their last accuracies. Such a table is a sample
of its space: a proposal that is not in it goes to the nearest row that was not trained yet (the fewest choices differ,
not to apply being a value, too), and a sampler learns of that row instead. Searches that choose among rows (ehvi,
botorch-qlogehvi) know by that which networks there are, which the others do not.
"""

import argparse
import json
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nas.records.pareto import Point
from nas.strategy.decisions import Decisions
from nas.strategy.earlier_results import EarlierTask
from nas.strategy.posterior import Objective
from search_spaces.arguments import ArgumentParser, at_least
from search_spaces.errors import UserError, unknown_name
from search_spaces.standard_streams import run_program
from tests.benchmarks import quality_report as report
from tests.benchmarks.baselines import Baseline, baseline_of, changes, read_baselines, write_baselines
from tests.benchmarks.forecasts import Score, nearest_to_front, score
from tests.benchmarks.peers import PEERS, check_installed, is_installed
from tests.benchmarks.raw_runs import Problem, RawRun, raw_run, written
from tests.benchmarks.samplers import SAMPLERS, sampler_named
from tests.benchmarks.schedule import Schedule
from tests.benchmarks.schedulers import SCHEDULERS, scheduler_named
from tests.benchmarks.simulation import Run, curves_of, simulate
from tests.benchmarks.table import NamedTable, Table, low_flops_third, named_table
from tests.benchmarks.table_source import TableSource, finished_trials

# Of the search of another table that was made before.
OTHER_SEED = 1000
TPE_METHODS = ("tpe", "tpe-multivariate", "tpe-multivariate-integers")
METHODS = ("ehvi", "random", "local-search", *TPE_METHODS, "nsga2", "nsga2-20")
CURVE_METHODS = (
    *("ehvi+pareto", "ehvi+none", "tpe-multivariate+asha", "tpe-multivariate+hyperband", "tpe-multivariate+none"),
    *("random+mo-asha", "random+asha"),
)


def main(arguments: Sequence[str]) -> int:
    try:
        options = _parser().parse_args(list(arguments))
        tables = [
            named_table(text, options.observe, options.reference_accuracy, options.reference_flops)
            for text in options.table
        ]
        installed = [name for name in PEERS if is_installed(name)]
        methods = options.methods or (CURVE_METHODS if options.curves else [*METHODS, *installed])
        for method in methods:
            _check(method, options.curves)
        _check_outputs(options)
        if options.curves and options.evaluations < report.BUDGETS[0]:
            raise UserError(f"--evaluations is {options.evaluations}: expected at least {report.BUDGETS[0]}.")
        prior = None if options.prior is None else _prior(options.prior, tables, methods)
        before = [baseline for path in options.baseline for baseline in read_baselines(path)]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    results: dict[str, Any] = {}
    now: list[Baseline] = []
    for named in tables:
        print(
            f"{named.name}: {len(named.table.rows):,} networks, reference {100 * named.reference[0]:.2f} % and "
            f"{named.reference[1]:,.0f} FLOPs, {options.seeds} seeds, {options.workers} at a time"
        )
        measured = _curves if options.curves else _evaluations
        results[named.name], found = measured(named, prior, methods, options)
        now += found
    if options.json:
        content = results if len(tables) > 1 else results[tables[0].name]
        options.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    if options.write_baseline:
        write_baselines(options.write_baseline, now)
    return _compared(before, now)


def _check_outputs(options: argparse.Namespace) -> None:
    """Raises UserError where what a call is to write cannot be written, or would take the place of other runs."""
    for flag in ("json", "runs", "write_baseline"):
        path: Path | None = getattr(options, flag)
        name = f"--{flag.replace('_', '-')}"
        if path is None:
            continue
        if path.is_dir() or not path.parent.is_dir():
            raise UserError(f"{name} is {str(path)!r}: expected a file in a folder that is there.")
        if flag == "runs" and path.exists() and path.stat().st_size:
            raise UserError(f"{name} is {str(path)!r}, which has runs already: expected a file that is not there.")
    least = report.CHECKPOINTS[0]
    if (options.baseline or options.write_baseline) and options.evaluations < least:
        raise UserError(f"--evaluations is {options.evaluations}: a baseline has shares from {least} on.")


def _prior(text: str, tables: Sequence[NamedTable], methods: Sequence[str]) -> NamedTable:
    """The table that was searched before. Raises UserError where it tells the others nothing."""
    prior = named_table(text, None, None, None)
    if not any(method.partition("+")[0] == report.OURS for method in methods):
        raise UserError(f"--prior informs {report.OURS} alone, which is not among --methods.")
    for named in tables:
        if named.table.domains.keys() != prior.table.domains.keys():
            raise UserError(
                f"--prior is {text!r}: expected the choices of {named.name}, {', '.join(named.table.domains)}."
            )
    return prior


def _parser() -> argparse.ArgumentParser:
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", nargs="+", required=True, metavar="FILE.csv[.gz][@PER_CENT/FLOPS]")
    parser.add_argument(
        "--methods", nargs="+", metavar="NAME", help=f"of {', '.join(SAMPLERS)}; with --curves SAMPLER+SCHEDULER"
    )
    parser.add_argument("--seeds", type=at_least(1), default=24)
    parser.add_argument("--first-seed", type=at_least(0), default=0)
    parser.add_argument(
        "--evaluations", type=at_least(1), default=400, help="networks; with --curves full trainings' worth of epochs"
    )
    parser.add_argument("--workers", type=at_least(1), default=1)
    parser.add_argument("--curves", action="store_true")
    parser.add_argument("--prior", metavar="FILE.csv[.gz]", help="a table of the same choices that was searched before")
    parser.add_argument("--prior-evaluations", type=at_least(1), default=60, help="networks that were trained of it")
    parser.add_argument("--observe", metavar="COLUMN", help="the accuracy that searches see (default: the mean of all)")
    parser.add_argument("--reference-accuracy", type=float, metavar="PER_CENT", help="of tables that state none")
    parser.add_argument("--reference-flops", type=float, metavar="X", help="of tables that state none")
    parser.add_argument("--json", type=Path, metavar="OUT", help="the figures; of several tables, by file name")
    parser.add_argument("--runs", type=Path, metavar="OUT.jsonl", help="the raw runs, a line each, as they end")
    parser.add_argument("--baseline", type=Path, nargs="+", default=[], metavar="FILE.json", help="compares with these")
    parser.add_argument("--write-baseline", type=Path, metavar="OUT.json")
    return parser


def _check(method: str, curves: bool) -> None:
    sampler, plus, scheduler = method.partition("+")
    if sampler not in SAMPLERS:
        raise unknown_name("--methods", sampler, SAMPLERS)
    if sampler in PEERS:
        check_installed(sampler)
    if curves and not plus:
        raise UserError(
            f"--methods {method}: with --curves expected SAMPLER+SCHEDULER, the scheduler being one of "
            f"{', '.join(SCHEDULERS)}, as {sampler}+{next(iter(SCHEDULERS))}."
        )
    if curves and scheduler not in SCHEDULERS:
        raise unknown_name(f"--methods {method}: scheduler", scheduler, SCHEDULERS)
    if plus and not curves:
        raise UserError(f"--methods {method}: a scheduler needs --curves.")


def _decisions(
    source: TableSource,
    reference: Point,
    seed: int,
    schedule: Schedule,
    rungs: tuple[int, ...] = (),
    earlier: Sequence[EarlierTask] = (),
) -> Decisions:
    objective = Objective(reference, schedule.epochs, rungs, schedule.resolution)
    return Decisions(source, objective, reduction_factor=schedule.reduction_factor, seed=seed, earlier=earlier)


def _earlier(prior: NamedTable | None, table: Table, seed: int, evaluations: int) -> list[EarlierTask]:
    """What a search of `prior`, from another seed, found of the networks that `table` has, too."""
    if prior is None:
        return []
    schedule, seen = prior.table.schedule.of_results(), prior.table.seen_by(seed + OTHER_SEED)
    run = one_run(seen, prior.reference, report.OURS, seed + OTHER_SEED, 1, schedule, evaluations)
    before, here = TableSource(seen), TableSource(table)
    found = [(here.index_of(before.candidate(row).choices), row) for _, row in run.finished]
    known = [(index, row) for index, row in found if index is not None]
    errors = [math.log(max(1 - float(seen.observed[row]), schedule.resolution)) for _, row in known]
    return [EarlierTask(tuple(here.candidate(index) for index, _ in known), tuple(errors))]


def one_run(
    table: Table,
    reference: Point,
    method: str,
    seed: int,
    workers: int,
    schedule: Schedule,
    budget: float,
    earlier: Sequence[EarlierTask] = (),
) -> Run:
    """One simulated search of `budget` epochs, of a table as its seed sees it."""
    sampler_name, _, scheduler = method.partition("+")
    rungs = schedule.rungs if scheduler not in ("", "none") else ()
    source = TableSource(table)
    decisions = _decisions(source, reference, seed, schedule, rungs, earlier)
    sampler = sampler_named(sampler_name, source, reference, decisions, seed, workers)
    scheduling = scheduler_named(scheduler, source, decisions, schedule, seed)
    curves = curves_of(table, schedule.epochs, seed)
    run = simulate(source, curves, sampler, scheduling, workers=workers, most_epochs=budget)
    return replace(run, forecasts=scheduling.forecasts)


def _runs(
    named: NamedTable,
    prior: NamedTable | None,
    method: str,
    options: argparse.Namespace,
    schedule: Schedule,
    budget: int,
    checkpoints: Sequence[int],
) -> Iterator[RawRun]:
    """The run of every seed, written as it ends; predictions are scored at the checkpoints."""
    epochs, reference = schedule.epochs, named.reference
    problem = Problem(named.name, reference, epochs, budget * epochs, options.workers, options.observe)
    cheap = low_flops_third(named.table, reference)
    nearest = nearest_to_front(named.table, reference) if method == report.OURS else []
    ours = method.partition("+")[0] == report.OURS
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        table = named.table.seen_by(seed)
        earlier = _earlier(prior if ours else None, table, seed, options.prior_evaluations)
        run = one_run(table, reference, method, seed, options.workers, schedule, budget * epochs, earlier)
        scores = _scores(table, reference, seed, run, nearest, schedule, checkpoints) if nearest else []
        found = raw_run(problem, method, seed, run, table, cheap, [*scores, *_of_all(run)])
        if options.runs:
            with options.runs.open("a", encoding="utf-8") as file:
                file.write(written(found))
        yield found


def _scores(
    table: Table,
    reference: Point,
    seed: int,
    run: Run,
    nearest: list[int],
    schedule: Schedule,
    checkpoints: Sequence[int],
) -> list[Score]:
    """Of what the search predicted, after so many evaluations, of what it had not trained by then."""
    source = TableSource(table)
    decisions = _decisions(source, reference, seed, schedule)
    scores = []
    for count in checkpoints:
        trained = [row for _, row in run.finished[:count]]
        left = [row for row in nearest if row not in trained and math.isfinite(table.observed[row])]
        posterior = decisions.state(finished_trials(table, trained)).posterior
        if len(trained) == count and left and posterior is not None:
            scores.append(score(posterior, left, source, schedule.resolution, count))
    return scores


def _of_all(run: Run) -> list[Score]:
    """The mean score of what was said of trials at rungs."""
    if not run.forecasts:
        return []
    crps, coverage = (fmean(getattr(one, name) for one in run.forecasts) for name in ("crps", "coverage"))
    return [Score(len(run.finished), crps, coverage)]


def _evaluations(
    named: NamedTable, prior: NamedTable | None, methods: Sequence[str], options: argparse.Namespace
) -> tuple[dict[str, Any], list[Baseline]]:
    shown = [count for count in report.CHECKPOINTS if count <= options.evaluations]
    schedule = named.table.schedule.of_results()
    print(report.evaluation_heading(shown))
    runs: dict[str, list[RawRun]] = {}
    for method in methods:
        runs[method] = list(_runs(named, prior, method, options, schedule, options.evaluations, shown))
        print(report.evaluation_line(method, runs[method], shown), flush=True)
    if report.OURS in runs and shown:
        print(report.score_line(runs[report.OURS], shown))
    print(*report.evaluation_ratios(runs), sep="\n", end="\n" if len(runs) > 1 else "")
    results = {method: report.evaluation_results(some, shown) for method, some in runs.items()}
    return results, [baseline_of(some, shown) for some in runs.values()]


def _curves(
    named: NamedTable, prior: NamedTable | None, methods: Sequence[str], options: argparse.Namespace
) -> tuple[dict[str, Any], list[Baseline]]:
    budgets = [count for count in report.BUDGETS if count <= options.evaluations]
    schedule = named.table.schedule
    print(report.curve_heading(schedule.epochs, schedule.rungs, budgets))
    results, baselines = {}, []
    for method in methods:
        runs = {count: list(_runs(named, prior, method, options, schedule, count, ())) for count in budgets}
        print(report.curve_line(method, runs), flush=True)
        for line in report.forecast_line(method, runs):
            print(line, flush=True)
        results[method] = report.curve_results(runs)
        baselines += [baseline_of(some, [count]) for count, some in runs.items()]
    print(*report.curve_ratio(results, options.evaluations * schedule.epochs), sep="\n")
    return results, baselines


def _compared(before: Sequence[Baseline], now: Sequence[Baseline]) -> int:
    """Prints what has changed against baselines: 1 where it is for the worse, 2 where nothing can be compared."""
    found = [
        change
        for old in before
        for new in now
        if (old.problem, old.method) == (new.problem, new.method)
        for change in changes(old, new)
    ]
    for change in found:
        print(report.change_line(change))
    if before and not found:
        print(
            "error: no baseline is of a problem and a method of this call. "
            f"Baselines are of {_problems(before)}; this call is of {_problems(now)}.",
            file=sys.stderr,
        )
        return 2
    return int(any(change.worse for change in found))


def _problems(baselines: Sequence[Baseline]) -> str:
    """What baselines are of, each once."""
    said = [
        f"{one.method} on {one.problem.table}@{100 * one.problem.reference[0]:g}/{one.problem.reference[1]:g}, "
        f"{one.problem.budget:g} epochs, {one.problem.workers} at a time"
        for one in baselines
    ]
    return "; ".join(dict.fromkeys(said))


if __name__ == "__main__":
    sys.exit(run_program(main))
