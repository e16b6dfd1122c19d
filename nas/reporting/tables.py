"""The tables of a report: CSV for people who compute, and the rows of the front's members on its page."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nas.records.compute_used import train_seconds
from nas.records.objectives import readable_cost
from nas.records.trial import TrialRecord
from nas.reporting.stages import stage_texts
from search_spaces.units import readable_flops

CSV_COLUMNS = (
    "number", "outcome", "on_front", "val_accuracy", "val_loss", "train_loss", "inherited_val_accuracy", "flops",
    "params", "latency_ms",
    "inference_latency_ms", "inference_latency_low_ms", "inference_latency_high_ms", "peak_memory_mb", "epochs",
    "train_seconds", "anchor", "depth", "base_channels", "stem", "stage1", "stage2", "stage3", "stage4",
    "architecture_id", "seed", "inherited_from", "duplicate_of", "started_at", "finished_at", "reason",
)  # fmt: skip


def trial_rows(records: Sequence[TrialRecord], front: Sequence[TrialRecord]) -> list[dict[str, Any]]:
    """A row for each trial, its cells by the names of CSV_COLUMNS; what a trial has not is left out or None.

    Losses and accuracy are those after its last epoch, times are seconds (since 1970).
    """
    on_front = {record.number for record in front}
    rows = []
    for record in records:
        architecture = record.architecture
        row: dict[str, Any] = {key: value for key, value in record.to_json().items() if key in CSV_COLUMNS}
        row |= {f"stage{index + 1}": text for index, text in enumerate(stage_texts(architecture))}
        row |= {"depth": architecture.depth, "base_channels": architecture.base_channels, "stem": architecture.stem}
        row |= {"started_at": record.started_at, "finished_at": record.finished_at}
        if record.epochs:
            row["train_seconds"] = train_seconds(record)
        if record.is_comparable:
            row |= {"val_loss": record.epochs[-1].val_loss, "train_loss": record.epochs[-1].train_loss}
        rows.append(row | {"on_front": record.number in on_front})
    return rows


def csv_table(records: Sequence[TrialRecord], front: Sequence[TrialRecord]) -> str:
    """`trial_rows` as CSV."""
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, CSV_COLUMNS)
    writer.writeheader()
    writer.writerows(trial_rows(records, front))
    return table.getvalue()


@dataclass(frozen=True, slots=True)
class FrontRow:
    """A member of the front on the page: its trial's number, and its other cells by the heads of their columns."""

    number: int
    numbers: dict[str, str]
    texts: dict[str, str]


def front_rows(front: Sequence[TrialRecord]) -> list[FrontRow]:
    """The front by rising cost. Each row has the same columns; those of nothing measured are left out."""
    measured = any(record.inference is not None for record in front)
    return [FrontRow(record.number, _numbers(record, measured), _texts(record)) for record in front]


def _numbers(record: TrialRecord, measured: bool) -> dict[str, str]:
    """`measured` is whether any member's latency and memory were."""
    inference = record.inference
    numbers = {"accuracy": f"{record.point[0]:.2%}"}
    if "latency_ms" in record.cost_names:
        numbers["latency"] = readable_cost(record.cost_in("latency_ms"), "latency_ms")
    numbers |= {"FLOPs": readable_flops(record.flops), "parameters": f"{record.params:,}"}
    if measured:
        numbers["ms"] = "" if inference is None else inference.readable_latency
        numbers["MB"] = "" if inference is None else f"{inference.peak_memory_mb:.3g}"
    return numbers | {"depth": str(record.architecture.depth), "channels": str(record.architecture.base_channels)}


def _texts(record: TrialRecord) -> dict[str, str]:
    stages = {f"stage {index + 1}": text for index, text in enumerate(stage_texts(record.architecture))}
    return {"stem": record.architecture.stem.replace("_", " "), **stages}
