"""What a search knows of its trials, as plain data."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nas.pareto import Point, front, hypervolume
from search_spaces.architecture import Architecture
from trainers.loop import EpochResult

Outcome = Literal["running", "finished", "stopped", "diverged", "failed", "rejected", "duplicate"]

# What each outcome means, in the order in which tables show them.
OUTCOMES: dict[Outcome, str] = {
    "running": "training, or cut off and waiting to be resumed",
    "finished": "trained for the full budget",
    "stopped": "stopped at a rung, others there being better",
    "diverged": "ended by a loss that is not a number",
    "failed": "ended by an error",
    "rejected": "over a limit, never trained",
    "duplicate": "an architecture that has a trial already, never trained again",
}


@dataclass(frozen=True, slots=True)
class TrialRecord:
    """One proposal and what became of it. `flops` are of one image, 2 a multiply-add; times are seconds since 1970."""

    number: int
    architecture: Architecture
    flops: int
    params: int
    seed: int
    outcome: Outcome
    epochs: tuple[EpochResult, ...] = ()
    anchor: bool = False
    reason: str | None = None
    duplicate_of: int | None = None
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def val_accuracy(self) -> float | None:
        """Validation accuracy after the last epoch trained, or None before the first."""
        return self.epochs[-1].val_accuracy if self.epochs else None

    @property
    def point(self) -> Point:
        """(validation accuracy, FLOPs) after the last epoch trained. Only for trials that have one."""
        assert self.epochs, self.number
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
            "anchor": self.anchor,
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
    """The trials with a full-budget result, the only ones that make the official front."""
    return [record for record in records if record.outcome == "finished"]


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
    arrived = sorted(finished(records), key=lambda record: record.finished_at or 0.0)
    return [
        (record.finished_at or 0.0, front_hypervolume(arrived[: index + 1], reference))
        for index, record in enumerate(arrived)
    ]
