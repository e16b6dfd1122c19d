"""What a search is doing, as its ledger alone tells: its driver, its running trials, its nodes and its failures."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from nas.records.failures import failed
from nas.records.left_out_nodes import LeftOutNode
from nas.records.trial import Outcome, TrialRecord, counts, latest_moment
from nas.records.whereabouts import DriverRun, GpuUse, has_left

STATUS_FORMAT = "status/1"

# At a worker; given back and waiting for one; or left as it is by a driver that has ended.
State = Literal["training", "waiting", "cut off"]

# Of a driver: its process is there; it is stopped, as by Ctrl-Z; it has come to its end in order; it was killed, or
# ended at once; it is on another machine, of which nobody here can tell; or earlier code began the search, which wrote
# nothing of it.
DriverState = Literal["running", "suspended", "ended", "gone", "elsewhere", "unknown"]


@dataclass(frozen=True, slots=True)
class RunningTrial:
    """A trial that has not ended. `epochs` are trained and reported, `seconds_since_report` also tells of none yet."""

    number: int
    label: str
    state: State
    node: str | None
    epochs: int
    full_epochs: int
    val_accuracy: float | None
    seconds_since_report: float | None
    gpu: GpuUse | None
    last_error: str | None
    accelerator: str | None = None


@dataclass(frozen=True, slots=True)
class FailedTrial:
    """A trial that could not be trained."""

    number: int
    label: str
    outcome: Outcome
    reason: str | None
    node: str | None


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """A node that trains, or is left out: why, and the trials that it has."""

    node: str
    trials: tuple[int, ...]
    left_out: str | None


@dataclass(frozen=True, slots=True)
class SearchStatus:
    """A search at one moment. `seconds_since_event` is since anything was written of a trial."""

    name: str
    driver: DriverRun | None
    driver_state: DriverState
    counts: dict[Outcome, int]
    running: tuple[RunningTrial, ...]
    failed: tuple[FailedTrial, ...]
    nodes: tuple[NodeStatus, ...]
    seconds_since_event: float | None

    def to_json(self) -> dict[str, Any]:
        return {"format": STATUS_FORMAT, **asdict(self)}


def latest_driver(recorded: DriverRun | None, holder: DriverRun | None) -> DriverRun | None:
    """The driver of a search: the one in its ledger or, since, the living holder of its lock, which is only starting.

    A driver comes into the ledger once it has begun Ray, which may take a minute. The time of a lock is in whole
    seconds.
    """
    if holder is None or recorded is None:
        return recorded or holder
    if (recorded.host, recorded.process) == (holder.host, holder.process):
        return recorded
    return holder if holder.started_at >= int(recorded.started_at) else recorded


def search_status(
    name: str,
    records: Sequence[TrialRecord],
    full_epochs: int,
    nodes_left_out: Sequence[LeftOutNode],
    driver: DriverRun | None,
    driver_state: DriverState,
    now: float,
) -> SearchStatus:
    """The status of search `name` at `now`, in seconds since 1970, from what its ledger holds."""
    began = None if driver_state in ("ended", "gone") else 0.0 if driver is None else driver.started_at
    running = tuple(_running(record, full_epochs, began, now) for record in records if record.outcome == "running")
    latest = latest_moment(records)
    return SearchStatus(
        name=name,
        driver=driver,
        driver_state=driver_state,
        counts=counts(records),
        running=running,
        failed=tuple(_failed(record) for record in failed(records)),
        nodes=_nodes(running, nodes_left_out),
        seconds_since_event=_since(latest, now) if latest else None,
    )


def _running(record: TrialRecord, full_epochs: int, driver_began: float | None, now: float) -> RunningTrial:
    place, mishap = record.place, record.mishap
    state = _state(record, driver_began)
    begun = None if place is None else place.since
    moments = [moment for moment in (record.reported_at, begun) if moment is not None]
    return RunningTrial(
        number=record.number,
        label=record.architecture.label,
        state=state,
        node=place.node if place is not None and state == "training" else None,
        epochs=len(record.epochs),
        full_epochs=full_epochs if record.inheritance is None else record.inheritance.epochs,
        val_accuracy=record.val_accuracy,
        seconds_since_report=_since(max(moments), now) if moments else None,
        gpu=record.gpu if state == "training" else None,
        last_error=None if mishap is None else f"{mishap.reason} (on {mishap.node})",
        accelerator=place.accelerator if place is not None and state == "training" else None,
    )


def _state(record: TrialRecord, driver_began: float | None) -> State:
    """What has become of a trial since its driver began; None where that has ended."""
    if driver_began is None:
        return "cut off"
    place = record.place
    is_there = place is not None and place.since >= driver_began and not has_left(place, record.mishap)
    return "training" if is_there else "waiting"


def _failed(record: TrialRecord) -> FailedTrial:
    node = None if record.place is None else record.place.node
    return FailedTrial(record.number, record.architecture.label, record.outcome, record.reason, node)


def _nodes(running: Sequence[RunningTrial], nodes_left_out: Sequence[LeftOutNode]) -> tuple[NodeStatus, ...]:
    left_out = {left.node: left.reason for left in nodes_left_out if left.until is None}
    names = sorted({*left_out, *(trial.node for trial in running if trial.node is not None)})
    return tuple(
        NodeStatus(name, tuple(trial.number for trial in running if trial.node == name), left_out.get(name))
        for name in names
    )


def _since(moment: float, now: float) -> float:
    """The clocks of two machines may differ."""
    return max(0.0, now - moment)
