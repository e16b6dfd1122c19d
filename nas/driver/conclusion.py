"""The end of a search: its report, its summary, its MLflow runs, and what the terminal says of them."""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from nas.driver.progress import front_table, measurement_lines, readable_duration
from nas.records.objectives import COSTS, CostName
from nas.records.pareto import knee
from nas.records.search_facts import SearchFacts
from nas.records.summary import AnchorGain, Summary
from nas.records.trial import FAILURES, TrialRecord, readable_cost
from nas.reporting.write import REPORT_PAGE, write_report
from nas.settings.addresses import HIDDEN, redacted
from nas.settings.run_directory import DEFAULT_RUNS_DIRECTORY, RunDirectory
from nas.tracking.tracker import Tracker
from trainers.files import write_json_atomically


@dataclass(frozen=True, slots=True)
class SearchEnd:
    """How a search came to its end. `search_seconds` is the time that trials were being run, `seconds` all of it."""

    name: str
    search_id: str
    data: str
    interrupted: bool
    search_seconds: float
    seconds: float


def write_results(
    directory: RunDirectory, facts: SearchFacts, end: SearchEnd, records: tuple[TrialRecord, ...], summary: Summary
) -> list[Path]:
    """Writes the report, `summary.json` and `front.json`. The paths of what was written.

    The front's file holds nothing that was measured in time, so that a deterministic search writes the same bytes.
    """
    paths = write_report(directory.report, facts, records)
    write_json_atomically(
        directory.summary,
        {
            "name": end.name,
            "search_id": end.search_id,
            "interrupted": end.interrupted,
            "search_seconds": end.search_seconds,
            "seconds": end.seconds,
            **summary.to_json(),
        },
    )
    write_json_atomically(directory.front, [_results(record) for record in summary.front])
    return [*paths, directory.summary, directory.front]


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


def drop_checkpoints(
    directory: RunDirectory, records: tuple[TrialRecord, ...], summary: Summary, keep_checkpoints: str
) -> None:
    """Deletes the checkpoints of trials that have ended, except those of the front, or all, as `keep_checkpoints` says.

    The values are those of `search.keep_checkpoints`.
    """
    if keep_checkpoints == "all":
        return
    kept = {record.number for record in summary.front} if keep_checkpoints == "front" else set()
    for record in records:
        if record.outcome not in ("running", "held") and record.number not in kept:
            shutil.rmtree(directory.checkpoints(record.number), ignore_errors=True)


def print_conclusion(
    console: Console, directory: RunDirectory, end: SearchEnd, summary: Summary, mlflow_lines: list[str]
) -> None:
    """Prints the front, what it gained, where to look, and what to type next."""
    counts = summary.counts
    imported = f" beside {summary.results_imported} results taken over" if summary.results_imported else ""
    finished = counts["finished"] - summary.results_imported
    console.print(
        f"\n{summary.architectures_trained} architectures{imported} in {readable_duration(end.seconds)}: "
        f"{finished} trained to the end, {counts['stopped']} stopped early, "
        f"{sum(counts[end] for end in FAILURES)} failed; "
        f"{counts['duplicate']} duplicates and {counts['rejected']} over the limit cost nothing",
        soft_wrap=True,
    )
    if summary.front:
        best = summary.front[knee([record.point for record in summary.front])]
        console.print(f"\nthe front: {len(summary.front)} architectures, hypervolume {summary.hypervolume:.4f}\n")
        console.print(front_table(summary.front, best.number), soft_wrap=True)
        for line in measurement_lines(summary.front):
            console.print(line, soft_wrap=True)
        for gain in summary.anchor_gains:
            console.print(_gain_text(gain, summary.cost_name), soft_wrap=True)
    else:
        console.print("\nno architecture was trained to the end, so there is no front yet")
    console.print(f"\nreport   {directory.report / REPORT_PAGE}", soft_wrap=True)
    for line in mlflow_lines:
        console.print(line, soft_wrap=True)
    following = [resume_command(directory)] if end.interrupted or counts["running"] else []
    # There is nothing to export of an architecture whose weights are not kept.
    if summary.front and directory.checkpoints(best.number).is_dir():
        following.append(f"python nas/export.py {end.name} --pick knee{_runs_flag(directory)}")
    if following:
        console.print("\n  ".join(["\nnext", *following]), soft_wrap=True)


def resume_command(directory: RunDirectory) -> str:
    """The command that goes on with a search."""
    return f"python nas/search.py --resume {directory.name}{_runs_flag(directory)}"


def _runs_flag(directory: RunDirectory) -> str:
    return "" if directory.runs == Path(DEFAULT_RUNS_DIRECTORY).resolve() else f" --runs-dir {directory.runs}"


def _gain_text(gain: AnchorGain, cost_name: CostName) -> str:
    words = COSTS[cost_name]
    against = f"against {gain.label} ({gain.val_accuracy:.2%}, {readable_cost(gain.cost, cost_name)}): "
    if not gain.cost_saved and not gain.accuracy_gained:
        return against + "nothing beats it"
    return (
        against + f"its accuracy for {gain.cost_saved:.0%} {words.less}, "
        f"{100 * gain.accuracy_gained:+.2f} points of accuracy for {words.no_more}"
    )


def report_command(directory: RunDirectory) -> str:
    """The command that makes the report of a search and brings MLflow up to its ledger."""
    return f"python nas/report.py {directory.name}{_runs_flag(directory)}"


def mlflow_lines(tracker: Tracker | None, failure: str | None, uri: str, report: str) -> list[str]:
    """Where the search is to be seen in MLflow; `report` is the command that writes there what is missing."""
    if tracker is None or failure is not None:
        return [f"MLflow   is not up to date ({failure}); the ledger has it all: {report} brings it in"]
    shown = redacted(uri)
    server = shown.replace(f"{HIDDEN}@", "").rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
    lines = [f"front    {server}/{tracker.front_path}", f"report   {server}/{tracker.report_path}"]
    if uri.startswith("http"):
        return ["MLflow", *(f"  {line}" for line in lines)]
    return [f"MLflow   mlflow server --backend-store-uri {shown}", *(f"  {line}" for line in lines)]
