import random
import statistics
from collections.abc import Callable

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import create_trial

from nas.records.trial import TrialRecord
from nas.reporting.importance import (
    ALWAYS,
    LEAST_TRIALS,
    TREE_DEPTH,
    TREES,
    choice_values,
    importances,
    importances_at,
)
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


def of_optuna(records: list[TrialRecord], names: tuple[str, ...]) -> dict[str, float]:
    """The importances of choices that all trials have and that vary, by Optuna's evaluator."""
    values = [choice_values(record.architecture) for record in records]
    distributions: dict[str, BaseDistribution] = {}
    for name in names:
        chosen = [choices[name] for choices in values]
        numbers = [value for value in chosen if not isinstance(value, str)]
        distributions[name] = (
            FloatDistribution(min(numbers), max(numbers)) if numbers else CategoricalDistribution(sorted(set(chosen)))
        )
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(direction="maximize")
    study.add_trials(
        create_trial(
            params={name: choices[name] for name in names}, distributions=distributions, value=record.val_accuracy
        )
        for choices, record in zip(values, records, strict=True)
    )
    evaluator = FanovaImportanceEvaluator(n_trees=TREES, max_depth=TREE_DEPTH, seed=0)
    return get_param_importances(study, evaluator=evaluator)


def test_importances_are_near_those_of_optuna() -> None:
    """Both draw points by chance: Optuna's of two seeds differ by as much (0.02)."""

    def accuracy(architecture: Architecture) -> float:
        operator = architecture.stages[1][0]
        gain = 0.1 if isinstance(operator, Attention) and operator.positional_encoding == "relative" else 0.0
        return 0.5 + 0.002 * architecture.base_channels + gain * architecture.depth / 26

    records = searched(accuracy)
    found = importances_at(records, 1).choices
    always = {share.choice: share.importance for share in found if share.stage is None}
    assert always == pytest.approx(of_optuna(records, tuple(always)), abs=0.03)
    having = [record for record in records if has_attention(record.architecture, 2)]
    conditional = ("stage2.spatial_extent", "stage2.heads", "stage2.positional_encoding")
    # An operator that all of them have does not vary.
    names = tuple(name for name in (*always, *conditional) if name != "stage2.operator")
    expected = of_optuna(having, names)
    shares = {share.choice: share.importance for share in found if share.stage == 2}
    assert shares == pytest.approx({name: expected[name] for name in conditional}, abs=0.03)
