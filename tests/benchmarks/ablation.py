"""What each part of a search adds: the hypervolume of searches that do without it, beside that of whole ones.

    .venv/bin/python tests/benchmarks/ablation.py --table nas-bench-macro.csv@85/90e6 arxiv.csv.gz --seeds 12
    .venv/bin/python tests/benchmarks/ablation.py --curves --workers 16 --evaluations 25 50 \\
        --table tests/benchmarks/tables/resnet_stages-cluttered-digits.csv

Tables are those of tests/benchmarks/search_quality.py. Searches of one table and seed make a pair; printed is the mean
difference over all pairs, in points of the true hypervolume, ± its standard error, and the median and worst search.
Without --curves each trains its networks to the end; with it, --evaluations are the epochs of so many full trainings.
With --failing a part of the networks cannot be trained (tests/benchmarks/failing_tables.py).
"""

import argparse
import random
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from nas.strategy import decisions, posterior, proposals
from nas.strategy.candidates import CandidateSource
from nas.strategy.decisions import Decisions
from nas.strategy.error_scale import PLAIN, ErrorScale
from nas.strategy.expected_improvement import expected_hypervolume_improvement
from nas.strategy.features import FeatureEncoder
from nas.strategy.gaussian_process import GaussianProcess
from nas.strategy.learning_curves import Curve, final_log_error
from nas.strategy.posterior import Posterior
from nas.strategy.proposals import Proposal
from search_spaces.arguments import ArgumentParser, at_least
from search_spaces.errors import UserError, unknown_name
from search_spaces.standard_streams import run_program
from tests.benchmarks.failing_tables import KINDS, failing
from tests.benchmarks.schedulers import GainRungs
from tests.benchmarks.search_quality import one_run
from tests.benchmarks.table import NamedTable, named_table

