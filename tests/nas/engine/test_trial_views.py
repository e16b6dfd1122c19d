"""A trial of the ledger as the decisions see it: whether it failed for what it is, and what accuracies of it count."""

from typing import get_args

import pytest

from nas.engine.policy import _viewed
from nas.records.trial import FAILURES, Outcome, TrialRecord
from nas.strategy.candidates import SpaceCandidates
from tests.support.searches import DIGITS, epoch_result, tiny_space


@pytest.mark.parametrize("outcome", sorted(set(get_args(Outcome)) - {"inherited"}))
def test_what_could_not_be_trained_has_failed(outcome: Outcome) -> None:
    architecture = tiny_space().anchors()[0]
    candidate = SpaceCandidates(tiny_space(), DIGITS).candidate(architecture)
    epochs = tuple(epoch_result(epoch, 0.1 * epoch) for epoch in (1, 2))
    view = _viewed(TrialRecord(7, architecture, 1000, 100, 7, outcome, epochs=epochs), candidate)
    expected = outcome if outcome in ("running", "held", "finished") else "failed" if outcome in FAILURES else "ended"
    assert (view.number, view.status) == (7, expected)
    assert view.accuracies == (() if outcome == "diverged" else pytest.approx((0.1, 0.2)))
