"""What the terminal shows of a running search, as plain text: rows of a table, or a line."""

from collections.abc import Sequence
from dataclasses import dataclass

from nas.driver.time_left import time_left_text
from nas.records.summary import Summary
from nas.records.time_left import TimeLeft
from nas.records.trial import FAILURES, Outcome, TrialRecord
from nas.records.whereabouts import has_left
from search_spaces.units import counted, readable_duration

# So many running trials are shown one by one.
MOST_TRIALS_SHOWN = 8

# How the counts of each outcome are called.
_WORDS: dict[Outcome, str] = {
    "running": "running",
    "finished": "finished",
    "held": "held",
    "stopped": "stopped early",
    "inherited": "inherited",
    **{outcome: outcome for outcome in FAILURES},
}


@dataclass(frozen=True, slots=True)
class Progress:
    """A moment of a search of up to `trials` architectures, of `full_epochs` epochs each.

    Its driver began at `began`, in seconds since 1970.
    """

    summary: Summary
    records: Sequence[TrialRecord]
    trials: int
    full_epochs: int
    elapsed_seconds: float
    left: TimeLeft | None
    began: float


def progress_rows(progress: Progress) -> list[tuple[str, str]]:
    """Names and values; a value may have several lines."""
    summary = progress.summary
    counts = summary.counts
    rows = [("front", f"{counted(len(summary.front), 'architecture')}, hypervolume {summary.hypervolume:.4f}")]
    if summary.best and summary.cheapest_near_best:
        rows += [
            ("most accurate", _member(summary.best)),
            ("cheapest within 1 %", _member(summary.cheapest_near_best)),
        ]
    rows += [
        ("trials", f"{architectures_text(progress)}: {counts_text(progress)}"),
        ("not trained", f"{counts['duplicate']} duplicate, {counts['rejected']} rejected"),
    ]
    training = running_lines(progress)
    if training:
        rows.append(("training", "\n".join(training)))
    return [*rows, ("time", time_text(progress))]


def progress_line(progress: Progress) -> str:
    """The same, as far as it fits a line."""
    summary = progress.summary
    best = f", best {summary.best.point[0]:.2%}" if summary.best else ""
    return (
        f"{architectures_text(progress)}: {counts_text(progress)}; "
        f"front {len(summary.front)}{best}; {time_text(progress)}"
    )


def architectures_text(progress: Progress) -> str:
    """How many architectures were trained, for an epoch at least, and how many there may be at most, those that a fork
    took over aside."""
    taken_over = len({record.architecture.id for record in progress.records if record.imported_from is not None})
    beside = f" beside {taken_over} taken over" if taken_over else ""
    most = progress.trials - taken_over
    return f"{progress.summary.architectures_trained} of at most {most} architectures trained{beside}"


def counts_text(progress: Progress) -> str:
    """How many trials are where; what never happened is left out, but for what a search is about."""
    counts = progress.summary.counts
    waiting = sum(_waits(record, progress.began) for record in progress.records)
    elsewhere = {"running": waiting, "finished": progress.summary.results_imported}
    shown = [
        f"{counts[outcome] - elsewhere.get(outcome, 0)} {word}"
        for outcome, word in _WORDS.items()
        if counts[outcome] or outcome in ("running", "finished")
    ]
    if waiting:
        shown.insert(1, f"{waiting} waiting for room")
    return ", ".join(shown)


def running_lines(progress: Progress) -> list[str]:
    """A line for each of the trials that run, with its node where there are several, the latest of many left out."""
    running = [record for record in progress.records if record.outcome == "running"]
    several = len({record.place.node for record in running if record.place is not None}) > 1
    lines = [_running(record, progress, several) for record in running[:MOST_TRIALS_SHOWN]]
    more = len(running) - len(lines)
    return [*lines, f"and {more} more"] if more else lines


def time_text(progress: Progress) -> str:
    """How long the search has run and, where that can be told, how long it still will."""
    left = "" if progress.left is None else f", {time_left_text(progress.left)}"
    return readable_duration(progress.elapsed_seconds) + left


def _running(record: TrialRecord, progress: Progress, with_node: bool) -> str:
    accuracy = "" if record.val_accuracy is None else f", {record.val_accuracy:.2%}"
    node = f"  on {record.place.node}" if with_node and record.place is not None else ""
    if _waits(record, progress.began):
        node = "  waits for room"
    full_epochs = progress.full_epochs if record.inheritance is None else record.inheritance.epochs
    epochs = f"epoch {len(record.epochs)} of {full_epochs}"
    if record.inheritance is not None:
        epochs += f" from the weights of {record.inheritance.parent}"
    return f"{record.number}  {record.architecture.label}  {epochs}{accuracy}{node}"


def _waits(record: TrialRecord, began: float) -> bool:
    """Whether a trial that is not at its end is trained nowhere: an earlier driver left it, or what went wrong did."""
    if record.outcome != "running" or record.place is None:
        return False
    return record.place.since < began or has_left(record.place, record.mishap)


def _member(record: TrialRecord) -> str:
    return f"{record.point[0]:.2%} at {record.readable_cost}  {record.architecture.label}"
