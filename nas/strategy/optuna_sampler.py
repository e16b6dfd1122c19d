"""The search's proposals as an Optuna sampler, for any study of accuracy against a cost that is known beforehand."""

import math
import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.records.pareto import Point
from nas.records.seeds import derived_seed
from nas.strategy.candidates import Candidate
from nas.strategy.claims import claim
from nas.strategy.decisions import Decisions
from nas.strategy.parameter_candidates import ParameterCandidates, Parameters, plain_value
from nas.strategy.posterior import Objective, TrialView
from search_spaces.space import Value

# An integer with more values than this is no choice among kinds.
MOST_VALUES = 256

# So many random parameters are tried before there is taken to be nothing within the reference.
ATTEMPTS = 5000

# An accuracy that is summed up may be beyond 0 or 1 by so much.
ROUNDING = 1e-6

# The trial's system attribute that holds its proposal.
PROPOSAL = "gain_sampler:proposal"


class GainSampler(BaseSampler):
    """Proposes what is expected to add most to the front of (accuracy, cost), the cost being known exactly.

    For studies with directions ["maximize", "minimize"], the first value an accuracy in [0, 1], whose parameters are
    categories and integers:

        space = {"depth": CategoricalDistribution([26, 38, 50]), "heads": IntDistribution(1, 8)}
        sampler = GainSampler(space, cost=flops_of, reference=(0.1, 4e9))
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)

    `cost` gives the positive cost of parameters before they are tried. A parameter that an objective did not ask for is
    not among those of a past trial, and is taken to make no difference beside those that it did ask for. `reference`
    is the least accuracy and the highest cost that count; nothing above that cost is proposed. `resolution` is the
    least error that tells from none.

    Past trials are read from the study at every proposal, so that studies can be shared and resumed. A proposal is
    written into its trial, whole, when the objective asks for its first parameter. Guaranteed is:

    - Trials that ask for all parameters of the space never get the same proposal, in threads and processes too, where
      the storage shows whoever reads all that was written before, as memory, SQLite and the other databases do.
    - One trial after another, the same seed, space and results propose the same.
    - `cost` never gets a part of what a running, failed or pruned trial was to try.
    - What has failed twice before an objective asked for all, and never came further, is not proposed again.
    - Enqueued parameters are tried as they are. Where they leave some open, these are proposed to go with them, and
      are random where nothing with them is new and within the reference.
    - Once everything within the reference was tried, parameters are random: they may repeat, and cost more.

    What another sampler changes in a proposal (`PartialFixedSampler`) is known once the trial has its parameters.
    A sampler can be copied and pickled where `cost` can; copies have nothing in common but the study.
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
        """Raises ValueError where there is no parameter, a distribution has no distinct values, the reference or the
        resolution cannot be, or no cost is within the reference.
        """
        _check_reference(reference, resolution)
        if not search_space:
            raise ValueError("the search space is empty: expected at least one parameter")
        self._search_space = dict(search_space)
        values = {name: _values(name, distribution) for name, distribution in self._search_space.items()}
        self._source = ParameterCandidates(values, cost, reference[1])
        objective = Objective(reference, 1, (), resolution)
        if self._source.cheap_sample(random.Random(seed), ATTEMPTS) is None:
            raise ValueError(
                f"the reference has cost {reference[1]:g}, and of {ATTEMPTS:,} random parameters none costs so little: "
                "expected a reference above the cost of what is to be found"
            )
        self._decisions = Decisions(self._source, objective, reduction_factor=2, seed=seed)
        self._independent = RandomSampler(seed=derived_seed("independent", seed))
        # One proposal at a time: the next one knows of it.
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_lock"}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def reseed_rng(self) -> None:
        """Other random parameters from here on. Proposals stay: they follow from the study."""
        self._independent.reseed_rng()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._search_space

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The parameters to try. Nothing, and so random ones, where everything within the reference was tried.

        Raises ValueError on other directions, and on a past accuracy outside [0, 1]. One that is not finite is no
        result, as of a training that diverged.
        """
        if study.directions != [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]:
            raise ValueError('GainSampler needs a study with directions ["maximize", "minimize"]: accuracy and cost')
        with self._lock:
            choices = trial.system_attrs.get(PROPOSAL) or self._propose(study, trial)
        return {name: value for name, value in self._source.parameters(choices).items() if name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def _propose(self, study: Study, trial: FrozenTrial) -> Mapping[str, Value]:
        """The choices of a proposal, which the trial holds from here on. Empty where nothing is new or open."""
        fixed = self._of_space(_enqueued(trial))
        if len(fixed) == len(self._search_space):
            return {}

        def others() -> list[FrozenTrial]:
            return [other for other in study.get_trials(deepcopy=False) if other.number != trial.number]

        so_far = others()
        wholes, closed = self._asked_in_part(so_far), self._failed_in_part(so_far)
        decisions = self._decisions.within(self._source.holding(fixed, wholes, closed))

        def propose(passed: Sequence[Candidate]) -> Candidate | None:
            seen = others()
            views = [view for other in seen if (view := self._view(other)) is not None]
            # Those that choose at this moment have their places before this one, too.
            known = {view.number for view in views}
            before = sum(
                other.number in known or other.state == TrialState.RUNNING
                for other in seen
                if other.number < trial.number
            )
            with_others = [TrialView(trial.number, candidate, (), "running") for candidate in passed]
            fresh = decisions.state([*views, *with_others], before).fresh
            return None if fresh is None else fresh.candidate

        def publish(candidate: Candidate | None) -> None:
            _write(study, trial, {} if candidate is None else candidate.choices)

        def holders(candidate: Candidate) -> list[int]:
            decided = [(other.number, self._decided(other)) for other in others()]
            return [number for number, parameters in decided if self._source.key(parameters) == candidate.key]

        chosen = claim(trial.number, propose, publish, holders)
        return {} if chosen is None else chosen.choices

    def _decided(self, trial: FrozenTrial) -> Parameters:
        """What a trial tries, as far as it is decided: its proposal, unless something else came of that."""
        if trial.state == TrialState.COMPLETE:
            return trial.params
        proposal = self._source.parameters(trial.system_attrs.get(PROPOSAL, {}))
        return {**proposal, **_enqueued(trial), **trial.params}

    def _view(self, trial: FrozenTrial) -> TrialView | None:
        """A trial as the decisions see it. None where it is not known (yet) what it tries."""
        parameters = self._decided(trial)
        decided = len(self._of_space(parameters))
        if decided == 0 or (decided < len(self._search_space) and trial.state != TrialState.COMPLETE):
            return None
        candidate = self._source.candidate(parameters)
        accuracy = trial.values[0] if trial.state == TrialState.COMPLETE else math.nan
        if math.isfinite(accuracy):
            if not -ROUNDING <= accuracy <= 1 + ROUNDING:
                raise ValueError(
                    f"trial {trial.number} has accuracy {accuracy}: expected a share from 0 to 1, as 0.87 for 87 %; "
                    "go on in a study that has no such trial"
                )
            return TrialView(trial.number, candidate, (min(max(accuracy, 0.0), 1.0),), "finished")
        if not trial.state.is_finished():
            return TrialView(trial.number, candidate, (), "running")
        # What is pruned before it has reported anything could not be tried, as for want of memory.
        is_cut_short = trial.state == TrialState.PRUNED and bool(trial.intermediate_values)
        return TrialView(trial.number, candidate, (), "ended" if is_cut_short else "failed")

    def _asked_in_part(self, trials: Sequence[FrozenTrial]) -> list[Parameters]:
        """What objectives have asked for where that was not all: with these values they ask for no more."""
        asked = [self._of_space(trial.params) for trial in trials if trial.state == TrialState.COMPLETE]
        return [parameters for parameters in asked if 0 < len(parameters) < len(self._search_space)]

    def _failed_in_part(self, trials: Sequence[FrozenTrial]) -> list[Parameters]:
        """With what objectives have failed, or were pruned, twice before they asked for all, and never came further.

        Whatever goes with it, they would do the same again. Once may be bad luck, of much that would never be tried.
        """
        ends = (TrialState.FAIL, TrialState.PRUNED)
        asked = [(trial.state in ends, self._of_space(trial.params)) for trial in trials]
        counts = Counter(self._source.key(parameters) for is_failed, parameters in asked if is_failed)
        found = {self._source.key(parameters): parameters for is_failed, parameters in asked if is_failed}
        return [
            parameters
            for key, parameters in found.items()
            if 0 < len(parameters) < len(self._search_space)
            and counts[key] > 1
            and not any(
                len(other) > len(parameters) and self._source.key({name: other[name] for name in parameters}) == key
                for _, other in asked
                if other.keys() >= parameters.keys()
            )
        ]

    def _of_space(self, parameters: Parameters) -> dict[str, Any]:
        return {name: parameters[name] for name in self._search_space if name in parameters}


def _enqueued(trial: FrozenTrial) -> Parameters:
    """The parameters that `Study.enqueue_trial` fixed."""
    return trial.system_attrs.get("fixed_params", {})


def _write(study: Study, trial: FrozenTrial, choices: Mapping[str, Value]) -> None:
    """Shows all workers what a trial is about to try, as Optuna's own samplers do: no public call is left for it."""
    study._storage.set_trial_system_attr(trial._trial_id, PROPOSAL, dict(choices))


def _values(name: str, distribution: BaseDistribution) -> list[Any]:
    if isinstance(distribution, CategoricalDistribution):
        return _distinct(name, distribution.choices)
    if isinstance(distribution, IntDistribution):
        values = range(distribution.low, distribution.high + 1, distribution.step)
        if len(values) <= MOST_VALUES:
            return list(values)
    raise ValueError(f"parameter {name!r} is {distribution}: expected categories, or at most {MOST_VALUES} integers")


def _distinct(name: str, choices: Sequence[Any]) -> list[Any]:
    """The categories. Raises ValueError where Optuna, or a proposal as it is written, takes one for another."""
    for place, choice in enumerate(choices):
        for before in choices[:place]:
            if choice == before or plain_value(choice) == plain_value(before):
                raise ValueError(
                    f"parameter {name!r} has {before!r} and {choice!r}, which are not told apart: "
                    "expected distinct values"
                )
    return list(choices)


def _check_reference(reference: Point, resolution: float) -> None:
    if not isinstance(reference, tuple | list) or len(reference) != 2:
        raise ValueError(f"the reference is {reference!r}: expected a pair of the least accuracy and the highest cost")
    given: list[tuple[str, Any]] = [("reference", value) for value in reference] + [("resolution", resolution)]
    for name, number in given:
        if isinstance(number, bool) or not isinstance(number, Real):
            raise ValueError(f"{number!r} of the {name} is no number")
    if not 0 <= reference[0] < 1:
        raise ValueError(f"the reference has accuracy {reference[0]}: expected a share from 0 to below 1")
    if not 0 < reference[1] < math.inf:
        raise ValueError(f"the reference has cost {reference[1]}: expected a finite number above 0")
    if not 0 < resolution < 1:
        raise ValueError(f"the resolution is {resolution}: expected an error above 0 and below 1")
