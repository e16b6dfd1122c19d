"""Which member of a front is taken where a latency is the limit, and how sure that is. Pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nas.records.trial import TrialRecord


@dataclass(frozen=True, slots=True)
class MeasuredLatency:
    """What a record was measured to take, in milliseconds, and between what it lies."""

    low: float
    middle: float
    high: float

    def overlaps(self, other: "MeasuredLatency") -> bool:
        return self.low <= other.high and other.low <= self.high

    def __str__(self) -> str:
        return f"{self.low:.3g} to {self.high:.3g} ms" if self.low < self.high else f"{self.middle:.3g} ms"


@dataclass(frozen=True, slots=True)
class LatencyChoice:
    """A record, and what has to be said of it where its latency is not sure to be the right one. None else."""

    record: TrialRecord
    remark: str | None


def measured_latency(record: TrialRecord) -> MeasuredLatency | None:
    """The latency of a record; None where it was not measured. What its worker measured before training is a point."""
    cost = record.inference
    if cost is not None:
        return MeasuredLatency(cost.latency_low_ms, cost.latency_ms, cost.latency_high_ms)
    if record.latency_ms is not None:
        return MeasuredLatency(record.latency_ms, record.latency_ms, record.latency_ms)
    return None


def choose_within(members: Sequence[TrialRecord], most_ms: float) -> LatencyChoice | None:
    """The first of `members`, the best coming first, that is surely within the limit.

    Where none is, the first whose latency is within it by its middle. None where there is none of these either.
    """
    measured = [(record, latency) for record in members if (latency := measured_latency(record)) is not None]
    device = _most_common_device(members)
    known = [(record, latency) for record, latency in measured if _device(record) in (None, device)]
    sure = [(record, latency) for record, latency in known if latency.high <= most_ms]
    likely = [(record, latency) for record, latency in known if latency.middle <= most_ms]
    if not likely:
        return None
    chosen, latency = (sure or likely)[0]
    others = [str(record.number) for record, _ in measured if _device(record) not in (None, device)]
    place = [record.number for record, _ in known].index(chosen.number)
    remarks = []
    if not sure:
        remarks.append(
            f"none is surely within {most_ms:.3g} ms: trial {chosen.number}, measured at {latency}, is the most "
            "accurate that is by its middle"
        )
    if others:
        remarks.append(f"not compared, being measured on another device than {device}: {', '.join(others)}")
    passed_over = [
        f"trial {record.number} ({record.point[0]:.2%}, {other})"
        for record, other in known[:place]
        if other.low <= most_ms
    ]
    if passed_over:
        remarks.append(f"more accurate, and perhaps within it: {', '.join(passed_over)}")
    alike = [
        str(record.number)
        for record, other in known
        if record is not chosen and other.low <= most_ms and other.overlaps(latency)
    ]
    if alike:
        rule = "surely within the limit" if sure else "within the limit by its middle"
        remarks.append(
            f"by latency trial {chosen.number} ({latency}) cannot be told apart from {', '.join(alike)}: it was chosen "
            f"as the most accurate that is {rule}"
        )
    return LatencyChoice(chosen, "; ".join(remarks) or None)


def _device(record: TrialRecord) -> str | None:
    """The device that the latency of a record was measured on; None where it is not told."""
    return None if record.inference is None else record.inference.device


def _most_common_device(members: Sequence[TrialRecord]) -> str | None:
    """Latencies are compared on one device alone: on that of most members, of several the first by name."""
    counted = Counter(device for record in members if (device := _device(record)) is not None)
    return min(counted, key=lambda device: (-counted[device], device), default=None)
