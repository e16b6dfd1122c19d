"""The sampler in studies of several workers: threads, processes, copies, and workers that died."""

import copy
import multiprocessing
import pickle
import threading
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.trial import TrialState

from nas.strategy import optuna_sampler
from nas.strategy.optuna_sampler import PROPOSAL, GainSampler
from search_spaces.space import Value
from tests.support.sampled_studies import (
    DIRECTIONS,
    REFERENCE,
    SPACE,
    conditional,
    cost,
    distinct,
    objective,
    sampler_of,
    study_of,
    suggested,
)


def database(folder: Path) -> RDBStorage:
    # A busy machine may make one of several processes wait for long.
    return RDBStorage(f"sqlite:///{folder}/study.db", engine_kwargs={"connect_args": {"timeout": 100}})


@pytest.fixture(params=["memory", "sqlite"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> BaseStorage:
    return InMemoryStorage() if request.param == "memory" else database(tmp_path)


# On a busy machine threads and processes wait long for a file of SQLite's.
@pytest.mark.parametrize("kind", ["memory", pytest.param("sqlite", marks=pytest.mark.slow)])
@pytest.mark.parametrize("jobs", [2, 4])
def test_threads_propose_nothing_twice(jobs: int, kind: str, tmp_path: Path) -> None:
    study = study_of(0, InMemoryStorage() if kind == "memory" else database(tmp_path))
    together = threading.Barrier(jobs)

    def at_once(trial: optuna.Trial) -> tuple[float, float]:
        together.wait(60)
        trial.suggest_categorical("kind", ["a", "b", "c"])
        together.wait(60)
        return objective(trial)

    study.optimize(at_once, n_trials=16, n_jobs=jobs)
    assert distinct(study) == 16 and {trial.state for trial in study.trials} == {TrialState.COMPLETE}


def test_threads_with_parameters_that_are_asked_for_only_sometimes() -> None:
    study = study_of(1)
    study.optimize(conditional, n_trials=16, n_jobs=4)
    proposals = [trial.system_attrs[PROPOSAL] for trial in study.trials]
    assert all(proposal.keys() == SPACE.keys() for proposal in proposals)
    assert {"heads" in trial.params for trial in study.trials} == {True, False}


@pytest.mark.slow
def test_four_processes_propose_nothing_twice(tmp_path: Path) -> None:
    """Each gets a copy of the study, its sampler in it, as joblib's workers would."""
    study = study_of(0, database(tmp_path))
    with ProcessPoolExecutor(4, multiprocessing.get_context("spawn")) as pool:
        for work in [pool.submit(study.optimize, objective, 4) for _ in range(4)]:
            work.result(300)
    assert distinct(study) == len(study.trials) == 16
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}


def test_a_proposal_is_seen_before_its_parameters_are_and_whole(storage: BaseStorage) -> None:
    seen: list[Mapping[str, Any]] = []

    def strict_cost(parameters: Mapping[str, Any]) -> float:
        seen.append(dict(parameters))
        return cost(parameters)

    study = study_of(2, storage)
    study.optimize(objective, n_trials=9)
    first, second = study.ask(), study.ask()
    first.suggest_int("depth", 2, 10, step=2)
    study.sampler = GainSampler(SPACE, cost=strict_cost, reference=REFERENCE, seed=2)
    chosen = suggested(second)
    assert all(parameters.keys() == SPACE.keys() for parameters in seen)
    proposed = study.trials[first.number].system_attrs[PROPOSAL]
    assert suggested(first) != chosen and proposed["depth"] == first.params["depth"]
    assert {**proposed, "wide": first.params["wide"]} == first.params
    assert distinct(study) == 11


def test_those_that_choose_the_same_at_the_same_moment_part(
    storage: BaseStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process chooses what this one does, and writes it after this one has read."""
    study = study_of(3, storage)
    study.optimize(objective, n_trials=9)
    rival, trial = study.ask(), study.ask()
    writes: list[Mapping[str, Value]] = []
    write = optuna_sampler._write

    def write_with_rival(study: optuna.Study, trial: optuna.trial.FrozenTrial, choices: Mapping[str, Value]) -> None:
        write(study, trial, choices)
        if not writes:
            storage.set_trial_system_attr(rival._trial_id, PROPOSAL, dict(choices))
        writes.append(choices)

    monkeypatch.setattr(optuna_sampler, "_write", write_with_rival)
    suggested(trial)
    assert len(writes) == 2 and writes[0] != writes[1]
    assert suggested(rival) != trial.params and distinct(study) == 11


def test_trials_that_are_asked_for_at_once_cover_the_range_as_those_one_by_one_do() -> None:
    alone, together = study_of(4), study_of(4)
    alone.optimize(objective, n_trials=2)
    asked = [together.ask() for _ in range(4)]
    for trial in reversed(asked):
        suggested(trial)
    ends = [cost(trial.params) for trial in alone.trials]
    assert [cost(trial.params) for trial in together.trials[:2]] == ends and distinct(together) == 4


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda sampler: pickle.loads(pickle.dumps(sampler))])
def test_copies_propose_the_same_before_and_after_use(copied: Any) -> None:
    study, other = study_of(5), study_of(5)
    other.sampler = copied(study.sampler)
    for _ in range(2):
        study.optimize(objective, n_trials=6)
        other.optimize(objective, n_trials=6)
        other.sampler = copied(other.sampler)
        assert [trial.params for trial in other.trials] == [trial.params for trial in study.trials]
    other.optimize(objective, n_trials=4, n_jobs=2)
    assert distinct(other) == 16


def test_a_new_sampler_goes_on_where_the_last_one_ended(storage: BaseStorage) -> None:
    whole = study_of(6)
    whole.optimize(objective, n_trials=14)
    for trials in (3, 7, 4):
        study_of(6, storage).optimize(objective, n_trials=trials)
    study = study_of(6, storage)
    assert [trial.params for trial in study.trials] == [trial.params for trial in whole.trials]


def test_a_worker_that_died_leaves_its_proposal(storage: BaseStorage) -> None:
    """Still running, and failed by whoever notices: with some of its parameters, it is not tried again."""
    study = study_of(7, storage)
    study.optimize(objective, n_trials=9)
    for number in (9, 10):
        study.ask().suggest_int("depth", 2, 10, step=2)
        if number == 10:
            study.tell(number, state=TrialState.FAIL)
    study_of(7, storage).optimize(objective, n_trials=8)
    proposals = [tuple(sorted(trial.system_attrs[PROPOSAL].items())) for trial in study.trials]
    assert len(set(proposals)) == 19


def test_a_trial_that_is_taken_up_again_keeps_its_proposal(storage: BaseStorage) -> None:
    study = study_of(8, storage)
    study.optimize(objective, n_trials=9)
    begun = study.ask()
    begun.suggest_categorical("kind", ["a", "b", "c"])
    proposal = dict(study.trials[9].system_attrs[PROPOSAL])
    other = optuna.load_study(study_name="study", storage=storage, sampler=sampler_of(99))
    assert len(other.trials) == 10
    suggested(optuna.Trial(other, begun._trial_id))
    assert sampler_of(8)._source.choices(study.trials[9].params) == proposal


def test_a_retried_trial_tries_the_same_again(tmp_path: Path) -> None:
    study = study_of(9, database(tmp_path))
    study.ask().suggest_int("depth", 2, 10, step=2)
    study.tell(0, state=TrialState.FAIL)
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        retry = optuna.storages.RetryHeartbeatStaleTrialCallback()
    retry(study, study.trials[0])
    study.optimize(objective, n_trials=2)
    assert study.trials[1].system_attrs[PROPOSAL] == study.trials[0].system_attrs[PROPOSAL]
    assert study.trials[1].params["depth"] == study.trials[0].params["depth"]
    assert study.trials[2].params != study.trials[1].params


def test_an_exhausted_space_with_several_workers() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {"n": optuna.distributions.IntDistribution(1, 3)}
    sampler = GainSampler(space, cost=lambda p: p["n"], reference=(0.0, 10.0))
    study = optuna.create_study(directions=DIRECTIONS, sampler=sampler)
    study.optimize(lambda trial: (0.1 * trial.suggest_int("n", 1, 3), 1.0), n_trials=12, n_jobs=4)
    assert {trial.params["n"] for trial in study.trials} == {1, 2, 3}
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
