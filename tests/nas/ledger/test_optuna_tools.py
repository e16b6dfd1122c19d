"""The ledger as Optuna's own tools open it, as optuna-dashboard."""

import dataclasses
import sqlite3
from pathlib import Path

import optuna
import pytest

from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.ledger.optuna_samplers import TPE_STARTUP_TRIALS
from nas.records.trial import TrialRecord
from search_spaces.errors import UserError
from tests.support.searches import DIGITS, epoch_result, search_header, search_settings, shipped_space


@pytest.mark.parametrize("cost", ["flops", "latency_ms"])
def test_the_objectives_are_named(tmp_path: Path, cost: str) -> None:
    url = ledger_url(tmp_path / "search.db")
    Ledger.create(url, "search", search_header(search=search_settings(objectives=("val_accuracy", cost))))
    assert optuna.load_study(storage=url, study_name="search").metric_names == ["val_accuracy", cost]
    assert Ledger.open(url, "search").header.search.objectives == ("val_accuracy", cost)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A ledger with finished and stopped trials, more than TPE takes at random."""
    space = shipped_space()
    url = ledger_url(tmp_path / "search.db")
    ledger = Ledger.create(url, "search", search_header(space=space))
    for number in range(TPE_STARTUP_TRIALS + 2):
        architecture = ledger.propose(space, "random", search_seed=number)
        cost = DIGITS.cost(architecture)
        ledger.register(TrialRecord(number, architecture, cost.flops, cost.params, number, "running"), space)
        ledger.record_epoch(number, epoch_result(1, 0.25))
        if number % 2:
            ledger.end(number, "stopped")
        else:
            ledger.record_epoch(number, epoch_result(2, 0.5))
            ledger.end(number, "finished")
    return url


def test_accuracies_are_intermediate_values(url: str, tmp_path: Path) -> None:
    trials = optuna.load_study(storage=url, study_name="search").trials
    assert [trial.intermediate_values for trial in trials[:2]] == [{1: 0.25, 2: 0.5}, {1: 0.25}]
    finished = dataclasses.replace(Ledger.open(url, "search").record(0), imported_from="search/0")
    taken_over = ledger_url(tmp_path / "fork.db")
    space = shipped_space()
    Ledger.create(taken_over, "fork", search_header(space=space), lambda made: made.take_over([finished], space))
    (trial,) = optuna.load_study(storage=taken_over, study_name="fork").trials
    assert trial.intermediate_values == {1: 0.25, 2: 0.5}


def test_a_sampler_of_optuna_goes_on_beside_intermediate_values(url: str) -> None:
    """Optuna's TPE fails where a stopped trial of several objectives has some."""
    ledger = Ledger.open(url, "search")
    assert ledger.propose(shipped_space(), "tpe", search_seed=0)


@pytest.mark.parametrize(
    "change", ["intermediate_value = 0.9 WHERE step = 2", "step = 3 WHERE step = 2", "intermediate_value_type = 'NAN'"]
)
def test_one_that_was_changed_is_noticed(url: str, tmp_path: Path, change: str) -> None:
    with sqlite3.connect(tmp_path / "search.db") as connection:
        connection.execute(f"UPDATE trial_intermediate_values SET {change}")
    with pytest.raises(UserError, match="cannot be read"):
        Ledger.open(url, "search")


def test_a_ledger_without_them_is_as_good(url: str, tmp_path: Path) -> None:
    """As earlier code wrote it."""
    records = Ledger.open(url, "search").records
    with sqlite3.connect(tmp_path / "search.db") as connection:
        connection.execute("DELETE FROM trial_intermediate_values")
    assert Ledger.open(url, "search").records == records
