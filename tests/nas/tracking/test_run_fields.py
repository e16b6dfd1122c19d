"""What an MLflow run says of a trial."""

from dataclasses import replace

import pytest

from nas.records.inheritance import Inheritance
from nas.records.trial import OUTCOMES, Outcome
from nas.reporting.style import FRONT_COLOUR
from nas.tracking.run_fields import (
    COST_METRICS,
    EPOCH_METRICS,
    architecture_params,
    changing_tags,
    cost_metrics,
    duplicates_of,
    epoch_metrics,
    fixed_tags,
    run_status,
)
from search_spaces.architecture import Architecture, Attention, Convolution
from tests.support.bundles import inference_cost
from tests.support.searches import trial_record

# The statuses of MLflow's RunStatus, and those of them that mean an end.
STATUSES = {"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"}
ENDED = {
    "finished": "FINISHED", "inherited": "FINISHED", "stopped": "KILLED",
    "diverged": "FAILED", "failed": "FAILED", "crashed": "FAILED", "oom": "FAILED",
}  # fmt: skip


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_a_status_is_true_to_what_happened(outcome: Outcome) -> None:
    assert run_status(outcome) == ENDED.get(outcome, "RUNNING") and run_status(outcome) in STATUSES


def test_a_stage_of_one_operator_is_spelt_out() -> None:
    attention = Attention(7, 8, "relative")
    stages = ((Convolution(), Convolution()), (attention,), (Convolution(), attention), (attention, attention))
    params = architecture_params(Architecture("convolution", 16, stages))
    assert {key: value for key, value in params.items() if key.startswith("stage")} == {
        "stage1": "C",
        "stage1.operator": "convolution",
        "stage2": "A7×8r",
        "stage2.operator": "attention",
        "stage2.spatial_extent": "7",
        "stage2.heads": "8",
        "stage2.positional_encoding": "relative",
        "stage3": "C,A7×8r",
        "stage3.operator": "mixed",
        "stage4": "A7×8r",
        "stage4.operator": "attention",
        "stage4.spatial_extent": "7",
        "stage4.heads": "8",
        "stage4.positional_encoding": "relative",
    }
    assert params["depth"] == "23" and params["base_channels"] == "16" and params["stem"] == "convolution"


def test_epochs_come_once_and_always_at_the_same_time() -> None:
    record = trial_record(1, (0.5, 0.6, 0.7))
    whole = epoch_metrics(record, 0)
    assert [point.value for point in whole if point.name == "val_accuracy"] == [0.5, 0.6, 0.7]
    assert {point.name for point in whole} == set(EPOCH_METRICS)
    assert epoch_metrics(record, 2) == [point for point in whole if point.step == 3]
    # It was started at 1,001 s, and an epoch takes 2 s.
    assert [point.milliseconds for point in whole if point.name == "val_loss"] == [1_003_000, 1_005_000, 1_007_000]


def test_epochs_from_inherited_weights_have_other_names() -> None:
    inherited = trial_record(1, (0.5, 0.6), outcome="inherited", inheritance=Inheritance(0, 2))
    scratch = replace(inherited, inheritance=None)
    assert [(point.value, point.step, point.milliseconds) for point in epoch_metrics(inherited, 0)] == [
        (point.value, point.step, point.milliseconds) for point in epoch_metrics(scratch, 0)
    ]
    assert {point.name for point in epoch_metrics(inherited, 0)} == {f"inherited_{name}" for name in EPOCH_METRICS}
    assert fixed_tags(inherited, "id")["nas.inherited_from"] == "0"
    assert "nas.inherited_from" not in fixed_tags(scratch, "id")


def test_costs_are_counted_always_and_measured_where_they_were() -> None:
    assert {point.name: point.value for point in cost_metrics(trial_record(1))} == {"flops": 1e6, "params": 1001.0}
    cost = inference_cost(latency_ms=2.5, latency_low_ms=2.25, latency_high_ms=5.0, peak_memory_mb=30.0)
    measured = cost_metrics(trial_record(1, inference=cost))
    assert {point.name: point.value for point in measured} == {
        "flops": 1e6,
        "params": 1001.0,
        "latency_ms": 2.5,
        "peak_memory_mb": 30.0,
        "inference_latency_low_ms": 2.25,
        "inference_latency_high_ms": 5.0,
    }
    assert {point.name for point in measured} >= set(COST_METRICS)


def test_tags_tell_the_front_the_rung_the_reason_and_the_duplicates() -> None:
    member = changing_tags(trial_record(1, (0.5,) * 7), True, (2, 6), (12, 15))
    assert member == {
        "nas.outcome": "finished",
        "nas.epochs": "7",
        "nas.rung": "6",
        "pareto": "front",
        "mlflow.runColor": FRONT_COLOUR,
        "nas.duplicates": "12,15",
    }
    stopped = changing_tags(trial_record(1, (0.5,) * 2, outcome="stopped", reason="rung"), False, (2, 6), ())
    assert stopped["nas.rung"] == "2" and stopped["nas.reason"] == "rung" and "pareto" not in stopped
    assert changing_tags(trial_record(1), False, (2, 6), ())["pareto"] == "dominated"
    assert "nas.rung" not in changing_tags(trial_record(1), False, (2, 6), ())


def test_many_duplicates_are_counted() -> None:
    tag = changing_tags(trial_record(1), False, (), tuple(range(10_000, 13_000)))["nas.duplicates"]
    assert tag.startswith("10000,10001,") and tag.endswith("… (3000)") and len(tag) < 5000


def test_duplicates_belong_to_the_trial_that_was_first() -> None:
    records = [
        trial_record(0),
        trial_record(1, (), outcome="duplicate", duplicate_of=0),
        trial_record(2),
        trial_record(3, (), outcome="duplicate", duplicate_of=0),
    ]
    assert dict(duplicates_of(records)) == {0: [1, 3]}
