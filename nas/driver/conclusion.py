"""What the terminal says at the end of a search: its front, what it gained, where to look and what to type next."""

import os
from collections.abc import Mapping, Sequence

from rich.console import Console

from nas.driver.commands import export_command, train_fully_command
from nas.driver.front_table import front_table, knee_line, measurement_lines
from nas.driver.result_files import SearchEnd
from nas.driver.texts import print_pasted, print_table, print_text
from nas.records.anchor_gains import AnchorGain, Comparison
from nas.records.left_out_nodes import LeftOutNode
from nas.records.objectives import COSTS, readable_cost
from nas.records.pareto import knee
from nas.records.summary import Summary
from nas.records.trial import FAILURES
from nas.reporting.style import REPORT_PAGE
from nas.settings.addresses import HIDDEN, redacted
from nas.settings.run_directory import RunDirectory
from nas.settings.store_settings import LEDGER_VARIABLE
from nas.tracking.tracker import Tracker
from search_spaces.errors import printable
from search_spaces.pasted_commands import shell_word
from search_spaces.units import counted, readable_duration
from trainers.intervals import CONFIDENCE
from trainers.recipe_files import full_training

# So many reasons of failed trials are listed.
MOST_REASONS = 5


def print_conclusion(
    console: Console,
    directory: RunDirectory,
    end: SearchEnd,
    summary: Summary,
    mlflow_lines: list[str],
    further: str | None,
    uncounted: Sequence[str] = (),
) -> None:
    """Prints what ended the search, its front, what it gained, where to look, and what to type next.

    `further` is the command that goes on with it; None where there is none. `uncounted` says what of the front does not
    count.
    """
    unfinished = summary.counts["running"] + summary.counts["held"]
    kept = "; what is cut off or held goes on where it was" if unfinished else ""
    print_text(console, f"\nended by {end.ending.cause}{kept}")
    print_text(console, _counts_text(summary, end))
    for line in [*_failure_lines(summary), *_node_lines(end)]:
        print_text(console, line)
    knee_number = None
    if summary.front:
        knee_number = summary.front[knee([record.point for record in summary.front])].number
        members = counted(len(summary.front), "architecture")
        print_text(console, f"\nthe front: {members}, hypervolume {summary.hypervolume:.4f}\n")
        print_table(console, front_table(summary.front, knee_number))
        for line in [*uncounted, *measurement_lines(summary.front)]:
            print_text(console, line)
        for line in [knee_line(summary.front, summary.cost_names), *gain_lines(summary)]:
            print_text(console, line)
        print_text(console, _full_training_text(summary, end.data))
    else:
        print_text(console, "\nno architecture was trained to the end, so there is no front yet")
    print_pasted(console, f"\nreport   {printable(str(directory.report / REPORT_PAGE))}")
    if directory.storage is not None:
        print_pasted(console, f"storage  {printable(str(directory.kept))}")
    for line in mlflow_lines:
        print_pasted(console, line)
    following = [] if knee_number is None else [export_command(directory), train_fully_command(directory)]
    if further is not None:
        # What is not at its end goes on first.
        following.insert(0 if end.interrupted or unfinished else len(following), further)
    if following:
        # What was typed on the line has to be given again: a search keeps no password.
        note = directory.ledger_note
        needs_address = note.is_file() and HIDDEN in note.read_text("utf-8") and not os.environ.get(LEDGER_VARIABLE)
        heading = f"\nnext, with the ledger's address in {LEDGER_VARIABLE}" if needs_address else "\nnext"
        print_pasted(console, "\n  ".join([heading, *following]))


def _counts_text(summary: Summary, end: SearchEnd) -> str:
    """What became of the trials, and how long that took this driver. What is unfinished is named where there is any."""
    counts = summary.counts
    imported = f" beside {summary.results_imported} results taken over" if summary.results_imported else ""
    ends = [
        f"{counts['finished'] - summary.results_imported} trained to the end",
        f"{counts['stopped']} stopped early",
        f"{sum(counts[outcome] for outcome in FAILURES)} failed",
    ]
    if summary.only_inherited:
        ends.append(f"{summary.only_inherited} only looked at with inherited weights")
    if counts["held"]:
        ends.append(f"{counts['held']} held at a rung")
    if counts["running"]:
        ends.append(f"{counts['running']} cut off")
    took = readable_duration(end.seconds)
    return (
        f"{counted(summary.architectures_trained, 'architecture')}{imported}"
        f"{f', {took} since it went on' if end.has_gone_on else f' in {took}'}: "
        f"{', '.join(ends)}; "
        f"{counts['duplicate']} duplicates and {counts['rejected']} over the limit cost nothing"
    )


def _failure_lines(summary: Summary) -> list[str]:
    """Why trials failed, the most frequent reasons first."""
    reasons = list(summary.failure_reasons.items())
    lines = [f"  {count} × {reason}" for reason, count in reasons[:MOST_REASONS]]
    more = sum(count for _, count in reasons[MOST_REASONS:])
    return [*lines, f"  {more} for other reasons, which summary.json has"] if more else lines


