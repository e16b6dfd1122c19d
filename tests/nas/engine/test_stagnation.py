"""Whether a search has stopped bringing anything."""

from typing import Any

import pytest

from nas.engine.stagnation import stagnated
from nas.records.trial import TrialRecord
from tests.support.searches import trial_record

REFERENCE = (0.1, 1e7)
GOOD = trial_record(0, (0.9,), flops=1_000_000)


def worse(number: int, **changes: Any) -> TrialRecord:
    return trial_record(number, (0.5,), **({"flops": 2_000_000} | changes))


def test_without_a_limit_nothing_stagnates() -> None:
    assert not stagnated([GOOD, *map(worse, range(1, 50))], REFERENCE, None)


@pytest.mark.parametrize("count", [1, 3])
def test_so_many_in_a_row_that_brought_nothing(count: int) -> None:
    records = [GOOD, *map(worse, range(1, count + 1))]
    assert stagnated(records, REFERENCE, count)
    assert not stagnated(records[:-1], REFERENCE, count)
    assert stagnated(records[::-1], REFERENCE, count)


def test_as_long_as_no_more_have_ended_it_goes_on() -> None:
    assert not stagnated([], REFERENCE, 1)
    assert not stagnated([GOOD], REFERENCE, 1)
    assert not stagnated([GOOD, worse(1), worse(2, outcome="running")], REFERENCE, 2)


@pytest.mark.parametrize(("gain", "expected"), [(0.0005, True), (0.002, False)])
def test_a_gain_below_a_thousandth_is_none(gain: float, expected: bool) -> None:
    better = trial_record(1, (0.9 + gain * 0.8,), flops=1_000_000)
    assert stagnated([GOOD, better], REFERENCE, 1) == expected


def test_those_held_or_stopped_at_a_rung_have_brought_nothing() -> None:
    rest = [worse(1, outcome="stopped"), worse(2, outcome="held"), trial_record(3, (), outcome="diverged")]
    assert stagnated([GOOD, *rest], REFERENCE, 3)


def test_what_was_never_trained_does_not_count() -> None:
    rest = [trial_record(1, (), outcome="rejected"), trial_record(2, (), outcome="duplicate", duplicate_of=0)]
    assert not stagnated([GOOD, *rest], REFERENCE, 2)
    assert not stagnated([GOOD, worse(1), *rest], REFERENCE, 2)


def test_a_search_without_results_has_not_stagnated() -> None:
    records = [worse(number, outcome="stopped") for number in range(9)]
    assert not stagnated(records, REFERENCE, 3)
    assert not stagnated([trial_record(n, (0.05,), flops=1) for n in range(9)], REFERENCE, 3)


def test_repeated_trainings_are_no_architectures_that_brought_nothing() -> None:
    repeats = [trial_record(n, (0.9,), flops=1_000_000, architecture=GOOD.architecture, replicate=n) for n in (1, 2, 3)]
    assert not stagnated([GOOD, *repeats], REFERENCE, 3)


def test_confirming_the_front_does_not_wake_a_search_up() -> None:
    """A better second training raises the mean of a member, which is no architecture that brought something."""
    records = [GOOD, worse(1), worse(2)]
    assert stagnated(records, REFERENCE, 2)
    again = trial_record(3, (0.96,), flops=1_000_000, architecture=GOOD.architecture, replicate=1)
    assert stagnated([*records, again], REFERENCE, 2)
