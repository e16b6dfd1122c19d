from typing import Any

import optuna
import pytest

from nas.ledger.optuna_samplers import sampler_named
from nas.records.seeds import derived_seed
from search_spaces.errors import UserError


def proposals(name: str, search_seed: int, count: int = 15) -> list[dict[str, Any]]:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for proposal in range(count):
        study.sampler = sampler_named(name, search_seed=search_seed, proposal=proposal)
        trial = study.ask()
        value = trial.suggest_categorical("x", [1, 2, 3, 4, 5, 6, 7, 8]) + trial.suggest_categorical(
            "y", list(range(9))
        )
        study.tell(trial, [value, -value])
    return [trial.params for trial in study.trials]


@pytest.mark.parametrize("name", ["tpe", "nsga2", "random"])
def test_proposals_follow_from_the_seed(name: str) -> None:
    assert proposals(name, 0) == proposals(name, 0) != proposals(name, 1)


def test_one_proposals_seed_is_not_anothers() -> None:
    assert len({derived_seed("proposal", seed, proposal) for seed in range(20) for proposal in range(20)}) == 400
    assert 0 <= derived_seed("x") < 2**31


def test_an_unknown_sampler_is_named() -> None:
    with pytest.raises(UserError, match="unknown search\\.sampler 'tp'"):
        sampler_named("tp", search_seed=0, proposal=0)
