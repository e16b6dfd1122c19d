"""A trial as a search knows it: what was proposed, what became of it, and how far it was trained."""

import statistics
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from nas.records.inheritance import Inheritance
from nas.records.objectives import CostName, readable_cost
from nas.records.pareto import Point
from nas.records.whereabouts import GpuUse, Mishap, Place
from search_spaces.architecture import Architecture
from search_spaces.units import readable_flops
from trainers.epoch_result import EpochResult
from trainers.inference_cost import InferenceCost

Outcome = Literal[
    "running", "held", "finished", "stopped", "inherited", "diverged", "failed", "crashed", "oom", "rejected",
    "duplicate",
]  # fmt: skip

# What each outcome means, in the order in which tables show them.
OUTCOMES: dict[Outcome, str] = {
    "running": "training, or cut off and waiting to be resumed",
    "held": "waiting at a rung, to be promoted if nothing fresh is worth more",
    "finished": "trained for the full budget",
    "stopped": "stopped at a rung, others there being better",
    "inherited": "trained briefly from another's weights, which is compared with nothing trained from scratch",
    "diverged": "ended by a loss that is not a number",
    "failed": "ended by an error",
    "crashed": "ended by the death of its worker, twice",
    "oom": "ended for want of memory, twice: of the GPU, or of the machine by the death of its worker",
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
    `imported_from` is the search and the trial, as "OLD/12", that measured it where a fork has taken it over.
    `inheritance` says from whose weights it was trained, briefly; None is from scratch.
    `cost_names` are what its search weighs accuracy against; where latency is among them, `latency_ms` is what its
    worker measured before it trained (`nas.workers.relative_latency`), another number than that of `inference`.
    The last decision on the trial was taken after epoch `decided_epoch`, 0 before the first; in a deterministic search
    it trains since the virtual time `stretch_start`, from epoch `stretch_epoch` on (`nas.engine.virtual_time`).
    `place` is the node that it was given to last, `reported_at` when its last epoch was reported, and `gpu` what was in
    use there then; `mishap` is what went wrong last.
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
    imported_from: str | None = None
    inheritance: Inheritance | None = None
    cost_names: tuple[CostName, ...] = ("flops",)
    latency_ms: float | None = None
    decided_epoch: int = 0
    stretch_start: int = 0
    stretch_epoch: int = 0
    place: Place | None = None
    reported_at: float | None = None
    gpu: GpuUse | None = None
    mishap: Mishap | None = None

    @property
    def val_accuracy(self) -> float | None:
        """Validation accuracy after the last epoch trained, or None before the first."""
        return self.epochs[-1].val_accuracy if self.epochs else None

    @property
    def cost_name(self) -> CostName:
        """The first of the costs that the search weighs accuracy against: that of its axis and its tables."""
        return self.cost_names[0]

    @property
    def cost(self) -> float:
        """The first of the costs that the search weighs accuracy against."""
        return self.cost_in(self.cost_name)

    def cost_in(self, name: CostName) -> float:
        """A cost. Latency is known from before the first epoch on, in a search on it."""
        if name == "flops":
            return self.flops
        if name == "params":
            return self.params
        assert self.latency_ms is not None, self.number
        return self.latency_ms

    @property
    def point(self) -> Point:
        """(validation accuracy, cost, …) after the last epoch trained, the mean of all trainings where there are
        several.

        Only for trials that have one.
        """
        assert self.epochs, self.number
        accuracy = statistics.fmean(self.repeats) if self.repeats else self.epochs[-1].val_accuracy
        return accuracy, *(float(self.cost_in(name)) for name in self.cost_names)

    @property
    def trained(self) -> bool:
        """Whether the trial was given to a worker at all."""
        return self.outcome not in ("rejected", "duplicate")

    @property
    def is_comparable(self) -> bool:
        """Whether it was trained, from scratch, so that its accuracies may stand beside those of others."""
        return bool(self.epochs) and self.inheritance is None

    @property
    def inherited_accuracy(self) -> float | None:
        """What a training from inherited weights came to; None where it was none, or has not come to its end."""
        if self.inheritance is None or len(self.epochs) < self.inheritance.epochs:
            return None
        return self.epochs[-1].val_accuracy

    @property
    def name(self) -> str:
        """The trial as a person reads it: `0042 · R26 w64 · c C A7×8r A7×8r A5×4n · 1.90 GFLOPs`."""
        return f"{self.number:04d} · {self.architecture.label} · {readable_flops(self.flops)}"

    @property
    def readable_cost(self) -> str:
        """What the search weighs accuracy against, with units: `1.9 GFLOPs`, or `1.9 GFLOPs, 12,345 parameters`."""
        return ", ".join(readable_cost(self.cost_in(name), name) for name in self.cost_names)

    @property
    def inference_latency_ms(self) -> float | None:
        """The latency measured with nothing else running, at the end of a search; None where it was not."""
        return None if self.inference is None else self.inference.latency_ms

    def to_json(self) -> dict[str, Any]:
        """The record as JSON. `latency_ms` is the latency that the search goes by, or else that of `inference`."""
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
            # Of what inherited it has another name, so that nobody sorts it among the others.
            "val_accuracy": self.val_accuracy if self.is_comparable else None,
            "inherited_val_accuracy": self.inherited_accuracy,
            "latency_ms": self.inference_latency_ms if self.latency_ms is None else self.latency_ms,
            "inference_latency_ms": self.inference_latency_ms,
            "inference_latency_low_ms": None if self.inference is None else self.inference.latency_low_ms,
            "inference_latency_high_ms": None if self.inference is None else self.inference.latency_high_ms,
            "peak_memory_mb": None if self.inference is None else self.inference.peak_memory_mb,
            "accelerator": None if self.place is None else self.place.accelerator,
            "anchor": self.anchor,
            "replicate": self.replicate,
            "repeats": list(self.repeats),
            "reason": self.reason,
            "duplicate_of": self.duplicate_of,
            "imported_from": self.imported_from,
            "inherited_from": None if self.inheritance is None else self.inheritance.parent,
        }


def architectures_started(records: Iterable[TrialRecord]) -> Counter[str]:
    """How many trainings of each architecture, from scratch, were given to a worker, by its id."""
    return Counter(record.architecture.id for record in records if record.trained and record.inheritance is None)


def architectures_begun(records: Iterable[TrialRecord]) -> set[str]:
    """The architectures, by their ids, that were given to a worker at all."""
    return {record.architecture.id for record in records if record.trained}


def counts(records: Iterable[TrialRecord]) -> dict[Outcome, int]:
    """How many trials ended in each outcome, zeros included."""
    numbers = dict.fromkeys(OUTCOMES, 0)
    for record in records:
        numbers[record.outcome] += 1
    return numbers


def latest_moment(records: Iterable[TrialRecord]) -> float:
    """The latest time that the records hold, in seconds since 1970; 0 where they hold none."""
    moments = (
        moment
        for record in records
        for moment in (
            record.started_at,
            record.finished_at,
            record.reported_at,
            None if record.place is None else record.place.since,
            None if record.mishap is None else record.mishap.at,
        )
    )
    return max((moment for moment in moments if moment is not None), default=0.0)
