"""The end of a search: its report, its summary, its MLflow runs, and what the terminal says of them."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from nas.pareto import knee
from nas.progress import front_table, measurement_lines, readable_duration
from nas.records import FAILURES, TrialRecord, readable_flops
from nas.redaction import HIDDEN, redacted
from nas.report_files import REPORT_PAGE, write_report
from nas.run_directory import RunDirectory
from nas.search_facts import SearchFacts
from nas.settings import DEFAULT_RUNS_DIRECTORY
from nas.summary import AnchorGain, Summary
from nas.tracking import Tracker


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
    """Writes the report and `summary.json`. The paths of what was written."""
    paths = write_report(directory.report, facts, records)
    text = json.dumps(
        {
            "name": end.name,
            "search_id": end.search_id,
            "interrupted": end.interrupted,
            "search_seconds": end.search_seconds,
            "seconds": end.seconds,
            **summary.to_json(),
        },
        indent=2,
    )
    temporary = directory.summary.with_suffix(".json.part")
    temporary.write_text(text + "\n", encoding="utf-8")
    os.replace(temporary, directory.summary)
    return [*paths, directory.summary]


def drop_checkpoints(directory: RunDirectory, records: tuple[TrialRecord, ...], summary: Summary) -> None:
    """Deletes the checkpoints of trials that have ended and are not on the front."""
    kept = {record.number for record in summary.front}
    for record in records:
        if record.outcome not in ("running", "held") and record.number not in kept:
            shutil.rmtree(directory.checkpoints(record.number), ignore_errors=True)


def note(tracker: Tracker, end: SearchEnd, summary: Summary) -> str:
    """What the MLflow UI shows as the description of the search."""
    return (
        f"{tracker.links} · front of {len(summary.front)}, hypervolume {summary.hypervolume:.4f}, "
        f"{summary.architectures_trained} architectures trained on {end.data}."
    )


def print_conclusion(
    console: Console, directory: RunDirectory, end: SearchEnd, summary: Summary, mlflow_lines: list[str]
) -> None:
    """Prints the front, what it gained, where to look, and what to type next."""
    counts = summary.counts
    console.print(
        f"\n{summary.architectures_trained} architectures in {readable_duration(end.seconds)}: {counts['finished']} "
        f"trained to the end, {counts['stopped']} stopped early, {sum(counts[end] for end in FAILURES)} failed; "
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
            console.print(_gain_text(gain), soft_wrap=True)
    else:
        console.print("\nno architecture was trained to the end, so there is no front yet")
    console.print(f"\nreport   {directory.report / REPORT_PAGE}", soft_wrap=True)
    for line in mlflow_lines:
        console.print(line, soft_wrap=True)
    console.print("\nnext")
    if end.interrupted or counts["running"]:
        console.print(f"  {resume_command(directory)}", soft_wrap=True)
    if summary.front:
        console.print(f"  python nas/export.py {end.name} --pick knee{_runs_flag(directory)}", soft_wrap=True)


def resume_command(directory: RunDirectory) -> str:
    """The command that goes on with a search."""
    return f"python nas/search.py --resume {directory.name}{_runs_flag(directory)}"


def _runs_flag(directory: RunDirectory) -> str:
    return "" if directory.runs == Path(DEFAULT_RUNS_DIRECTORY).resolve() else f" --runs-dir {directory.runs}"


def _gain_text(gain: AnchorGain) -> str:
    against = f"against {gain.label} ({gain.val_accuracy:.2%}, {readable_flops(gain.flops)}): "
    if not gain.flops_saved and not gain.accuracy_gained:
        return against + "nothing beats it"
    return (
        against + f"its accuracy for {gain.flops_saved:.0%} fewer FLOPs, "
        f"{100 * gain.accuracy_gained:+.2f} points of accuracy for no more FLOPs"
    )


def mlflow_lines(tracker: Tracker | None, failure: str | None, uri: str, resume: str) -> list[str]:
    """Where the search is to be seen in MLflow; `resume` is the command that goes on with it."""
    if tracker is None or failure is not None:
        return [f"MLflow   could not be written ({failure}); the ledger has it all: {resume} brings MLflow up to date"]
    shown = redacted(uri)
    server = shown.replace(f"{HIDDEN}@", "").rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
    lines = [f"front    {server}/{tracker.front_path}", f"report   {server}/{tracker.report_path}"]
    if uri.startswith("http"):
        return ["MLflow", *(f"  {line}" for line in lines)]
    return [f"MLflow   mlflow server --backend-store-uri {shown}", *(f"  {line}" for line in lines)]
