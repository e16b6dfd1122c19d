"""What a search knows of its trials, as plain data."""

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from nas.pareto import Point, front, hypervolume
from search_spaces.architecture import Architecture
from trainers.inference import InferenceCost
from trainers.loop import EpochResult

Outcome = Literal[
    "running", "held", "finished", "stopped", "diverged", "failed", "crashed", "oom", "rejected", "duplicate"
]

# What each outcome means, in the order in which tables show them.
OUTCOMES: dict[Outcome, str] = {
    "running": "training, or cut off and waiting to be resumed",
    "held": "waiting at a rung, to be promoted if nothing fresh is worth more",
    "finished": "trained for the full budget",
    "stopped": "stopped at a rung, others there being better",
    "diverged": "ended by a loss that is not a number",
    "failed": "ended by an error",
    "crashed": "ended by the death of its worker, twice",
    "oom": "ended by the death of its worker for want of memory, twice",
    "rejected": "over a limit, never trained",
    "duplicate": "an architecture that has a trial already, never trained again",
}

# The outcomes of trials that could not be trained, which say nothing of what their architectures are worth.
FAILURES: tuple[Outcome, ...] = ("diverged", "failed", "crashed", "oom")


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One proposal and what became of it. `flops` are of one image, 2 a multiply-add; times are seconds since 1970.

    `inference` is what it was measured to cost, which the members of the front are at the end of a search. `replicate`
    counts the trainings of one architecture from 0. `repeats` holds the final accuracies of all of them, on the record
    that stands for the architecture, where there are several. `deaths` counts the workers that died training it.
    """

    number: int
    architecture: Architecture
    flops: int
    params: int
    seed: int
    outcome: Outcome
    epochs: tuple[EpochResult, ...] = ()
    anchor: bool = False
    replicate: int = 0
    reason: str | None = None
    duplicate_of: int | None = None
    started_at: float | None = None
    finished_at: float | None = None
    inference: InferenceCost | None = None
    repeats: tuple[float, ...] = ()
    deaths: int = 0

    @property
    def val_accuracy(self) -> float | None:
        """Validation accuracy after the last epoch trained, or None before the first."""
        return self.epochs[-1].val_accuracy if self.epochs else None

    @property
    def point(self) -> Point:
        """(validation accuracy, FLOPs) after the last epoch trained, the mean of all trainings where there are several.

        Only for trials that have one.
        """
        assert self.epochs, self.number
        if self.repeats:
            return statistics.fmean(self.repeats), float(self.flops)
        return self.epochs[-1].val_accuracy, float(self.flops)

    @property
    def trained(self) -> bool:
        """Whether the trial was given to a worker at all."""
        return self.outcome not in ("rejected", "duplicate")

    @property
    def name(self) -> str:
        """The trial as a person reads it: `0042 · R26 w64 · c C A7×8r A7×8r A5×4n · 1.90 GFLOPs`."""
        return f"{self.number:04d} · {self.architecture.label} · {readable_flops(self.flops)}"

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number,
            "architecture_id": self.architecture.id,
            "architecture": self.architecture.to_json(),
            "label": self.architecture.label,
            "flops": self.flops,
            "params": self.params,
            "seed": self.seed,
            "outcome": self.outcome,
            "epochs": len(self.epochs),
            "val_accuracy": self.val_accuracy,
            "latency_ms": None if self.inference is None else self.inference.latency_ms,
            "peak_memory_mb": None if self.inference is None else self.inference.peak_memory_mb,
            "anchor": self.anchor,
            "replicate": self.replicate,
            "repeats": list(self.repeats),
            "reason": self.reason,
            "duplicate_of": self.duplicate_of,
        }


def readable_flops(flops: float) -> str:
    """FLOPs in the unit that fits, three digits: `1.90 GFLOPs`."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if flops >= size:
            return f"{flops / size:.3g} {unit}FLOPs"
    return f"{flops:.3g} FLOPs"


def finished(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The architectures with a full-budget result, the only ones that make the official front.

    One that was trained several times is represented by its first training, with the others' results as `repeats`.
    """
    trainings: dict[str, list[TrialRecord]] = {}
    for record in records:
        if record.outcome == "finished":
            trainings.setdefault(record.architecture.id, []).append(record)
    return [_merged(sorted(several, key=lambda record: record.number)) for several in trainings.values()]


def _merged(trainings: Sequence[TrialRecord]) -> TrialRecord:
    if len(trainings) == 1:
        return trainings[0]
    return replace(trainings[0], repeats=tuple(record.epochs[-1].val_accuracy for record in trainings))


def architectures_started(records: Iterable[TrialRecord]) -> Counter[str]:
    """How many trainings of each architecture were given to a worker, by its id."""
    return Counter(record.architecture.id for record in records if record.trained)


def front_of(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """The official front, by rising FLOPs."""
    candidates = finished(records)
    return [candidates[index] for index in front([record.point for record in candidates])]


def counts(records: Iterable[TrialRecord]) -> dict[Outcome, int]:
    """How many trials ended in each outcome, zeros included."""
    numbers = dict.fromkeys(OUTCOMES, 0)
    for record in records:
        numbers[record.outcome] += 1
    return numbers


def front_hypervolume(records: Iterable[TrialRecord], reference: Point) -> float:
    """The hypervolume of the official front, as a fraction of the box between `reference` and (1, 0 FLOPs)."""
    points = [record.point for record in finished(records)]
    return hypervolume(points, reference) / ((1 - reference[0]) * reference[1])


def hypervolume_history(records: Sequence[TrialRecord], reference: Point) -> list[tuple[float, float]]:
    """(finished_at, hypervolume) after each full-budget result, in the order in which they came."""
    history: list[tuple[float, float]] = []
    members: list[Point] = []
    volume = 0.0
    for record in sorted(finished(records), key=lambda record: record.finished_at or 0.0):
        accuracy, flops = record.point
        # Most results are no news to the front, which is small beside all results.
        if not any(member[0] >= accuracy and member[1] <= flops for member in members):
            members = [member for member in members if member[0] > accuracy or member[1] < flops]
            members.append((accuracy, flops))
            volume = hypervolume(members, reference) / ((1 - reference[0]) * reference[1])
        history.append((record.finished_at or 0.0, volume))
    return history
