"""The tables of a report: CSV for people who compute, and the front as HTML."""

import csv
import html
from collections.abc import Sequence
from pathlib import Path

from nas.records.compute_used import train_seconds
from nas.records.trial import TrialRecord
from nas.records.units import readable_flops
from nas.reporting.stages import stage_texts

CSV_COLUMNS = (
    "number", "outcome", "on_front", "val_accuracy", "val_loss", "train_loss", "flops", "params", "latency_ms",
    "inference_latency_ms", "peak_memory_mb", "epochs", "train_seconds", "anchor", "depth", "base_channels", "stem",
    "stage1", "stage2", "stage3", "stage4", "architecture_id", "seed", "duplicate_of", "started_at", "finished_at",
    "reason",
)  # fmt: skip


def write_csv(path: Path, records: Sequence[TrialRecord], front: Sequence[TrialRecord]) -> None:
    """One row a trial. Losses and accuracy are those after its last epoch, times are seconds (since 1970)."""
    on_front = {record.number for record in front}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, CSV_COLUMNS)
        writer.writeheader()
        for record in records:
            architecture = record.architecture
            row = {key: value for key, value in record.to_json().items() if key in CSV_COLUMNS}
            row |= {f"stage{index + 1}": text for index, text in enumerate(stage_texts(architecture))}
            row |= {"depth": architecture.depth, "base_channels": architecture.base_channels, "stem": architecture.stem}
            row |= {"started_at": record.started_at, "finished_at": record.finished_at}
            if record.epochs:
                last = record.epochs[-1]
                row |= {
                    "val_loss": last.val_loss,
                    "train_loss": last.train_loss,
                    "train_seconds": train_seconds(record),
                }
            writer.writerow(row | {"on_front": record.number in on_front})


def front_table(front: Sequence[TrialRecord]) -> str:
    """The front by rising cost as an HTML table; a trial's number is a button that pins it."""
    latency = ["latency"] if any(record.cost_name == "latency_ms" for record in front) else []
    measured = any(record.inference is not None for record in front)
    costs = ["ms", "MB"] if measured else []
    numbers = ["trial", "accuracy", *latency, "FLOPs", "parameters", *costs, "depth", "channels"]
    texts = ["stem", "stage 1", "stage 2", "stage 3", "stage 4"]
    heads = "".join(f"<th>{head}</th>" for head in numbers) + "".join(f"<th class='text'>{head}</th>" for head in texts)
    rows = "".join(f"<tr>{_front_row(record, measured)}</tr>" for record in front)
    return f"<div class='wide'><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"


def _front_row(record: TrialRecord, measured: bool) -> str:
    architecture = record.architecture
    inference = record.inference
    costs = [f"{inference.latency_ms:.3g}", f"{inference.peak_memory_mb:.3g}"] if inference else ["", ""]
    numbers = [
        f"<button type='button' data-pin='{record.number}'>{record.number}</button>",
        f"{record.point[0]:.2%}",
        *([record.readable_cost] if record.cost_name == "latency_ms" else []),
        readable_flops(record.flops),
        f"{record.params:,}",
        *(costs if measured else []),
        str(architecture.depth),
        str(architecture.base_channels),
    ]
    texts = [architecture.stem.replace("_", " "), *stage_texts(architecture)]
    return "".join(f"<td>{number}</td>" for number in numbers) + "".join(
        f"<td class='text'>{html.escape(text)}</td>" for text in texts
    )
