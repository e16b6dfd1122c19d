"""The samplers that search_quality compares: this project's, and what Optuna offers, one interface for all."""

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import optuna

from nas.strategy.decisions import Decisions
from nas.strategy.posterior import Objective, TrialView
from tests.benchmarks.table import Table, TableSource

# A sampler that repeats itself so often in a row will not propose anything new.
MOST_REPEATS = 500


class Exhausted(Exception):
    """A sampler has nothing new to propose."""


class Sampler(Protocol):
    """Proposes rows of a table that it has not proposed before."""

    duplicates: int
    proposal_seconds: list[float]

    def propose(self, trials: Sequence[TrialView]) -> int:
        """A new row, given all trials so far, the running ones too. Raises Exhausted."""

    def finished(self, index: int, accuracy: float) -> None:
        """Hears of a full training."""

    def stopped(self, index: int) -> None:
        """Hears that a row was stopped early."""


class GainSampler:
    """This project's proposals."""

    duplicates = 0

    def __init__(self, decisions: Decisions) -> None:
        self._decisions = decisions
        self.proposal_seconds: list[float] = []

    def propose(self, trials: Sequence[TrialView]) -> int:
        started = time.perf_counter()
        fresh = self._decisions.state(trials).fresh
        self.proposal_seconds.append(time.perf_counter() - started)
        if fresh is None:
            raise Exhausted
        return int(fresh.candidate.key)

    def finished(self, index: int, accuracy: float) -> None:
        """Nothing: it is in the trials."""

    def stopped(self, index: int) -> None:
        """Nothing: it is in the trials."""


class OptunaSampler:
    """A sampler of Optuna. A repeat is told the known result at once and costs nothing but the time to propose it."""

    def __init__(self, sampler: optuna.samplers.BaseSampler, table: Table, integers: bool = False) -> None:
        self._study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        self._table = table
        self._source = TableSource(table)
        self._integers = integers
        self._asked: dict[int, optuna.Trial] = {}
        self._known: dict[int, float] = {}
        self.duplicates = 0
        self.proposal_seconds: list[float] = []

    def propose(self, trials: Sequence[TrialView]) -> int:
        for _ in range(MOST_REPEATS):
            started = time.perf_counter()
            trial = self._study.ask()
            index = self._source.index_of(self._suggest(trial))
            self.proposal_seconds.append(time.perf_counter() - started)
            if index is None:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            elif index not in self._asked:
                self._asked[index] = trial
                return index
            else:
                self.duplicates += 1
                if index in self._known:
                    self._study.tell(trial, [self._known[index], float(self._table.flops[index])])
                else:
                    self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise Exhausted

    def _suggest(self, trial: optuna.Trial) -> dict[str, Any]:
        if self._integers:
            return {
                name: values[trial.suggest_int(name, 0, len(values) - 1)]
                for name, values in self._table.domains.items()
            }
        return {name: trial.suggest_categorical(name, values) for name, values in self._table.domains.items()}

    def finished(self, index: int, accuracy: float) -> None:
        self._known[index] = accuracy
        self._study.tell(self._asked[index], [accuracy, float(self._table.flops[index])])

    def stopped(self, index: int) -> None:
        self._study.tell(self._asked[index], state=optuna.trial.TrialState.PRUNED)


def _tpe(seed: int, **options: Any) -> optuna.samplers.BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.samplers.TPESampler(seed=seed, **options)


OPTUNA: dict[str, tuple[Callable[[int, bool], optuna.samplers.BaseSampler], bool]] = {
    "random": (lambda seed, parallel: optuna.samplers.RandomSampler(seed=seed), False),
    "tpe": (lambda seed, parallel: _tpe(seed), False),
    "tpe-multivariate": (
        lambda seed, parallel: _tpe(seed, multivariate=True, group=True, constant_liar=parallel),
        False,
    ),
    "tpe-multivariate-integers": (
        lambda seed, parallel: _tpe(seed, multivariate=True, group=True, constant_liar=parallel),
        True,
    ),
    "nsga2": (lambda seed, parallel: optuna.samplers.NSGAIISampler(seed=seed), False),
    "nsga2-20": (lambda seed, parallel: optuna.samplers.NSGAIISampler(seed=seed, population_size=20), False),
    "optuna-gp": (lambda seed, parallel: optuna.samplers.GPSampler(seed=seed), False),
}
SAMPLERS = ("ehvi", *OPTUNA)


def sampler_named(
    name: str, table: Table, objective: Objective, decisions: Decisions, seed: int, workers: int
) -> Sampler:
    """A fresh sampler for one run."""
    if name == "ehvi":
        return GainSampler(decisions)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    make, integers = OPTUNA[name]
    return OptunaSampler(make(seed, workers > 1), table, integers)
