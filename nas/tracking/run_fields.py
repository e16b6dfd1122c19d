"""What an MLflow run says of a trial, as plain data: its status, its parameters, its metrics and its tags."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nas.records.summary import Summary
from nas.records.trial import FAILURES, Outcome, TrialRecord
from nas.reporting.style import FRONT_COLOUR, QUIET_COLOUR, STYLES
from search_spaces.architecture import Architecture, Attention, Operator

# A run's status has to be true to what happened; MLflow has these. Whatever is not here has not ended.
RUN_STATUS: dict[Outcome, str] = {
    "finished": "FINISHED", "inherited": "FINISHED", "stopped": "KILLED", **dict.fromkeys(FAILURES, "FAILED"),
}  # fmt: skip

EPOCH_METRICS = ("val_accuracy", "val_loss", "train_loss", "learning_rate", "epoch_seconds")
COST_METRICS = ("flops", "params", "latency_ms", "peak_memory_mb")
# Of a search on latency, beside the latency that it goes by.
LATENCY_METRICS = ("inference_latency_ms",)

LONGEST_TAG = 5000
DUPLICATES_SHOWN = 200


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One value of a metric. `milliseconds` since 1970; the same point is always the same, so twice written is once."""

    name: str
    value: float
    milliseconds: int
    step: int


def run_status(outcome: Outcome) -> str:
    """The status of the run of a trial with this outcome."""
    return RUN_STATUS.get(outcome, "RUNNING")


def architecture_params(architecture: Architecture) -> dict[str, str]:
    """What a network is: the whole, and each stage's choices as parameters of their own."""
    params = {
        "architecture_id": architecture.id,
        "depth": str(architecture.depth),
        "base_channels": str(architecture.base_channels),
        "stem": architecture.stem,
    }
    for index, blocks in enumerate(architecture.stages):
        params |= _stage_params(f"stage{index + 1}", blocks)
    return params


def _stage_params(stage: str, blocks: Sequence[Operator]) -> dict[str, str]:
    """A stage of one operator is spelt out; one whose blocks differ is the row of them and "mixed"."""
    if len(set(blocks)) > 1:
        return {stage: ",".join(operator.label for operator in blocks), f"{stage}.operator": "mixed"}
    operator = blocks[0]
    params = {stage: operator.label, f"{stage}.operator": "convolution"}
    if isinstance(operator, Attention):
        params |= {
            f"{stage}.operator": "attention",
            f"{stage}.spatial_extent": str(operator.spatial_extent),
            f"{stage}.heads": str(operator.heads),
            f"{stage}.positional_encoding": operator.positional_encoding,
        }
    return params


def epoch_metrics(record: TrialRecord, known_epochs: int) -> list[MetricPoint]:
    """The metrics of every epoch after the first `known_epochs`, each at the time at which it was trained.

    Of a training from inherited weights they have other names, so that no table or chart sets them beside the others'.
    """
    seconds = record.started_at or 0.0
    before = "" if record.inheritance is None else "inherited_"
    points = []
    for epoch in record.epochs:
        seconds += epoch.epoch_seconds
        if epoch.epoch > known_epochs:
            values = epoch.to_json()
            points += [
                MetricPoint(before + name, values[name], round(1000 * seconds), epoch.epoch) for name in EPOCH_METRICS
            ]
    return points


def cost_metrics(record: TrialRecord) -> list[MetricPoint]:
    """What a trial's network costs: counted always, measured where it was."""
    values: dict[str, float] = {"flops": record.flops, "params": record.params}
    if record.inference is not None:
        values |= {"latency_ms": record.inference.latency_ms, "peak_memory_mb": record.inference.peak_memory_mb}
        values["inference_latency_low_ms"] = record.inference.latency_low_ms
        values["inference_latency_high_ms"] = record.inference.latency_high_ms
    if record.latency_ms is not None:
        # What the search goes by keeps the plain name.
        values["latency_ms"] = record.latency_ms
        if record.inference is not None:
            values["inference_latency_ms"] = record.inference.latency_ms
    milliseconds = round(1000 * (record.started_at or 0.0))
    return [MetricPoint(name, float(value), milliseconds, 0) for name, value in values.items()]


def fixed_tags(record: TrialRecord, search_id: str) -> dict[str, str]:
    """The tags that a trial's run has from its creation on. (search id, trial number) is its key."""
    origin = {} if record.imported_from is None else {"nas.imported_from": record.imported_from}
    if record.inheritance is not None:
        origin["nas.inherited_from"] = str(record.inheritance.parent)
    return origin | {
        "nas.kind": "trial",
        "nas.search_id": search_id,
        "nas.trial": str(record.number),
        "nas.anchor": str(record.anchor).lower(),
        "nas.seed": str(record.seed),
    }


def changing_tags(
    record: TrialRecord, on_front: bool, rungs: Sequence[int], duplicates: Sequence[int]
) -> dict[str, str]:
    """The tags that follow a trial as it goes on; `nas.epochs` says how far its metrics are written.

    `rungs` are in epochs; `duplicates` are the proposals that were the same architecture.
    """
    reached = [rung for rung in rungs if rung <= len(record.epochs)]
    colour = STYLES[record.outcome].colour if record.outcome in STYLES else QUIET_COLOUR
    tags = {
        "nas.outcome": record.outcome,
        "nas.epochs": str(len(record.epochs)),
        "mlflow.runColor": FRONT_COLOUR if on_front else colour,
    }
    if reached:
        tags["nas.rung"] = str(max(reached))
    if record.outcome == "finished":
        # Sorted downwards by this tag a list of runs has the front first, then what else was trained to the end.
        tags["pareto"] = "front" if on_front else "dominated"
    if record.place is not None and record.place.accelerator is not None:
        tags["nas.accelerator"] = record.place.accelerator
    if record.reason:
        tags["nas.reason"] = record.reason[:LONGEST_TAG]
    if duplicates:
        tags["nas.duplicates"] = ",".join(map(str, duplicates[:DUPLICATES_SHOWN]))
        if len(duplicates) > DUPLICATES_SHOWN:
            tags["nas.duplicates"] += f",… ({len(duplicates)})"
    return tags


def duplicates_of(records: Sequence[TrialRecord]) -> Mapping[int, list[int]]:
    """For each trial that was proposed again, the numbers of those proposals."""
    again: dict[int, list[int]] = {}
    for record in records:
        if record.duplicate_of is not None:
            again.setdefault(record.duplicate_of, []).append(record.number)
    return again


def summary_metrics(summary: Summary) -> dict[str, float]:
    """What the parent run says of the whole search."""
    values = {
        "hypervolume": summary.hypervolume,
        "front_size": float(len(summary.front)),
        "accelerator_hours": summary.accelerator_hours,
        **{f"trials_{outcome}": float(number) for outcome, number in summary.counts.items()},
    }
    if summary.best:
        values["best_val_accuracy"] = summary.best.point[0]
    return values
