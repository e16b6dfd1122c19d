"""What an MLflow run says of what was trained on from a trial, a full training or a detector, as plain data.

Its metrics and parameters have the names that those of trials have.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nas.tracking.run_fields import EPOCH_METRICS, MetricPoint, architecture_params
from search_spaces.canonical_json import canonical_json
from trainers.bundle.provenance import Provenance
from trainers.bundle.trained import Trained
from trainers.detection.trained import TrainedDetector
from trainers.epoch_result import EpochResult

FULL_TRAINING, DETECTOR = "full_training", "detector"
# What a run shows of the output directory, where it is there.
_OF_ALL = ("history.csv", "result.json")
_FILES = (*_OF_ALL, "classes.csv", "confusion.csv", "corruptions.csv", "curves.png", "confusion.png")
_DETECTORS_FILES = (*_OF_ALL, "precisions.csv")


@dataclass(frozen=True, slots=True)
class TrainedRun:
    """What was trained on from `trial`, as its run says it.

    `key` is equal for the same training wherever its directory lies, and `digest` changes where something was measured
    since. `epoch_metrics` are the fields of its epochs by the names of their metrics, `outcome` what it came to after
    `epochs` in `seconds`, `files` those of its directory that it shows.
    """

    kind: str
    key: str
    digest: str
    trial: int
    name: str
    directory: str
    params: Mapping[str, str]
    history: tuple[EpochResult, ...]
    epoch_metrics: Mapping[str, str]
    outcome: Mapping[str, float]
    epochs: int
    seconds: float
    files: tuple[str, ...]

    def tags(self, search_id: str, trial_run: str) -> dict[str, str]:
        """The tags of its run, which is nested in that of its trial."""
        return {
            "mlflow.parentRunId": trial_run,
            "nas.kind": self.kind,
            "nas.search_id": search_id,
            "nas.trial": str(self.trial),
            f"nas.{self.kind}": self.key,
            "nas.directory": self.directory,
        }

    def points(self, started_ms: int) -> list[MetricPoint]:
        """The metrics of its epochs, and what it came to."""
        points, seconds = [], 0.0
        for epoch in self.history:
            seconds += epoch.epoch_seconds
            values, at = epoch.to_json(), started_ms + round(1000 * seconds)
            points += [MetricPoint(name, values[field], at, epoch.epoch) for name, field in self.epoch_metrics.items()]
        ended_ms = started_ms + round(1000 * self.seconds)
        return points + [MetricPoint(name, value, ended_ms, self.epochs) for name, value in self.outcome.items()]


def run_of(trained: Trained | TrainedDetector) -> TrainedRun:
    """What the run says of one that was trained on from a trial of a search."""
    return _of_detector(trained) if isinstance(trained, TrainedDetector) else _of_full_training(trained)


def _of_full_training(trained: Trained) -> TrainedRun:
    bundle, result = trained.bundle, trained.result
    assert isinstance(bundle.provenance, Provenance)
    fingerprint, trial = bundle.data_fingerprint, bundle.provenance.trial
    known_by = [
        bundle.architecture.id, bundle.recipe.to_json(), bundle.data_summary.to_json(), result["seed"],
        result.get("norm_batch"), result.get("initial_weights"), None if fingerprint is None else fingerprint.digest,
        *([result["lengthened"]] if "lengthened" in result else ()),
    ]  # fmt: skip
    return TrainedRun(
        kind=FULL_TRAINING,
        key=_key(known_by),
        digest=_digest(result, trained.history),
        trial=trial,
        name=f"{trial:04d} · full training, seed {result['seed']} · {bundle.architecture.label}",
        directory=trained.directory,
        params={
            **architecture_params(bundle.architecture),
            **{f"recipe.{name}": str(value) for name, value in bundle.recipe.to_json().items()},
            "data": bundle.data_summary.name,
            "image_size": str(bundle.data_summary.image_size),
            "seed": str(result["seed"]),
        },
        history=trained.history,
        epoch_metrics={name: name for name in EPOCH_METRICS},
        outcome=_outcome(result),
        epochs=result["epochs"],
        seconds=result["seconds"],
        files=_FILES,
    )


def _of_detector(detector: TrainedDetector) -> TrainedRun:
    design, result = detector.design, detector.result
    assert isinstance(detector.provenance, Provenance)
    trial = detector.provenance.trial
    scores = {name: float(score) for name, score in result["scores"].items() if score is not None}
    return TrainedRun(
        kind=DETECTOR,
        key=_key(detector.weights),
        digest=_digest(result, detector.history),
        trial=trial,
        name=f"{trial:04d} · {design.model}, seed {result['seed']} · {design.architecture.label}",
        directory=detector.directory,
        params={
            **architecture_params(design.architecture),
            **{f"recipe.{name}": str(value) for name, value in detector.recipe.to_json().items()},
            **{name: str(getattr(design, name)) for name in ("model", "pyramid", "head", "image_size")},
            "seed": str(result["seed"]),
        },
        history=detector.history,
        # What stands for the accuracy of a detector is COCO's mean average precision.
        epoch_metrics={"AP" if name == "val_accuracy" else name: name for name in EPOCH_METRICS},
        outcome={"params": float(result["params"]), "val_loss": result["val_loss"], **scores},
        epochs=result["epochs"],
        seconds=result["seconds"],
        files=_DETECTORS_FILES,
    )


def _key(known_by: object) -> str:
    return hashlib.sha256(canonical_json(known_by)).hexdigest()[:16]


def _digest(result: Mapping[str, Any], history: tuple[EpochResult, ...]) -> str:
    return hashlib.sha256(canonical_json([result, [epoch.to_json() for epoch in history]])).hexdigest()


def _outcome(result: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of a full training's result. Earlier code measured fewer."""
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
