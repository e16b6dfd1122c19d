"""The figures of search_quality: medians, quartiles and the worst seed of raw runs, as lines to print and as JSON."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.benchmarks.baselines import Change
from tests.benchmarks.raw_runs import RawRun

SHARES = (0.95, 0.98, 0.99)
CHECKPOINTS = (25, 50, 100, 200)
# Full trainings' worth of epochs after which searches with learning curves are looked at.
BUDGETS = (25, 50, 100)
OURS, OURS_ON_CURVES, STANDARD_ON_CURVES = "ehvi", "ehvi+pareto", "tpe-multivariate+asha"


def evaluation_heading(checkpoints: Sequence[int]) -> str:
    shares = "".join(f"{f'to {share:.0%}':>27}" for share in SHARES)
    volumes = "".join(f"{f'HV at {count}':>26}" for count in checkpoints)
    return f"median (quartiles) worst seed\n{'method':<26}{shares}{volumes}{'repeats':>9}{'s/proposal':>12}"


def evaluation_line(method: str, runs: Sequence[RawRun], checkpoints: Sequence[int]) -> str:
    """What a method needed and reached, all trainings having run to their end."""
    line = "".join(f"{_counts([run.evaluations_to(share) for run in runs]):>27}" for share in SHARES)
    line += "".join(f"{_shares([run.share_after(count) for run in runs]):>26}" for count in checkpoints)
    duplicates = np.median([run.duplicates for run in runs])
    return f"{method:<26}{line}{duplicates:>9.0f}{np.median([run.proposal_seconds for run in runs]):>12.3f}"


def evaluation_results(runs: Sequence[RawRun], checkpoints: Sequence[int]) -> dict[str, Any]:
    return {
        "evaluations_to": {f"{share:.2f}": [run.evaluations_to(share) for run in runs] for share in SHARES},
        "hypervolume_at": {count: [run.share_after(count) for run in runs] for count in checkpoints},
        "duplicates": [run.duplicates for run in runs],
        "proposal_seconds": [run.proposal_seconds for run in runs],
        "scores": {
            count: {
                "crps": [score.crps for run in runs for score in run.scores if score.evaluations == count],
                "coverage": [score.coverage for run in runs for score in run.scores if score.evaluations == count],
            }
            for count in checkpoints
        },
    }


def score_line(runs: Sequence[RawRun], checkpoints: Sequence[int]) -> str:
    """The proper score of what was predicted near the front, and the coverage of the 90 % intervals; medians."""
    parts = []
    for count in checkpoints:
        scores = [score for run in runs for score in run.scores if score.evaluations == count]
        if scores:
            crps, coverage = (np.median([getattr(score, name) for score in scores]) for name in ("crps", "coverage"))
            parts.append(f"{crps:.3f} and {coverage:.0%} after {count}")
    return f"predictions near the front, CRPS of the log error and coverage of 90 % intervals: {', '.join(parts)}"


def evaluation_ratios(runs: dict[str, list[RawRun]]) -> list[str]:
    """How many times the evaluations of the search each other method needed."""
    if OURS not in runs:
        return []
    ours = {share: _median([run.evaluations_to(share) for run in runs[OURS]]) for share in SHARES}
    lines = []
    for method, others in runs.items():
        if method != OURS:
            parts = []
            for share in SHARES:
                theirs = _median([run.evaluations_to(share) for run in others])
                text = f"{theirs / ours[share]:.1f}×" if math.isfinite(theirs) else "more than the budget"
                parts.append(f"{share:.0%} {text if math.isfinite(ours[share]) else 'not reached'}")
            lines.append(f"evaluations of {method} against {OURS}: {', '.join(parts)}")
    return lines


def curve_heading(epochs: int, rungs: Sequence[int], budgets: Sequence[int]) -> str:
    heading = "".join(f"{f'HV at {count}':>26}" for count in budgets)
    return (
        f"epochs of {epochs} a full training, rungs at {', '.join(map(str, rungs))}; median (quartiles) worst seed\n"
        f"{'method':<26}{heading}{'cheap third':>26}{'epochs to 90 %':>26}"
    )


def curve_line(method: str, runs: dict[int, list[RawRun]]) -> str:
    """`runs` by budget: a budget is known from the start, so each is a search of its own."""
    largest = runs[max(runs)]
    line = "".join(f"{_shares([run.share_after(run.problem.budget) for run in some]):>26}" for some in runs.values())
    line += f"{_shares([run.cheap_third for run in largest]):>26}"
    return f"{method:<26}{line}{_counts([run.epochs_to(0.9) for run in largest]):>26}"


def forecast_line(method: str, runs: dict[int, list[RawRun]]) -> list[str]:
    """The score and the coverage of what was said of trials at rungs, where something was; medians of the seeds."""
    parts = []
    for count, some in runs.items():
        scores = [score for run in some for score in run.scores]
        if scores:
            crps, coverage = (np.median([getattr(score, name) for score in scores]) for name in ("crps", "coverage"))
            parts.append(f"{crps:.3f} and {coverage:.0%} at {count}")
    texts = ", ".join(parts)
    return [f"  forecasts at rungs, CRPS of the log error and coverage of 90 % intervals: {texts}"] if parts else []


def curve_results(runs: dict[int, list[RawRun]]) -> dict[str, Any]:
    largest = runs[max(runs)]
    volumes = {count: [run.share_after(run.problem.budget) for run in some] for count, some in runs.items()}
    return {
        "hypervolume_at": volumes,
        "cheap_third": [run.cheap_third for run in largest],
        "epochs_to_0.90": [run.epochs_to(0.9) for run in largest],
    }


def curve_ratio(results: dict[str, dict[str, Any]], most_epochs: float) -> list[str]:
    if not {OURS_ON_CURVES, STANDARD_ON_CURVES} <= results.keys():
        return []
    ours, theirs = (_median(results[name]["epochs_to_0.90"]) for name in (OURS_ON_CURVES, STANDARD_ON_CURVES))
    ratio = f"{theirs / ours:.1f}×" if math.isfinite(theirs) else f"more than {most_epochs / ours:.1f}×"
    ratio = ratio if math.isfinite(ours) else "not reached"
    return [f"epochs of {STANDARD_ON_CURVES} to 90 % against {OURS_ON_CURVES}: {ratio}"]


def change_line(change: Change) -> str:
    """A change against a baseline."""
    mark = "  WORSE" if change.worse else ""
    return (
        f"{change.problem.table}, {change.method}, HV at {change.checkpoint}: {100 * change.before:.1f} before, "
        f"{100 * change.now:.1f} now, p = {change.p:.3f}{mark}"
    )


def _median(values: Sequence[float | None]) -> float:
    return float(np.median([math.inf if value is None else value for value in values]))


def _counts(values: Sequence[float | None]) -> str:
    """Of evaluations or epochs, of which fewer are better; None is never."""

    def text(value: float) -> str:
        return f"{value:.0f}" if math.isfinite(value) else "never"

    numbers = [math.inf if value is None else value for value in values]
    low, middle, high = (float(np.percentile(numbers, q, method="closest_observation")) for q in (25, 50, 75))
    return f"{text(middle)} ({text(low)}–{text(high)}) {text(max(numbers))}"


def _shares(values: Sequence[float]) -> str:
    low, middle, high = (100 * float(np.percentile(values, q)) for q in (25, 50, 75))
    return f"{middle:.1f} ({low:.1f}–{high:.1f}) {100 * min(values):.1f}"
