"""The samplers that search_quality compares, one interface for all: this project's, local search of the front, and what
Optuna offers; peers that are no dependency are in tests/benchmarks/peers.py.
"""

import random
import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import optuna

from nas.records.pareto import Point, front
from nas.strategy.candidates import choice_name
from nas.strategy.decisions import Decisions
from nas.strategy.posterior import TrialView
from search_spaces.space import Pick, Value
from tests.benchmarks.peers import PEERS, peer_named
from tests.benchmarks.table_source import Exhausted, TableSource, picked

# A sampler that repeats itself so often in a row will not propose anything new.
MOST_REPEATS = 500
# After so many proposals in a row that a table lacks, of which a sampler learns nothing, a random row is trained.
MOST_LACKING = 20


class Sampler(Protocol):
    """Proposes rows of a table that it has not proposed before."""

    duplicates: int
    proposal_seconds: list[float]

    def propose(self, trials: Sequence[TrialView]) -> int:
        """A new row, given all trials so far, the running ones too. Raises Exhausted."""

    def finished(self, index: int, accuracy: float) -> None:
        """Hears of a full training."""

    def stopped(self, index: int) -> None:
        """Hears that a row was stopped early, or diverged."""


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


class LocalSearch:
    """Local search of the front (Paquete, Chiarandini and Stützle 2004): a neighbour of a member, all members and all
    neighbours alike; a random network where none is new, and as the first ten.
    """

    duplicates = 0
    first = 10

    def __init__(self, source: TableSource, seed: int) -> None:
        self._source = source
        self._rng = random.Random(seed)
        self.proposal_seconds: list[float] = []

    def propose(self, trials: Sequence[TrialView]) -> int:
        started = time.perf_counter()
        known = {trial.candidate.key for trial in trials}
        finished = [trial for trial in trials if trial.status == "finished"]
        members = front([(trial.accuracies[-1], trial.candidate.flops) for trial in finished])
        for attempt in range(2 * MOST_REPEATS):
            if len(trials) < self.first or not members or attempt >= MOST_REPEATS:
                found = self._source.sample(self._rng)
            else:
                parent = finished[self._rng.choice(members)].candidate
                name = self._rng.choice(sorted(self._source.domains))
                changed = {**parent.choices, name: self._rng.choice(self._source.domains[name])}
                index = self._source.row_for(changed, self._rng)
                found = None if index is None else self._source.candidate(index)
            if found is not None and found.key not in known:
                self.proposal_seconds.append(time.perf_counter() - started)
                return int(found.key)
        raise Exhausted

    def finished(self, index: int, accuracy: float) -> None:
        """Nothing: it is in the trials."""

    def stopped(self, index: int) -> None:
        """Nothing: it is in the trials."""


class OptunaSampler:
    """A sampler of Optuna. A repeat is told the known result at once and costs nothing but the time to propose it.

    Where another row is trained than was proposed, it is that row that the sampler learns from.
    """

    def __init__(
        self, sampler: optuna.samplers.BaseSampler, source: TableSource, seed: int, integers: bool = False
    ) -> None:
        self._study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        self._source = source
        self._rng = random.Random(seed)
        self._integers = integers
        self._asked: dict[int, optuna.Trial] = {}
        self._known: dict[int, float] = {}
        self.duplicates = 0
        self.proposal_seconds: list[float] = []

    def propose(self, trials: Sequence[TrialView]) -> int:
        lacking = 0
        for attempt in range(1, MOST_REPEATS + 1):
            started = time.perf_counter()
            trial = self._study.ask()
            choices = self._suggest(trial)
            index = self._source.index_of(choices)
            lacking = lacking + 1 if index is None else 0
            if self._source.space and (index is None or (index in self._asked and attempt == MOST_REPEATS)):
                trial, index = self._moved(trial, self._source.nearest(choices, self._rng))
            elif lacking == MOST_LACKING:
                trial, index = self._moved(trial, self._source.random_besides(self._asked, self._rng))
            self.proposal_seconds.append(time.perf_counter() - started)
            if index is None:
                self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
            elif index not in self._asked:
                self._asked[index] = trial
                return index
            else:
                self.duplicates += 1
                if index in self._known:
                    self._study.tell(trial, [self._known[index], self._flops(index)])
                else:
                    self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        raise Exhausted

    def _suggest(self, trial: optuna.Trial) -> dict[str, Value]:
        def suggested(name: str, values: Sequence[Value]) -> Value:
            if self._integers:
                return values[trial.suggest_int(name, 0, len(values) - 1)]
            chosen: Any = trial.suggest_categorical(name, values)
            return chosen

        return self._picked(suggested)

    def _picked(self, pick: Pick) -> dict[str, Value]:
        """The choices of one network, in a sample as a search of its space asks for them: no other than apply."""
        if self._source.space:
            return picked(self._source.space, pick)
        return {name: pick(name, values) for name, values in self._source.domains.items()}

    def _moved(self, trial: optuna.Trial, index: int | None) -> tuple[optuna.Trial, int]:
        """A row instead of one that was proposed, with its trial. Raises Exhausted where there is none."""
        if index is None:
            raise Exhausted
        self._study.tell(trial, state=optuna.trial.TrialState.FAIL)
        choices, parameters = self._source.candidate(index).choices, dict[str, Any]()

        def note(name: str, values: Sequence[Value]) -> Value:
            value = choices.get(choice_name(name), values[0])
            parameters[name] = values.index(value) if self._integers else value
            return value

        self._picked(note)
        self._study.enqueue_trial(parameters)
        moved = self._study.ask()
        self._suggest(moved)
        return moved, index

    def _flops(self, index: int) -> float:
        return float(self._source.table.flops[index])

    def finished(self, index: int, accuracy: float) -> None:
        self._known[index] = accuracy
        self._study.tell(self._asked[index], [accuracy, self._flops(index)])

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
SAMPLERS = ("ehvi", "local-search", *OPTUNA, *PEERS)


def sampler_named(
    name: str, source: TableSource, reference: Point, decisions: Decisions, seed: int, workers: int
) -> Sampler:
    """A fresh sampler for one run."""
    if name == "ehvi":
        return GainSampler(decisions)
    if name == "local-search":
        return LocalSearch(source, seed)
    if name in PEERS:
        return peer_named(name, source, reference, seed)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    make, integers = OPTUNA[name]
    return OptunaSampler(make(seed, workers > 1), source, seed, integers)
