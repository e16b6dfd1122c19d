"""What the ledger writes of trials: as Optuna reads it, and what belongs together in one transaction."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from nas.records.trial import TrialRecord
from tests.support.searches import DIGITS, epoch_result, search_header, tiny_space


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    yield Ledger.create(ledger_url(tmp_path / "ledger.db"), "search", search_header())


def register(ledger: Ledger) -> int:
    architecture = ledger.propose(tiny_space(), "random", search_seed=0)
    cost, number = DIGITS.cost(architecture), ledger.next_number
    ledger.register(TrialRecord(number, architecture, cost.flops, cost.params, number, "running"), tiny_space())
    return number


def reopened(path: Path) -> Ledger:
    return Ledger.open(ledger_url(path / "ledger.db"), "search")


def test_optuna_reads_what_was_written(ledger: Ledger, tmp_path: Path) -> None:
    number = register(ledger)
    ledger.record_place(number, "a")
    ledger.record_place(number, "b")
    for epoch in (1, 2):
        ledger.record_epoch(number, epoch_result(epoch, 0.25 * epoch))
    ledger.end(number, "finished")
    study = optuna.load_study(study_name="search", storage=ledger_url(tmp_path / "ledger.db"))
    (trial,) = study.get_trials()
    record = ledger.record(number)
    assert (trial.number, trial.state, trial.values) == (0, TrialState.COMPLETE, [0.5, float(record.flops)])
    assert trial.params == tiny_space().choices_of(record.architecture) and trial.duration is not None
    assert trial.user_attrs["place"]["value"]["node"] == "b" and len(study.best_trials) == 1
    assert reopened(tmp_path).records == ledger.records


def test_what_belongs_together_is_there_at_once_or_not_at_all(ledger: Ledger, tmp_path: Path) -> None:
    with ledger.at_once():
        number = register(ledger)
        ledger.record_place(number, "a")
        ledger.record_epoch(number, epoch_result(1, 0.5))
        assert reopened(tmp_path).records == ()
    assert reopened(tmp_path).records == ledger.records and len(ledger.record(number).epochs) == 1


def test_what_was_written_before_an_error_stays(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="what follows"), ledger.at_once():
        register(ledger)
        raise RuntimeError("what follows")
    assert reopened(tmp_path).records == ledger.records and len(ledger.records) == 1


def test_a_transaction_that_fails_leaves_nothing_of_it(ledger: Ledger, tmp_path: Path) -> None:
    """The values of a trial cannot be written, since somebody has taken their table away."""
    number = register(ledger)
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("ALTER TABLE trial_values RENAME TO gone")
    ledger.record_epoch(number, epoch_result(1, 0.5))
    with pytest.raises(optuna.exceptions.StorageInternalError):
        ledger.end(number, "finished")
    with sqlite3.connect(tmp_path / "ledger.db") as connection:
        connection.execute("ALTER TABLE gone RENAME TO trial_values")
        (keys,) = connection.execute("SELECT count(*) FROM trial_user_attributes WHERE key = 'end'").fetchall()
    assert keys == (0,) and reopened(tmp_path).record(number).outcome == "running"
