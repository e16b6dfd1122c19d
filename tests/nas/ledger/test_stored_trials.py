"""The trials of a database, as Optuna's own storage reads them."""

import math
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.ledger.stored_trials import read_trials
from nas.records.trial import Outcome, TrialRecord
from tests.support.searches import DIGITS, epoch_result, search_header, tiny_space


def contents(trial: FrozenTrial) -> dict[str, object]:
    """What a trial holds, as texts, since a NaN is not equal to itself; the order of attributes is nobody's."""
    return {
        name: sorted(map(repr, value.items())) if isinstance(value, dict) else repr(value)
        for name, value in vars(trial).items()
    }


def assert_read_as_by_optuna(url: str, name: str, count: int) -> None:
    study = optuna.load_study(study_name=name, storage=url)
    found = read_trials(study)
    assert len(found) == count
    assert [contents(trial) for trial in found] == [contents(trial) for trial in study.get_trials()]


def test_trials_are_read_as_by_optuna_and_those_of_another_study_left_out(tmp_path: Path) -> None:
    url = ledger_url(tmp_path / "ledger.db")
    ledger = Ledger.create(url, "search", search_header())
    outcomes: tuple[Outcome, ...] = ("finished", "stopped", "failed", "running")
    for number, outcome in enumerate(outcomes):
        architecture = ledger.propose(tiny_space(), "nsga2", search_seed=0)
        cost = DIGITS.cost(architecture)
        ledger.register(TrialRecord(number, architecture, cost.flops, cost.params, number, "running"), tiny_space())
        for epoch in range(1, 2 if outcome != "failed" else 1):
            ledger.record_epoch(number, epoch_result(epoch, 0.5))
        if outcome != "running":
            ledger.end(number, outcome)
    others = [
        create_trial(
            params={"depth": 3, "rate": 0.01, "stem": None},
            distributions={
                "depth": IntDistribution(1, 9, step=2),
                "rate": FloatDistribution(1e-4, 1.0, log=True),
                "stem": CategoricalDistribution([None, "attention", 3.5, True]),
            },
            values=[-math.inf, 2.0],
            intermediate_values={5: math.inf, 1: -math.inf, 3: math.nan, 2: 0.25},
            user_attrs={"place": {"node": "ä"}},
            system_attrs={"constraints": [1.0]},
        ),
        create_trial(state=TrialState.FAIL),
        create_trial(state=TrialState.WAITING),
    ]
    optuna.create_study(study_name="other", storage=url, directions=["maximize", "minimize"]).add_trials(others)
    assert_read_as_by_optuna(url, "search", len(outcomes))
    assert_read_as_by_optuna(url, "other", len(others))