def _node_lines(end: SearchEnd) -> list[str]:
    """The nodes that were left out, each once, with what it was for last."""
    reasons: dict[str, list[LeftOutNode]] = {}
    for left in end.nodes_left_out:
        reasons.setdefault(left.node, []).append(left)
    return [
        f"node {name} was left out{'' if len(times) == 1 else f' {len(times)} times'}"
        f"{' and still is' if times[-1].until is None else ''}: {times[-1].reason}"
        for name, times in reasons.items()
    ]


def gain_lines(summary: Summary) -> list[str]:
    """What the front offers over each anchor at equal cost and at equal accuracy, and how sure that is."""
    lines = []
    for of_anchor in summary.gains_by_anchor:
        costs = ", ".join(readable_cost(gain.cost, gain.cost_name) for gain in of_anchor)
        lines.append(f"against {of_anchor[0].label} ({of_anchor[0].val_accuracy:.2%}, {costs}):")
        lines += [f"  at equal {COSTS[gain.cost_name].noun}: {_more_accurate(gain, summary)}" for gain in of_anchor]
        lines += [f"  at equal accuracy: {_cheaper(gain, summary)}" for gain in of_anchor]
    if lines and summary.validation_images is not None:
        lines.append(
            f"± and ranges: {CONFIDENCE:.0%} intervals, binomial, of the {summary.validation_images:,} validation "
            "images; the front was chosen on these, too, which flatters it"
        )
    return lines


def _more_accurate(gain: AnchorGain, summary: Summary) -> str:
    found, dearer = gain.most_accurate, gain.slightly_dearer
    better = f"{_points(found)} (trial {found.number})"
    text = better if found.points > 0 else _nothing("is more accurate", summary)
    if dearer is None:
        return text
    noun = COSTS[gain.cost_name].noun
    return f"{text}; {_points(dearer)} for {-dearer.saved:.1%} more {noun} (trial {dearer.number})"


def _cheaper(gain: AnchorGain, summary: Summary) -> str:
    found, perhaps, less = gain.cheapest, gain.perhaps_as_accurate, COSTS[gain.cost_name].less
    if found.saved <= 0:
        # Of several costs it has to be said of which.
        text = _nothing("is cheaper" if len(summary.cost_names) == 1 else f"has {less}", summary)
    else:
        low, high = gain.saved_range or (0.0, 0.0)
        # A range that is no wider than what is printed says nothing.
        wide = gain.saved_range is not None and f"{low:.0%}" != f"{high:.0%}"
        text = f"{found.saved:.0%} {less}{f', {low:.0%} to {high:.0%}' if wide else ''} (trial {found.number})"
    if perhaps is None or found.saved > 0:
        return text
    return (
        f"{text}; {perhaps.saved:.0%} {less} at {_points(perhaps)} (trial {perhaps.number}), which so many images "
        "cannot tell from none"
    )


def _nothing(what: str, summary: Summary) -> str:
    failed = sum(summary.counts[outcome] for outcome in FAILURES)
    return f"nothing that was trained {what}, and {failed} failed" if failed else f"nothing {what}"


def _points(found: Comparison) -> str:
    margin = "" if found.margin is None else f" ± {100 * found.margin:.2f}"
    return f"{100 * found.points:+.2f}{margin} points"


def _full_training_text(summary: Summary, data: str) -> str:
    """What is to be kept in mind of the accuracies of a front."""
    # Anchors that are over a limit are trained nowhere.
    beside = " and the anchors reach" if summary.anchor_gains else " reaches"
    epochs = len(summary.front[0].epochs)
    return (
        f"these are accuracies after {counted(epochs, 'epoch')}; train_fully.py shows what its most accurate "
        f"member{beside} in a full training of {full_training(data).epochs}"
    )


def mlflow_lines(tracker: Tracker | None, failure: str | None, uri: str, report: str) -> list[str]:
    """Where the search is to be seen in MLflow; `report` is the command that writes there what is missing."""
    if tracker is None or failure is not None:
        return [f"MLflow   is not up to date ({failure}); the ledger has it all: {report} brings it in"]
    return shown_at(uri, {"front": tracker.front_path, "report": tracker.report_path})


def shown_at(uri: str, paths: Mapping[str, str]) -> list[str]:
    """Where things are to be seen in the MLflow UI of a store, by their names; `paths` are from its server on."""
    shown = redacted(uri)
    server = shown.replace(f"{HIDDEN}@", "").rstrip("/") if uri.startswith("http") else "http://127.0.0.1:5000"
    lines = [f"{name:<8} {server}/{path}" for name, path in paths.items()]
    if uri.startswith("http"):
        return ["MLflow", *(f"  {line}" for line in lines)]
    return [f"MLflow   mlflow server --backend-store-uri {shell_word(shown)}", *(f"  {line}" for line in lines)]
