"""The Optuna sampler, in real studies."""

import itertools
import math
import random
from collections.abc import Mapping
from typing import Any

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from nas.records.pareto import hypervolume
from nas.strategy.optuna_sampler import GainSampler

SPACE = {
    "kind": CategoricalDistribution(["a", "b", "c"]),
    "wide": CategoricalDistribution([True, False, None]),
    "depth": IntDistribution(2, 10, step=2),
    "heads": IntDistribution(1, 4),
}
REFERENCE = (0.3, 60.0)


def cost(parameters: Mapping[str, Any]) -> float:
    return parameters["depth"] * (1 + parameters.get("heads", 1)) * (2 if parameters["wide"] else 1)


def accuracy(parameters: Mapping[str, Any]) -> float:
    kind = {"a": 0.0, "b": 0.25, "c": 0.1}[parameters["kind"]]
    error = 0.6 * math.exp(-0.15 * parameters["depth"] - kind - 0.2 * parameters.get("heads", 1))
    return 1 - error * (0.8 if parameters["wide"] is None else 1.0)


def everything() -> list[dict[str, Any]]:
    values = ["abc", [True, False, None], range(2, 11, 2), range(1, 5)]
    return [dict(zip(SPACE, row, strict=True)) for row in itertools.product(*values)]


def objective(trial: optuna.Trial) -> tuple[float, float]:
    parameters = {
        "kind": trial.suggest_categorical("kind", ["a", "b", "c"]),
        "wide": trial.suggest_categorical("wide", [True, False, None]),
        "depth": trial.suggest_int("depth", 2, 10, step=2),
        "heads": trial.suggest_int("heads", 1, 4),
    }
    return accuracy(parameters), cost(parameters)


def study_of(seed: int, **options: Any) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = GainSampler(SPACE, cost=cost, reference=REFERENCE, seed=seed, **options)
    return optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)


def test_it_finds_the_front_of_a_study_and_repeats_nothing() -> None:
    """Against all 180 by brute force; random parameters have 88 % of that front after as many trials."""
    truth = hypervolume([(accuracy(p), cost(p)) for p in everything()], REFERENCE)
    study = study_of(0)
    study.optimize(objective, n_trials=25)
    found = [tuple(trial.values) for trial in study.trials]
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 25
    assert all(value[1] <= REFERENCE[1] for value in found)
    assert hypervolume(found, REFERENCE) >= 0.97 * truth


def test_the_same_seed_proposes_the_same_whatever_the_unit_of_cost() -> None:
    def parameters(seed: int, unit: float) -> list[dict[str, Any]]:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = GainSampler(
            SPACE, cost=lambda p: unit * cost(p), reference=(REFERENCE[0], unit * REFERENCE[1]), seed=seed
        )
        study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
        study.optimize(lambda trial: (objective(trial)[0], unit * objective(trial)[1]), n_trials=12)
        return [trial.params for trial in study.trials]

    assert parameters(1, 1.0) == parameters(1, 2.0**30) != parameters(2, 1.0)


def test_running_trials_are_not_proposed_again() -> None:
    study = study_of(3)
    study.optimize(objective, n_trials=10)
    asked = [study.ask() for _ in range(8)]
    for trial in asked:
        objective(trial)
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 18


def test_a_parameter_that_is_asked_for_only_sometimes() -> None:
    def conditional(trial: optuna.Trial) -> tuple[float, float]:
        parameters: dict[str, Any] = {
            "kind": trial.suggest_categorical("kind", ["a", "b", "c"]),
            "wide": trial.suggest_categorical("wide", [True, False, None]),
            "depth": trial.suggest_int("depth", 2, 10, step=2),
        }
        if parameters["kind"] == "b":
            parameters["heads"] = trial.suggest_int("heads", 1, 4)
        return accuracy(parameters), cost(parameters)

    study = study_of(4)
    study.optimize(conditional, n_trials=20)
    assert {"heads" in trial.params for trial in study.trials} == {True, False}


def test_an_exhausted_space_goes_on_with_random_parameters() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    space = {"n": IntDistribution(1, 3)}
    sampler = GainSampler(space, cost=lambda p: p["n"], reference=(0.0, 10.0))
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    study.optimize(lambda trial: (0.1 * trial.suggest_int("n", 1, 3), trial.params["n"]), n_trials=6)
    assert [trial.params["n"] for trial in study.trials[:3]] != [1, 1, 1]
    assert {trial.params["n"] for trial in study.trials[:3]} == {1, 2, 3}


def test_failed_and_diverged_trials_are_left_alone() -> None:
    study = study_of(5)
    rng = random.Random(5)

    def shaky(trial: optuna.Trial) -> tuple[float, float]:
        values = objective(trial)
        if rng.random() < 0.4:
            raise RuntimeError("lost")
        return values

    study.optimize(shaky, n_trials=16, catch=(RuntimeError,))
    assert len({tuple(trial.params.items()) for trial in study.trials}) == 16


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="'lr' is FloatDistribution"):
        GainSampler({"lr": FloatDistribution(0, 1)}, cost=cost, reference=REFERENCE)
    with pytest.raises(ValueError, match="at most 256 integers"):
        GainSampler({"n": IntDistribution(0, 1000)}, cost=cost, reference=REFERENCE)
    with pytest.raises(ValueError, match="expected a number above 0"):
        GainSampler(SPACE, cost=lambda p: 0.0, reference=REFERENCE)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=GainSampler(SPACE, cost=cost, reference=REFERENCE))
    with pytest.raises(ValueError, match="maximize"):
        objective(study.ask())
    wrong = study_of(6)
    wrong.add_trial(
        optuna.trial.create_trial(params=everything()[0], distributions=SPACE, values=[93.0, 1.0])
    )  # per cent
    with pytest.raises(ValueError, match=r"accuracy 93\.0: expected a share"):
        objective(wrong.ask())