# An uncertainty that is next to none, of a log error: none at all is a training that has come to its end.
CERTAIN = 1e-10


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a search: how to do without it, and the method of search_quality that does."""

    without: Callable[[], AbstractContextManager[Any]] = nullcontext
    sampler: str = "ehvi"
    scheduler: str = "pareto"


def columns_left_out(chosen: Callable[[FeatureEncoder], slice]) -> Callable[[], AbstractContextManager[Any]]:
    """Without some columns of the features, which are alike of all candidates then."""
    encode = FeatureEncoder.encode

    def encoded(self: FeatureEncoder, candidates: Sequence[Any]) -> np.ndarray:
        features = encode(self, candidates)
        features[:, chosen(self)] = 0.0
        return features

    return lambda: patch.object(FeatureEncoder, "encode", encoded)


def ranks_and_counts(encoder: FeatureEncoder) -> slice:
    """All columns but those of single values and of costs: a group of values has more than one column."""
    sizes = np.bincount(encoder.groups)
    return slice(int(sizes[: int(np.argmax(sizes == 1))].sum()), -2)


def random_start(source: CandidateSource, index: int, known: Any, seed: int) -> Proposal | None:
    found = proposals.distinct(source.sample, 1, random.Random(seed), known)
    return Proposal(next(iter(found.values())), None) if found else None


def at_their_word(self: GaussianProcess) -> np.ndarray:
    return self._targets * self._scale + self._mean


def greedily(mean: np.ndarray, variance: np.ndarray, costs: np.ndarray, regions: Any, scale: ErrorScale) -> np.ndarray:
    return expected_hypervolume_improvement(mean, np.full_like(variance, CERTAIN), costs, regions, scale)


def always_compressed(self: Posterior, *given: Any, **named: Any) -> None:
    INITIALISED(self, *given, **{**named, "compressed": True})


def nothing_awaited(self: Posterior, *given: Any, **named: Any) -> None:
    INITIALISED(self, *given, **named)
    self._pending = []


def as_it_stands(curve: Curve, steps: Sequence[Any]) -> tuple[float, float]:
    _, variance = final_log_error(curve, steps)
    return curve.log_errors[-1], min(variance, CERTAIN)


def only_what_is_left(self: Decisions, trials: Any, posterior: Posterior, epochs_left: float) -> bool:
    return epochs_left >= self._objective.epochs


INITIALISED = Posterior.__init__
WHOLE = "nothing"
PROPOSALS = {
    WHOLE: Part(),
    "the model: random networks": Part(sampler="random"),
    "FLOPs and parameters as features": Part(columns_left_out(lambda encoder: slice(-2, None))),
    "ranks, and values over all stages, as features": Part(columns_left_out(ranks_and_counts)),
    "uncertainty: improvement by the mean alone": Part(
        lambda: patch.object(posterior, "expected_hypervolume_improvement", greedily)
    ),
    "the compressed scale": Part(lambda: patch.object(posterior, "compressing", lambda log_errors: PLAIN)),
    "the plain scale": Part(lambda: patch.object(Posterior, "__init__", always_compressed)),
    "smoothing: results at their word": Part(lambda: patch.object(GaussianProcess, "observed_means", at_their_word)),
    "the design: a random start": Part(lambda: patch.object(decisions, "initial_design", random_start)),
    "changes of the front as candidates": Part(lambda: patch.object(proposals, "MUTANTS", 0)),
    "random networks as candidates": Part(lambda: patch.object(proposals, "RANDOM_CANDIDATES", 0)),
}
HALVING = {
    "fantasies of what runs": Part(lambda: patch.object(Posterior, "__init__", nothing_awaited)),
    "extrapolation: early results as they stand": Part(
        lambda: patch.object(posterior, "final_log_error", as_it_stands)
    ),
    "the guard of what dominates": Part(
        lambda: patch("nas.strategy.halving.lifted_improvement", lambda point, improvement, peers: improvement)
    ),
    "promotion of what is held": Part(
        lambda: patch.object(GainRungs, "promotion", lambda self, trials, epochs_left: None)
    ),
    "epochs that running trials may leave": Part(lambda: patch.object(Decisions, "_may_start", only_what_is_left)),
    "stopping": Part(scheduler="none"),
    "expected improvement at rungs: ASHA on accuracy": Part(scheduler="asha"),
    "expected improvement at rungs: multi-objective ASHA": Part(scheduler="mo-asha"),
}
# Of tables of which a part fails.
FAILING = {
    "chances of success": Part(
        lambda: patch.object(Posterior, "chances_of_success", lambda self, candidates: np.ones(len(candidates)))
    ),
}


def shares(named: NamedTable, part: Part, seed: int, options: argparse.Namespace) -> list[float]:
    """Those of the true hypervolume, in per cent, after each of the budgets."""
    table = named.table.seen_by(seed)
    schedule = table.schedule if options.curves else table.schedule.of_results()
    method = f"{part.sampler}+{part.scheduler}" if options.curves else part.sampler
    # Where nothing is decided on the way, a search of more networks begins as one of fewer.
    budgets = options.evaluations if options.curves else [max(options.evaluations)]
    with part.without():
        runs = [
            one_run(table, named.reference, method, seed, options.workers, schedule, budget * schedule.epochs)
            for budget in budgets
        ]
    runs = runs if options.curves else runs * len(options.evaluations)
    true = table.hypervolume(named.reference)
    return [
        100 * run.hypervolume_after(budget * schedule.epochs, table, named.reference) / true
        for run, budget in zip(runs, options.evaluations, strict=True)
    ]


def main(arguments: Sequence[str]) -> int:
    parser = ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", nargs="+", required=True, metavar="FILE.csv[.gz][@PER_CENT/FLOPS]")
    parser.add_argument("--curves", action="store_true")
    parser.add_argument("--workers", type=at_least(1), default=1)
    parser.add_argument("--evaluations", type=at_least(1), nargs="+", default=[25, 50, 100])
    parser.add_argument("--seeds", type=at_least(1), default=12)
    parser.add_argument("--first-seed", type=at_least(0), default=0)
    parser.add_argument("--parts", nargs="+", metavar="PART", help=f"of {'; '.join([*PROPOSALS, *HALVING, *FAILING])}")
    parser.add_argument("--failing", metavar="KIND", help=f"what cannot be trained: {', '.join(KINDS)}")
    try:
        options = parser.parse_args(list(arguments))
        parts = PROPOSALS | (HALVING if options.curves else {}) | (FAILING if options.failing else {})
        for name in options.parts or ():
            if name in FAILING and not options.failing:
                raise UserError(f"--parts {name!r} needs --failing: without, everything can be trained.")
            if name in HALVING and not options.curves:
                raise UserError(f"--parts {name!r} needs --curves: without, everything is trained to its end.")
            if name not in parts:
                raise unknown_name("--parts", name, list(parts))
        if len(options.table) * options.seeds == 1:
            raise UserError("--seeds is 1: a pair of searches alone has no standard error, expected 2 or more.")
        tables = [named_table(text, None, None, None) for text in options.table]
        if options.failing:
            tables = [replace(named, table=failing(named.table, named.reference, options.failing)) for named in tables]
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2

    def searched(name: str) -> np.ndarray:
        seeds = range(options.first_seed, options.first_seed + options.seeds)
        return np.array([shares(named, parts[name], seed, options) for named in tables for seed in seeds])

    heading = "".join(f"{f'at {budget}':>30}" for budget in options.evaluations)
    print(f"{'without':<54}{heading}\n{'':<54}{'difference ± error, median, worst':>30}")
    whole = searched(WHOLE)
    for name in dict.fromkeys([WHOLE, *(options.parts or parts)]):
        print(f"{name:<54}{_line(whole if name == WHOLE else searched(name), whole)}", flush=True)
    return 0


def _line(found: np.ndarray, whole: np.ndarray) -> str:
    differences = found - whole
    means, errors = differences.mean(axis=0), differences.std(axis=0, ddof=1) / np.sqrt(len(differences))
    return "".join(
        f"{f'{mean:+.1f} ± {error:.1f}, {median:.1f}, {worst:.1f}':>30}"
        for mean, error, median, worst in zip(means, errors, np.median(found, axis=0), found.min(axis=0), strict=True)
    )


if __name__ == "__main__":
    sys.exit(run_program(main))
