"""Optuna's samplers, as the search uses them: asked in memory, beside the ledger."""

import copy
import warnings
from collections.abc import Sequence
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.records.seeds import derived_seed
from nas.settings.search_settings import SAMPLERS
from search_spaces.architecture import Architecture
from search_spaces.errors import unknown_name
from search_spaces.space import Space, Value

TPE_STARTUP_TRIALS = 10


def sampler_named(name: str, *, search_seed: int, proposal: int) -> optuna.samplers.BaseSampler:
    """The sampler for one proposal, seeded by (search_seed, proposal), so that a resumed search proposes the same."""
    seed = derived_seed("proposal", search_seed, proposal)
    if name == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    if name == "nsga2":
        return optuna.samplers.NSGAIISampler(seed=seed)
    if name == "tpe":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            # Samples the choices together; as it comes it takes each on its own. Running trials count as bad news.
            return optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=True, constant_liar=True, n_startup_trials=TPE_STARTUP_TRIALS
            )
    raise unknown_name("search.sampler", name, SAMPLERS)


class SampledStudy:
    """A copy in memory of a ledger's study, which samplers look at and are asked in; made when the first one is asked.

    What was asked and is not registered yet is in no database, so a search that is cut off loses nothing by it.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._ledger_study = study
        self._study: optuna.Study | None = None
        self._proposed: Trial | None = None

    def propose(self, space: Space, name: str, *, search_seed: int, proposal: int) -> Architecture:
        """The architecture that a sampler would train next as trial `proposal`. It has to be registered."""
        assert self._proposed is None
        if self._study is None:
            self._study = optuna.create_study(directions=self._ledger_study.directions)
            self._study.add_trials(map(_without_reports, self._ledger_study.get_trials(deepcopy=False)))
        self._study.sampler = sampler_named(name, search_seed=search_seed, proposal=proposal)
        trial = self._proposed = self._study.ask()
        return space.decide(lambda choice, values: _suggest(trial, choice, values))

    def notes(self) -> dict[str, Any]:
        """What a sampler has noted down with the trial that it just proposed, as the generation that it is of."""
        if self._study is None or self._proposed is None:
            return {}
        return self._study.get_trials(deepcopy=False)[self._proposed.number].system_attrs

    def registered(self, trial: FrozenTrial) -> None:
        """Takes in a trial that the ledger has registered: the one that was proposed, or another."""
        if self._proposed is not None:
            assert self._study is not None
            if trial.state.is_finished():
                self._study.tell(self._proposed, state=trial.state)
            self._proposed = None
        elif self._study is not None:
            self._study.add_trial(trial)

    def tell(self, number: int, values: list[float] | None, state: TrialState) -> None:
        """Takes in how a trial ended."""
        if self._study is not None:
            self._study.tell(number, values=values, state=state)


def _without_reports(trial: FrozenTrial) -> FrozenTrial:
    """TPE ranks stopped trials by their intermediate values, and fails where a study has several objectives."""
    copied = copy.copy(trial)
    copied.intermediate_values = {}
    return copied


def _suggest(trial: Trial, name: str, values: Sequence[Value]) -> Value:
    value = trial.suggest_categorical(name, list(values))
    assert value is not None
    return value
