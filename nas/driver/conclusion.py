"""What the terminal says at the end of a search: its front, what it gained, where to look and what to type next."""

from rich.console import Console

from nas.driver.commands import export_command
from nas.driver.front_table import front_table, measurement_lines
from nas.driver.result_files import SearchEnd
from nas.records.objectives import COSTS, CostName, readable_cost
from nas.records.pareto import knee
from nas.records.summary import AnchorGain, Summary
from nas.records.trial import FAILURES
from nas.reporting.style import REPORT_PAGE
from nas.settings.addresses import HIDDEN, redacted
from nas.settings.run_directory import RunDirectory
from nas.tracking.tracker import Tracker
from search_spaces.units import readable_duration


def print_conclusion(
    console: Console, directory: RunDirectory, end: SearchEnd, summary: Summary, mlflow_lines: list[str], resume: str
) -> None:
    """Prints the front, what it gained, where to look, and what to type next: `resume` where there is more to do."""
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
    following = [resume] if end.interrupted or counts["running"] else []
    # There is nothing to export of an architecture whose weights are not kept.
    if summary.front and directory.checkpoints(best.number).is_dir():
        following.append(export_command(directory))
    if following:
        console.print("\n  ".join(["\nnext", *following]), soft_wrap=True)


def _gain_text(gain: AnchorGain, cost_name: CostName) -> str:
    words = COSTS[cost_name]
    against = f"against {gain.label} ({gain.val_accuracy:.2%}, {readable_cost(gain.cost, cost_name)}): "
    if not gain.cost_saved and not gain.accuracy_gained:
        return against + "nothing beats it"
    return (
        against + f"its accuracy for {gain.cost_saved:.0%} {words.less}, "
        f"{100 * gain.accuracy_gained:+.2f} points of accuracy for {words.no_more}"
    )


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
