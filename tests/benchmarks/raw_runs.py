"""Simulated searches as plain data, a line of JSON each: what every figure of search_quality is worked out from."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nas.records.pareto import Point, front, hypervolume
from search_spaces.errors import UserError
from tests.benchmarks.forecasts import Score
from tests.benchmarks.simulation import Run
from tests.benchmarks.table import Table

FORMAT = "search-quality-run/1"


@dataclass(frozen=True, slots=True)
class Problem:
    """What a search was put before. `reference` is (least accuracy, most FLOPs); `budget` is in epochs.

    `observed` is the accuracy column that it saw, None where that was the mean of all.
    """

    table: str
    reference: Point
    epochs: int
    budget: float
    workers: int
    observed: str | None


@dataclass(frozen=True, slots=True)
class RawRun:
    """One search. rows: of the table, in the order in which their trainings ended, at `spent` epochs.

    shares: of the true hypervolume, after each of them. cheap_third: that of the cheap third at the end.
    proposal_seconds: the mean.
    """

    problem: Problem
    method: str
    seed: int
    rows: tuple[int, ...]
    spent: tuple[int, ...]
    shares: tuple[float, ...]
    cheap_third: float
    duplicates: int
    proposal_seconds: float
    scores: tuple[Score, ...]

    def share_after(self, epochs: float) -> float:
        """Of the true hypervolume, by what had ended when so many epochs were spent."""
        ended = [share for share, spent in zip(self.shares, self.spent, strict=True) if spent <= epochs]
        return ended[-1] if ended else 0.0

    def evaluations_to(self, share: float) -> int | None:
        """Full trainings until the share was reached, counted one by one also where several end at once."""
        return next((count for count, reached in enumerate(self.shares, 1) if reached >= share - 1e-12), None)

    def epochs_to(self, share: float) -> int | None:
        """The epochs spent when the share was reached."""
        count = self.evaluations_to(share)
        return None if count is None else self.spent[count - 1]


def raw_run(
    problem: Problem, method: str, seed: int, run: Run, table: Table, cheap: Point, scores: Sequence[Score]
) -> RawRun:
    """A simulated search as plain data; `cheap` is the reference of the cheap third."""
    rows = tuple(row for _, row in run.finished)
    full = table.hypervolume(problem.reference)
    cheap_volume = table.hypervolume(cheap)
    shares, best = [], list[Point]()
    for row in rows:
        best += table.points([row])
        best = [best[index] for index in front(best)]
        shares.append(hypervolume(best, problem.reference) / full)
    return RawRun(
        problem=problem,
        method=method,
        seed=seed,
        rows=rows,
        spent=tuple(spent for spent, _ in run.finished),
        shares=tuple(shares),
        # Where there is nothing cheap to be found, all of it is.
        cheap_third=hypervolume(table.points(rows), cheap) / cheap_volume if cheap_volume else 1.0,
        duplicates=run.duplicates,
        proposal_seconds=sum(run.proposal_seconds) / max(len(run.proposal_seconds), 1),
        scores=tuple(scores),
    )


def written(run: RawRun) -> str:
    """A run as a line."""
    return json.dumps({"format": FORMAT, **asdict(run)}) + "\n"


def read_runs(path: Path) -> list[RawRun]:
    """The runs of a file of lines. Raises UserError where it cannot be read, or holds something else."""
    try:
        return list(_parsed(path.read_text(encoding="utf-8").splitlines()))
    except OSError as error:
        raise UserError(f"runs {str(path)!r} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"runs {str(path)!r}: expected lines of {FORMAT} ({error}).") from None


def _parsed(lines: Iterable[str]) -> Iterable[RawRun]:
    for line in lines:
        values = json.loads(line)
        if values.pop("format") != FORMAT:
            raise ValueError("another format")
        accuracy, flops = values["problem"].pop("reference")
        problem = Problem(reference=(accuracy, flops), **values.pop("problem"))
        scores = tuple(Score(**score) for score in values.pop("scores"))
        for name in ("rows", "spent", "shares"):
            values[name] = tuple(values[name])
        yield RawRun(problem=problem, scores=scores, **values)
