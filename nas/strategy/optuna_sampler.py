"""The search's proposals as an Optuna sampler, for any study of accuracy against a cost that is known beforehand."""

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.records.pareto import Point
from nas.records.seeds import derived_seed
from nas.strategy.candidates import Candidate
from nas.strategy.decisions import Decisions
from nas.strategy.posterior import Objective, TrialView
from search_spaces.space import Value

# An integer with more values than this is no choice among kinds.
MOST_VALUES = 256

Parameters = Mapping[str, Any]


class GainSampler(BaseSampler):
    """Proposes what is expected to add most to the front of (accuracy, cost), the cost being known exactly.

    For studies with directions ["maximize", "minimize"], the first value an accuracy in [0, 1]:

        space = {"depth": CategoricalDistribution([26, 38, 50]), "heads": IntDistribution(1, 8)}
        sampler = GainSampler(space, cost=flops_of, reference=(0.1, 4e9))
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)

    `cost` gives the positive cost of parameters before they are tried; a parameter that an objective did not ask for is
    not among those of a past trial. `reference` is the least accuracy and the highest cost that count; nothing above
    that cost is proposed. `resolution` is the least error that tells from none. Past trials are read from the study at
    every proposal, so that studies can be shared and resumed; running ones are taken into account.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        *,
        cost: Callable[[Parameters], float],
        reference: Point,
        resolution: float = 1e-4,
        seed: int = 0,
    ) -> None:
        """Raises ValueError on a distribution without distinct values, or where no cost is within the reference."""
        self._search_space = dict(search_space)
        self._source = _ParameterCandidates(self._search_space, cost, reference[1])
        objective = Objective(reference, 1, (), resolution)
        self._decisions = Decisions(self._source, objective, reduction_factor=2, seed=seed)
        self._independent = RandomSampler(seed=derived_seed("independent", seed))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._search_space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters to try. Nothing, and so random ones, where everything within the reference was tried."""
        if study.directions != [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]:
            raise ValueError('GainSampler needs a study with directions ["maximize", "minimize"]: accuracy and cost')
        past = [other for other in study.get_trials(deepcopy=False) if other.number != trial.number and other.params]
        fresh = self._decisions.state([self._view(other) for other in past]).fresh
        return {} if fresh is None else self._source.parameters(fresh.candidate)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def _view(self, trial: FrozenTrial) -> TrialView:
        candidate = self._source.candidate(trial.params)
        if trial.state == TrialState.COMPLETE:
            accuracy = trial.values[0]
            if not 0 <= accuracy <= 1:
                raise ValueError(f"trial {trial.number} has accuracy {accuracy}: expected a share from 0 to 1")
            return TrialView(trial.number, candidate, (accuracy,), "finished")
        return TrialView(trial.number, candidate, (), "ended" if trial.state.is_finished() else "running")


class _ParameterCandidates:
    """The parameters of a study as candidates (nas.strategy.candidates.CandidateSource)."""

    def __init__(
        self, search_space: Mapping[str, BaseDistribution], cost: Callable[[Parameters], float], most_cost: float
    ) -> None:
        self._values = {name: _values(name, distribution) for name, distribution in search_space.items()}
        self._cost = cost
        self._most_cost = most_cost
        self.domains: Mapping[str, Sequence[Value]] = {
            name: [_plain(value) for value in values] for name, values in self._values.items()
        }

    def candidate(self, parameters: Parameters) -> Candidate:
        choices = {name: _plain(parameters[name]) for name in self._values if name in parameters}
        cost = float(self._cost(parameters))
        if not 0 < cost < float("inf"):
            raise ValueError(f"the cost of {dict(parameters)} is {cost}: expected a number above 0")
        return Candidate(json.dumps(choices, sort_keys=True), choices, cost, cost)

    def parameters(self, candidate: Candidate) -> dict[str, Any]:
        return {
            name: next(value for value in self._values[name] if _plain(value) == chosen)
            for name, chosen in candidate.choices.items()
        }

    def sample(self, rng: random.Random) -> Candidate | None:
        return self._affordable({name: rng.choice(values) for name, values in self._values.items()})

    def mutate(self, candidate: Candidate, rng: random.Random) -> Candidate | None:
        """Draws one parameter anew, or a few, and those that the parent's objective did not ask for."""
        parameters = {name: rng.choice(values) for name, values in self._values.items()}
        parameters |= self.parameters(candidate)
        names = sorted(parameters)
        while True:
            name = rng.choice(names)
            parameters[name] = rng.choice(self._values[name])
            if rng.random() < 0.5:
                return self._affordable(parameters)

    def _affordable(self, parameters: Parameters) -> Candidate | None:
        candidate = self.candidate(parameters)
        return candidate if candidate.flops <= self._most_cost else None


def _values(name: str, distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return list(distribution.choices)
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        if len(values) <= MOST_VALUES:
            return list(values)
    raise ValueError(f"parameter {name!r} is {distribution}: expected categories, or at most {MOST_VALUES} integers")


def _plain(value: Any) -> Value:
    """A category as features know it; None and truth values are told apart by name."""
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else repr(value)
