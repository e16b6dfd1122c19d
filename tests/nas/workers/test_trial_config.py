"""What passes between driver and worker: it comes back equal through JSON, and nothing else is taken for it."""

import json
from typing import Any

import pytest
from ray.tune.utils import flatten_dict

from nas.records.latency_reference import LatencyReference
from nas.records.whereabouts import GpuUse
from nas.workers.trial_config import (
    EpochReport,
    LatencyReport,
    ParentWeights,
    SearchHalted,
    TrialConfig,
    TrialEnded,
    TrialFailed,
    TrialPreempted,
    WorkerMessage,
    WorkerReport,
)
from search_spaces.architecture import Architecture, Attention
from search_spaces.errors import UserError
from tests.support.searches import epoch_result
from tests.support.trials import trial_config

ATTENTION = Architecture("convolution", 8, ((Attention(3, 2, "relative"),),) * 4)
REPORTS = [
    EpochReport(epoch_result(3, 0.25)),
    EpochReport(epoch_result(4, 0.25), GpuUse(14, 80, 0.93)),
    LatencyReport(1.5),
    TrialEnded("diverged", "the loss is not finite in epoch 2"),
    TrialFailed("data", "images are gone", "Traceback\n  …"),
    TrialPreempted(),
    SearchHalted("storage", "No space left on device"),
    SearchHalted("lost storage", "s3://bucket/one cannot be read: gone"),
]


def through_json(value: Any) -> Any:
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("weights", [None, ParentWeights(3, ATTENTION, "s3://bucket/one/checkpoints/0003")])
@pytest.mark.parametrize("reference", [None, LatencyReference(ATTENTION, 2.5, 4)])
def test_a_trial_comes_back_equal(reference: LatencyReference | None, weights: ParentWeights | None) -> None:
    trial = trial_config(architecture=ATTENTION, recorded_epochs=2, latency_reference=reference, weights=weights)
    assert TrialConfig.from_json(through_json(trial.to_json())) == trial
    config = through_json(trial.to_config())
    assert TrialConfig.from_config(config) == trial
    assert (TrialConfig.number_in(config), TrialConfig.node_in(config)) == (trial.number, trial.node)
    # Ray Tune has nothing to take apart in it.
    assert flatten_dict(config) == config


@pytest.mark.parametrize("report", REPORTS, ids=lambda report: report.kind)
@pytest.mark.parametrize("warnings", [(), ("a checkpoint is damaged", "so is another")])
def test_a_message_comes_back_equal_from_among_others_keys(report: WorkerReport, warnings: tuple[str, ...]) -> None:
    message = WorkerMessage(report, warnings)
    result = flatten_dict({"training_iteration": 3, "config": {"number": 1}, **message.to_result()})
    assert WorkerMessage.from_result(result) == message


@pytest.mark.parametrize(
    ("report", "says"),
    [
        ({"kind": "epok", "result": {}}, "unknown worker's report 'epok'.*Did you mean 'epoch'"),
        ({"result": epoch_result(1).to_json()}, "unknown worker's report 'None'"),
        (None, "unknown worker's report 'None'"),
        ({"kind": "latency", "latency_ms": "fast"}, "latency_ms is 'fast': expected a number"),
        ({"kind": "ended", "outcome": "finish", "reason": ""}, "unknown outcome 'finish'.*Did you mean 'finished'"),
        (
            {"kind": "halted", "cause": "store", "reason": "", "images": []},
            "unknown cause 'store'.*Did you mean 'storage'",
        ),
        ({"kind": "ended", "outcome": "oom"}, "missing reason"),
    ],
)
def test_anything_else_is_refused(report: object, says: str) -> None:
    with pytest.raises(UserError, match=says):
        WorkerMessage.from_json({"report": report, "warnings": []})


def test_a_trial_lacking_or_holding_more_is_refused() -> None:
    stored = trial_config().to_json()
    with pytest.raises(UserError, match="missing seed"):
        TrialConfig.from_json({key: value for key, value in stored.items() if key != "seed"})
    with pytest.raises(UserError, match="unknown key of trial 'sed'"):
        TrialConfig.from_json(stored | {"sed": 1})
