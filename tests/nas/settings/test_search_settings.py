import json
from typing import Any

import pytest

from nas.settings.search_settings import SAMPLERS, SCHEDULERS, SearchSettings, duration_seconds
from search_spaces.errors import UserError
from tests.support.searches import search_settings


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("30m", 1800), ("12h", 43200), ("2d", 172800), ("1h30m", 5400), ("0.5h", 1800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "3", "3x", "h", "-1h", "0s", "1h x"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="expected a duration such as 90s"):
        duration_seconds(text)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trials": 0}, "search.trials is 0: expected at least 1; --plan says"),
        ({"sampler": "tpa"}, "Did you mean 'tpe'"),
        ({"sampler": "evhi"}, "Did you mean 'ehvi'"),
        ({"scheduler": "ahsa"}, "unknown search.scheduler 'ahsa'.*Did you mean 'asha'"),
        ({"keep_checkpoints": "fornt"}, "unknown search.keep_checkpoints 'fornt'.*Did you mean 'front'"),
        ({"min_accuracy": 1.0}, "min_accuracy is 1.0: expected a share in \\[0, 1\\)"),
        ({"min_accuracy": -0.1}, "min_accuracy is -0.1"),
        ({"min_accuracy": float("nan")}, "min_accuracy is nan"),
        ({"epochs": 0}, "search.epochs is 0"),
        ({"stagnation": 0}, "stagnation is 0"),
        ({"replicates": 0}, "replicates is 0"),
        ({"checkpoint_minutes": -1.0}, "checkpoint_minutes is -1.0: expected a number of at least 0"),
        ({"confirm_front": 0}, "confirm_front is 0"),
        ({"inference_batch": 0}, "inference_batch is 0"),
        ({"minimum_epochs": 0}, "minimum_epochs is 0"),
        ({"reduction_factor": 1}, "reduction_factor is 1"),
        ({"seed": -1}, "seed is -1"),
        ({"max_flops": 0.0}, "max_flops is 0"),
        ({"max_flops": float("nan")}, "max_flops is nan"),
        ({"time_budget": "soon"}, "'soon'"),
        ({"objectives": ("val_accuracy", "latency")}, "unknown search objective 'latency'.*Did you mean 'latency_ms'"),
        ({"objectives": ("val_acc", "flops")}, "of val_accuracy, flops, latency_ms, params. Did you mean 'val_ac"),
        (
            {"objectives": ("flops", "val_accuracy")},
            r"is \[flops, val_accuracy\]: expected val_accuracy and then one or",
        ),
        ({"objectives": ("val_accuracy",)}, r"is \[val_accuracy\]: expected .* or \[val_accuracy, flops, params\]"),
        ({"objectives": ("val_accuracy", "flops", "flops")}, "each once, as"),
        ({"objectives": ("val_accuracy", "flops", "val_accuracy")}, "each once, as"),
        ({"objectives": ()}, r"is \[\]: expected val_accuracy and then"),
        ({"objectives": ("val_accuracy", "flops", "peak_memory_mb")}, "'peak_memory_mb': peak memory is measured of"),
        ({"objectives": ("val_accuracy", "flops", "parms")}, "unknown search objective 'parms'.*Did you mean 'params'"),
        ({"max_params": 0.0}, "max_params is 0.0: expected a number above 0"),
        ({"max_params": float("inf")}, "max_params is inf"),
        ({"max_latency_ms": 3.0}, "max_latency_ms is 3: expected latency_ms among search.objectives"),
        ({"max_latency_ms": -1.0}, "max_latency_ms is -1.0: expected a number above 0"),
        (
            {"objectives": ("val_accuracy", "flops", "latency_ms"), "deterministic": True},
            "deterministic is true: expect",
        ),
        ({"objectives": ("val_accuracy", "latency_ms"), "deterministic": True}, "deterministic is true: expected"),
    ],
)
def test_values_out_of_range_are_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        search_settings(**changes)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_every_sampler_goes_with_every_scheduler(sampler: str, scheduler: str) -> None:
    assert search_settings(sampler=sampler, scheduler=scheduler).sampler == sampler


def test_limits_at_their_ends_are_allowed() -> None:
    search_settings(min_accuracy=0.0, epochs=1, stagnation=1, replicates=1, confirm_front=1)
    search_settings(min_accuracy=0.999)


def test_the_costs_are_the_objectives_after_the_first() -> None:
    assert search_settings().cost_names == ("flops",) and not search_settings().on_latency
    on_latency = search_settings(objectives=("val_accuracy", "latency_ms"))
    assert on_latency.cost_names == ("latency_ms",) and on_latency.on_latency
    assert SearchSettings.from_json(json.loads(json.dumps(on_latency.to_json()))) == on_latency
    several = search_settings(objectives=("val_accuracy", "params", "flops", "latency_ms"))
    assert several.cost_names == ("params", "flops", "latency_ms") and several.on_latency
    assert SearchSettings.from_json(json.loads(json.dumps(several.to_json()))) == several
    with pytest.raises(UserError, match="objectives is 'flops': expected a list of names"):
        SearchSettings.from_json(on_latency.to_json() | {"objectives": "flops"})


def test_json_round_trip() -> None:
    settings = search_settings(max_flops=2e9, time_budget="1h", min_accuracy=0.7, epochs=90, stagnation=5)
    assert SearchSettings.from_json(settings.to_json()) == settings
    with pytest.raises(UserError, match="trials is 'many'"):
        SearchSettings.from_json(settings.to_json() | {"trials": "many"})
