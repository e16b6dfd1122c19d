import random
import statistics
from collections.abc import Callable

import pytest

from nas.records.trial import TrialRecord
from nas.reporting.importance import ALWAYS, LEAST_TRIALS, importances, importances_at
from search_spaces.architecture import Architecture, Attention
from tests.support.searches import shipped_space, trial_record

SPACE = shipped_space(stem=["convolution"], width=[0.125, 0.25, 0.5], depth=[14, 26])


def searched(accuracy: Callable[[Architecture], float], count: int = 300) -> list[TrialRecord]:
    rng = random.Random(0)
    architectures = [SPACE.sample(rng) for _ in range(count)]
    return [trial_record(index, (accuracy(each),), architecture=each) for index, each in enumerate(architectures)]


def has_attention(architecture: Architecture, stage: int) -> bool:
    return isinstance(architecture.stages[stage - 1][0], Attention)


def test_shares_of_independent_effects_are_their_variances() -> None:
    def width_effect(architecture: Architecture) -> float:
        return 0.1 * (architecture.base_channels == 32)

    def operator_effect(architecture: Architecture) -> float:
        return 0.12 * has_attention(architecture, 2)

    records = searched(lambda architecture: 0.5 + width_effect(architecture) + operator_effect(architecture))
    effects = [(width_effect(record.architecture), operator_effect(record.architecture)) for record in records]
    width, operator = (statistics.pvariance(values) for values in zip(*effects, strict=True))
    found = {share.choice: share.importance for share in importances_at(records, 1).choices if share.stage is None}
    assert set(found) == set(ALWAYS) - {"stem"}  # what never varies explains nothing
    assert sum(found.values()) == pytest.approx(1)
    assert found["width"] == pytest.approx(width / (width + operator), abs=0.08)
    assert found["stage2.operator"] == pytest.approx(operator / (width + operator), abs=0.08)
    assert all(found[choice] < 0.02 for choice in found if choice not in ("width", "stage2.operator"))


def test_choices_of_attention_are_asked_where_there_is_attention() -> None:
    def accuracy(architecture: Architecture) -> float:
        operator = architecture.stages[2][0]
        return 0.5 + (0.02 * operator.spatial_extent if isinstance(operator, Attention) else 0.0)

    records = searched(accuracy)
    shares = {share.choice: share for share in importances_at(records, 1).choices}
    extent = shares["stage3.spatial_extent"]
    assert extent.stage == 3 and extent.trials == sum(has_attention(record.architecture, 3) for record in records)
    assert extent.importance > 0.95 and shares["stage3.heads"].importance < 0.02


def test_accuracies_are_compared_after_as_many_epochs() -> None:
    records = [trial_record(index, (index / 50, 0.9), outcome="finished") for index in range(40)]
    records += [trial_record(40 + index, (index / 50,), outcome="stopped") for index in range(30)]
    records += [trial_record(70, (), outcome="failed"), trial_record(71, (0.1,), outcome="running")]
    assert [(measured.epoch, measured.trials) for measured in importances(records, 2)] == [(1, 71), (2, 40)]
    assert importances(records, 2)[1].choices == ()  # all are as accurate
    assert [measured.epoch for measured in importances(records[:40], 2)] == [2]
    assert [measured.trials for measured in importances([], 2)] == [0]


def test_few_trials_tell_nothing() -> None:
    records = searched(lambda architecture: architecture.base_channels / 100, LEAST_TRIALS - 1)
    assert importances_at(records, 1).choices == ()
