"""What the engine leaves in its ledger: outcomes, values and the header."""

from collections import Counter
from pathlib import Path

import optuna
import pytest

from nas.ledger.database import ledger_url
from nas.ledger.ledger import Ledger
from search_spaces.errors import UserError
from tests.support.engines import new_engine, reopened, run
from tests.support.present import present
from tests.support.searches import epoch_result, search_header


def test_what_a_diverged_trial_showed_changes_nothing(tmp_path: Path) -> None:
    """Its accuracies before the loss went to infinity are no numbers to reckon with."""
    proposals = []
    for name, accuracy in (("high", 0.99), ("low", 0.01)):
        engine = new_engine(tmp_path, name=name, trials=10, sampler="ehvi")
        run(engine, trials=5)
        assignment = present(engine.next_assignment())
        for epoch in (1, 2):
            engine.ledger.record_epoch(assignment.number, epoch_result(epoch, accuracy))
        engine.end(assignment.number, "diverged", "the loss is not finite in epoch 3")
        assert present(engine.next_assignment()).architecture != assignment.architecture
        run(engine)
        proposals.append([(r.architecture.id, r.outcome) for r in engine.records])
    assert proposals[0] == proposals[1]
    assert Counter(outcome for _, outcome in proposals[0])["diverged"] == 1


def test_a_trial_that_ends_badly_is_not_trained_again(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=3)
    assignment = present(engine.next_assignment())
    engine.end(assignment.number, "diverged", "the loss is not finite in epoch 1")
    run(engine)
    record = engine.records[assignment.number]
    assert (record.outcome, record.epochs, record.reason) == ("diverged", (), "the loss is not finite in epoch 1")
    assert sum(r.architecture == assignment.architecture for r in engine.records if r.trained) == 1
    assert reopened(engine, tmp_path).records == engine.records


def test_the_study_never_takes_an_early_value_for_a_final_one(tmp_path: Path) -> None:
    engine = new_engine(tmp_path, trials=12)
    run(engine)
    assert len({record.outcome for record in engine.records}) > 1
    study = optuna.load_study(study_name="search", storage=ledger_url(tmp_path / "search.db"))
    for trial, record in zip(study.trials, engine.records, strict=True):
        expected = {"finished": optuna.trial.TrialState.COMPLETE, "stopped": optuna.trial.TrialState.PRUNED}
        assert trial.state == expected.get(record.outcome, optuna.trial.TrialState.FAIL)
        assert trial.values == (list(record.point) if record.outcome == "finished" else None)


def test_results_that_come_twice_are_written_once(tmp_path: Path) -> None:
    engine = new_engine(tmp_path)
    number = present(engine.next_assignment()).number
    assert engine.report_epoch(number, epoch_result(1, 0.5))
    assert engine.report_epoch(number, epoch_result(1, 0.5))
    assert len(engine.records[number].epochs) == 1


def test_a_name_is_taken_once_and_a_damaged_ledger_is_named(tmp_path: Path) -> None:
    new_engine(tmp_path)
    with pytest.raises(UserError, match="exists already: resume it with --resume search"):
        new_engine(tmp_path)
    with pytest.raises(UserError, match="cannot be read"):
        Ledger.open(ledger_url(tmp_path / "search.db"), "other")
    (tmp_path / "damaged.db").write_bytes((tmp_path / "search.db").read_bytes()[:5000])
    with pytest.raises(UserError, match="the ledger of search 'search' cannot be read"):
        Ledger.open(ledger_url(tmp_path / "damaged.db"), "search")


def test_the_header_is_kept_as_it_was(tmp_path: Path) -> None:
    engine = new_engine(tmp_path)
    again = Ledger.open(ledger_url(tmp_path / "search.db"), "search")
    assert again.header == engine.ledger.header == search_header(code_revision="with this")
    assert again.search_id == engine.ledger.search_id
