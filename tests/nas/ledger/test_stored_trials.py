"""The trials of a database, as Optuna's own storage reads them."""

import dataclasses
import math
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from nas.ledger.database import ledger_url, stored_study
from nas.ledger.ledger import Ledger
from nas.ledger.sqlite_files import read_sqlite
from nas.ledger.stored_trials import StoredTrial
from nas.records.trial import Outcome, TrialRecord
from tests.support.searches import DIGITS, epoch_result, search_header, tiny_space


def contents(trial: StoredTrial) -> dict[str, object]:
    """What a trial holds, as texts, since a NaN is not equal to itself; the order of attributes is nobody's."""
    return {
        field.name: sorted(map(repr, value.items())) if isinstance(value, dict) else repr(value)
        for field in dataclasses.fields(trial)
        if (value := getattr(trial, field.name)) is not None
    }


def of_optuna(trial: FrozenTrial) -> StoredTrial:
    """What Optuna's own storage has read of a trial."""
    return StoredTrial(
        key=trial._trial_id,
        number=trial.number,
        state=trial.state.name,
        choices=trial.params,
        offers={
            name: list(offer.choices) if isinstance(offer, CategoricalDistribution) else None
            for name, offer in trial.distributions.items()
        },
        values=trial.values,
        attributes=trial.user_attrs,
        notes=trial.system_attrs,
        reports=trial.intermediate_values,
    )


def assert_read_as_by_optuna(file: Path, name: str, count: int) -> None:
    study = optuna.load_study(study_name=name, storage=ledger_url(file))
    expected = [contents(of_optuna(trial)) for trial in study.get_trials()]
    assert len(expected) == count
    for found in (stored_study(study), read_sqlite(file, name)):
        assert [contents(trial) for trial in found.trials] == expected
        assert found.attributes == study.user_attrs
        assert found.directions == [direction.name for direction in study.directions]


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
            params={"depth": 3.0, "rate": 0.01, "stem": None},
            distributions={
                "depth": FloatDistribution(1, 9, step=2),
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
    assert_read_as_by_optuna(tmp_path / "ledger.db", "search", len(outcomes))
    assert_read_as_by_optuna(tmp_path / "ledger.db", "other", len(others))
