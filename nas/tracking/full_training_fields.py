"""What an MLflow run says of a full training, as plain data, by the names that the runs of trials have."""

import hashlib
from typing import Any

from nas.tracking.run_fields import EPOCH_METRICS, MetricPoint, architecture_params
from search_spaces.canonical_json import canonical_json
from trainers.bundle.trained import Trained

KIND = "full_training"


def training_key(trained: Trained) -> str:
    """Equal for the same training wherever its directory lies: network, recipe, images, seed and what it began with."""
    bundle, result = trained.bundle, trained.result
    fingerprint = bundle.data_fingerprint
    parts = [
        bundle.architecture.id, bundle.recipe.to_json(), bundle.data_summary.to_json(), result["seed"],
        result.get("norm_batch"), result.get("initial_weights"), None if fingerprint is None else fingerprint.digest,
    ]  # fmt: skip
    return hashlib.sha256(canonical_json(parts)).hexdigest()[:16]


def result_digest(trained: Trained) -> str:
    """Changes where something was measured since."""
    return hashlib.sha256(canonical_json([trained.result, [epoch.to_json() for epoch in trained.history]])).hexdigest()


def training_name(trained: Trained, trial: int) -> str:
    """The training as a person reads it: `0042 · full training, seed 0 · R26 w64 · c C C C C`."""
    return f"{trial:04d} · full training, seed {trained.result['seed']} · {trained.bundle.architecture.label}"


def training_tags(trained: Trained, search_id: str, trial: int, trial_run: str) -> dict[str, str]:
    """The tags of its run, which is nested in that of its trial."""
    return {
        "mlflow.parentRunId": trial_run,
        "nas.kind": KIND,
        "nas.search_id": search_id,
        "nas.trial": str(trial),
        "nas.full_training": training_key(trained),
        "nas.directory": trained.directory,
    }


def training_params(trained: Trained) -> dict[str, str]:
    """What is trained, and how."""
    bundle = trained.bundle
    return {
        **architecture_params(bundle.architecture),
        **{f"recipe.{name}": str(value) for name, value in bundle.recipe.to_json().items()},
        "data": bundle.data_summary.name,
        "image_size": str(bundle.data_summary.image_size),
        "seed": str(trained.result["seed"]),
    }


def training_metrics(trained: Trained, started_ms: int) -> list[MetricPoint]:
    """The metrics of its epochs, by the names of those of trials, and what it came to."""
    points, seconds = [], 0.0
    for epoch in trained.history:
        seconds += epoch.epoch_seconds
        values = epoch.to_json()
        points += [
            MetricPoint(name, values[name], started_ms + round(1000 * seconds), epoch.epoch) for name in EPOCH_METRICS
        ]
    ended_ms, last = started_ms + round(1000 * trained.result["seconds"]), trained.result["epochs"]
    return points + [MetricPoint(name, value, ended_ms, last) for name, value in _outcome(trained.result).items()]


def _outcome(result: dict[str, Any]) -> dict[str, float]:
    """The numbers of a result. Earlier code measured fewer."""
    values: dict[str, float] = {"flops": float(result["flops"]), "params": float(result["params"])}
    measured, robustness = result.get("measured"), result.get("robustness")
    if result["test_accuracy"] is not None:
        values |= {"test_accuracy": result["test_accuracy"], "test_loss": result["test_loss"]}
    if measured is not None:
        values |= {
            f"{measured['split']}_{name}": float(measured[name])
            for name in ("top5_accuracy", "calibration_error")
            if measured[name] is not None
        }
    if robustness is not None:
        values["corrupted_accuracy"] = robustness["accuracy"]
        for name, accuracies in robustness["corruptions"].items():
            values[f"corrupted_accuracy.{name}"] = sum(accuracies) / len(accuracies)
    return values
