"""Small Optuna studies of accuracy against cost, for the search's sampler."""

import itertools
import math
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.study import StudyDirection

from nas.strategy.optuna_sampler import GainSampler

SPACE = {
    "kind": CategoricalDistribution(["a", "b", "c"]),
    "wide": CategoricalDistribution([True, False, None]),
    "depth": IntDistribution(2, 10, step=2),
    "heads": IntDistribution(1, 4),
}
REFERENCE = (0.3, 60.0)
DIRECTIONS = [StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE]


def cost(parameters: Mapping[str, Any]) -> float:
    """A parameter that is not there is a KeyError, but for `heads`, which an objective may leave out."""
    return parameters["depth"] * (1 + parameters.get("heads", 1)) * (2 if parameters["wide"] else 1)


def accuracy(parameters: Mapping[str, Any]) -> float:
    kind = {"a": 0.0, "b": 0.25, "c": 0.1}[parameters["kind"]]
    error = 0.6 * math.exp(-0.15 * parameters["depth"] - kind - 0.2 * parameters.get("heads", 1))
    return 1 - error * (0.8 if parameters["wide"] is None else 1.0)


def everything() -> list[dict[str, Any]]:
    values = ["abc", [True, False, None], range(2, 11, 2), range(1, 5)]
    return [dict(zip(SPACE, row, strict=True)) for row in itertools.product(*values)]


def suggested(trial: optuna.Trial) -> dict[str, Any]:
    """All parameters, as an objective asks for them."""
    return {
        "kind": trial.suggest_categorical("kind", ["a", "b", "c"]),
        "wide": trial.suggest_categorical("wide", [True, False, None]),
        "depth": trial.suggest_int("depth", 2, 10, step=2),
        "heads": trial.suggest_int("heads", 1, 4),
    }


def objective(trial: optuna.Trial) -> tuple[float, float]:
    parameters = suggested(trial)
    return accuracy(parameters), cost(parameters)


def conditional(trial: optuna.Trial) -> tuple[float, float]:
    """An objective that asks for `heads` only where `kind` is b."""
    parameters: dict[str, Any] = {
        "kind": trial.suggest_categorical("kind", ["a", "b", "c"]),
        "wide": trial.suggest_categorical("wide", [True, False, None]),
        "depth": trial.suggest_int("depth", 2, 10, step=2),
    }
    if parameters["kind"] == "b":
        parameters["heads"] = trial.suggest_int("heads", 1, 4)
    return accuracy(parameters), cost(parameters)


def sampler_of(seed: int) -> GainSampler:
    return GainSampler(SPACE, cost=cost, reference=REFERENCE, seed=seed)


def study_of(seed: int, storage: optuna.storages.BaseStorage | None = None) -> optuna.Study:
    """A study of its own, or the one that the storage has."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = sampler_of(seed)
    return optuna.create_study(
        study_name="study", storage=storage, directions=DIRECTIONS, sampler=sampler, load_if_exists=True
    )


def distinct(study: optuna.Study) -> int:
    """How many trials of the study differ in their parameters."""
    return len({tuple(sorted(trial.params.items())) for trial in study.trials})
