"""What searches reached before, kept as JSON, and whether they reach less now."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from scipy.stats import mannwhitneyu

from search_spaces.errors import UserError
from tests.benchmarks.raw_runs import Problem, RawRun

FORMAT = "search-quality-baseline/1"
# A fall of the median this unlikely to be chance is one.
SIGNIFICANCE = 0.01


@dataclass(frozen=True, slots=True)
class Baseline:
    """Of one method on one problem: by checkpoint the share of the hypervolume that each seed reached there."""

    problem: Problem
    method: str
    shares: dict[int, tuple[float, ...]]


@dataclass(frozen=True, slots=True)
class Change:
    """Of the median share at one checkpoint. `p` is that of a two-sided Mann-Whitney U test of the seeds' shares."""

    problem: Problem
    method: str
    checkpoint: int
    before: float
    now: float
    p: float

    @property
    def worse(self) -> bool:
        return self.now < self.before and self.p < SIGNIFICANCE


def baseline_of(runs: Sequence[RawRun], checkpoints: Sequence[int]) -> Baseline:
    """Of all runs of one method on one problem; shares to a hundredth of a per cent."""
    first = runs[0]
    assert {(run.problem, run.method) for run in runs} == {(first.problem, first.method)}
    epochs = first.problem.epochs
    shares = {count: tuple(round(run.share_after(count * epochs), 4) for run in runs) for count in checkpoints}
    return Baseline(first.problem, first.method, shares)


def changes(before: Baseline, now: Baseline) -> list[Change]:
    """At every checkpoint that both have."""
    return [
        Change(
            now.problem,
            now.method,
            count,
            median(before.shares[count]),
            median(now.shares[count]),
            float(mannwhitneyu(before.shares[count], now.shares[count]).pvalue),
        )
        for count in sorted(before.shares.keys() & now.shares.keys())
    ]


def write_baselines(path: Path, baselines: Sequence[Baseline]) -> None:
    """A file of baselines. A list of seeds stands on one line."""
    entries = []
    for one in baselines:
        shares = {str(count): list(values) for count, values in one.shares.items()}
        lines = ",\n".join(f"      {json.dumps(count)}: {json.dumps(values)}" for count, values in shares.items())
        entries.append(
            f'  {{\n    "problem": {json.dumps(asdict(one.problem))},\n    "method": {json.dumps(one.method)},\n'
            f'    "shares": {{\n{lines}\n    }}\n  }}'
        )
    body = ",\n".join(entries)
    path.write_text(f'{{"format": "{FORMAT}", "baselines": [\n{body}\n]}}\n', encoding="utf-8")


def read_baselines(path: Path) -> list[Baseline]:
    """Those of a file. Raises UserError where it cannot be read, or holds something else."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError("another format")
        return [_read(entry) for entry in document["baselines"]]
    except OSError as error:
        raise UserError(f"baseline {str(path)!r} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"baseline {str(path)!r}: expected {FORMAT} ({error}).") from None


def _read(entry: dict[str, dict[str, list[float]]]) -> Baseline:
    problem = {**entry["problem"], "reference": tuple(entry["problem"]["reference"])}
    shares = {int(count): tuple(values) for count, values in entry["shares"].items()}
    return Baseline(Problem(**problem), str(entry["method"]), shares)  # type: ignore[arg-type]
