"""What a search leaves in its directory at its end: summary.json, front.json, the report, and the weights it keeps."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nas.driver.endings import Ending
from nas.driver.search_view import SearchView
from nas.records.left_out_nodes import LeftOutNode
from nas.records.summary import Summary
from nas.records.trial import TrialRecord
from nas.settings.run_directory import RunDirectory
from trainers.files import write_json_atomically


@dataclass(frozen=True, slots=True)
class SearchEnd:
    """How a search came to its end. `search_seconds` is the time that trials were being run, `seconds` all of it, by
    this driver: one that `has_gone_on` with a search knows nothing of the time of those before.

    `nodes_left_out` are those of a cluster on which trials failed for no fault of theirs.
    """

    name: str
    search_id: str
    data: str
    interrupted: bool
    ending: Ending
    search_seconds: float
    seconds: float
    nodes_left_out: tuple[LeftOutNode, ...] = ()
    has_gone_on: bool = False


def write_results(view: SearchView, end: SearchEnd, summary: Summary) -> list[Path]:
    """Writes `summary.json` and `front.json`, then the report, which takes longer. The paths of what was written.

    The front's file holds nothing that was measured in time, so that a deterministic search writes the same bytes.
    """
    directory = view.directory
    write_json_atomically(
        directory.summary,
        {
            "name": end.name,
            "search_id": end.search_id,
            "interrupted": end.interrupted,
            "search_seconds": end.search_seconds,
            "seconds": end.seconds,
            "nodes_left_out": [node.to_json() for node in end.nodes_left_out],
            **summary.to_json(),
        },
    )
    write_json_atomically(directory.front, [_results(record) for record in summary.front])
    return [*view.write_report(), directory.summary, directory.front]


def drop_checkpoints(
    directory: RunDirectory, records: tuple[TrialRecord, ...], summary: Summary, keep_checkpoints: str
) -> None:
    """Deletes the checkpoints of trials that have ended, except those of the front, or all, as `keep_checkpoints` says.

    The values are those of `search.keep_checkpoints`.
    """
    if keep_checkpoints == "all":
        return
    kept = {record.number for record in summary.front} if keep_checkpoints == "front" else set()
    there = set(directory.all_checkpoints.folders())
    for record in records:
        checkpoints = directory.checkpoints(record.number)
        if record.outcome not in ("running", "held") and record.number not in kept and checkpoints.name in there:
            checkpoints.clear()


def without_checkpoints(directory: RunDirectory, records: Sequence[TrialRecord]) -> list[int]:
    """The trials that were trained to the end and whose checkpoints are gone, as after the end of a search."""
    there = set(directory.all_checkpoints.folders())
    finished = [record.number for record in records if record.outcome == "finished"]
    return [number for number in finished if directory.checkpoints(number).name not in there]


def _results(record: TrialRecord) -> dict[str, Any]:
    """What training has shown of a trial, and nothing that differs when it is done again."""
    fields = ("number", "architecture_id", "architecture", "label", "flops", "params", "seed", "replicate", "repeats")
    everything = record.to_json()
    curve = [
        {
            "epoch": result.epoch,
            "train_loss": result.train_loss,
            "val_loss": result.val_loss,
            "val_accuracy": result.val_accuracy,
        }
        for result in record.epochs
    ]
    return {**{name: everything[name] for name in fields}, "val_accuracy": record.point[0], "curve": curve}
