"""What passes between the driver and a worker: the trial to run, and what the worker reports of it.

Ray Tune carries both as JSON; no other file knows their keys.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from nas.engine.dispatcher import Assignment, InheritedStart
from nas.engine.faults import Cause
from nas.records.latency_reference import LatencyReference
from nas.records.trial import OUTCOMES, Outcome
from nas.records.whereabouts import GpuUse
from nas.settings.run_directory import RunDirectory
from search_spaces.architecture import Architecture
from search_spaces.errors import unknown_name
from search_spaces.json_fields import read_dataclass, read_object
from trainers.data.config import DataConfig, DataSummary, KnownFiles
from trainers.epoch_result import EpochResult
from trainers.recipe import Recipe

# The keys of a message in a result of Ray Tune's, and of a trial in a configuration of its.
RESULT_KEY = "message"
CONFIG_KEY = "trial"

# What keeps every trial from going on, where no other node can: the storage is full, or its address does not answer, or
# images cannot be read or have changed.
HaltCause = Literal["storage", "lost storage", "images"]


@dataclass(frozen=True, slots=True)
class TrialTemplate:
    """What all trials of a search have in common. `device` is a torch device, `threads` those of torch on the CPU.

    `data_digest` is that of the fingerprint of the data. `checkpoint_seconds` is how often a training is checkpointed
    within an epoch, `processes` how many train a trial together, each with `threads`, and `gpu_memory_share` how much
    of the memory of its GPU each may take, of 1.
    """

    data: DataConfig
    data_summary: DataSummary
    data_digest: str
    training: Recipe
    directory: RunDirectory
    device: str
    threads: int
    checkpoint_seconds: float
    processes: int
    gpu_memory_share: float

    @property
    def known_files(self) -> KnownFiles:
        return KnownFiles(str(self.directory.kept.inside(self.directory.data_index.name)), self.data_digest)

    def trial(self, assignment: Assignment, node: str) -> "TrialConfig":
        """What a worker on `node` has to know of one trial."""
        start = assignment.start
        return TrialConfig(
            node=node,
            number=assignment.number,
            architecture=assignment.architecture,
            seed=assignment.seed,
            recorded_epochs=assignment.recorded_epochs,
            data=self.data,
            data_summary=self.data_summary,
            known_files=self.known_files,
            training=self.training if start is None else self.training.shortened(start.epochs),
            checkpoints=str(self.directory.checkpoints(assignment.number)),
            device=self.device,
            threads=self.threads,
            checkpoint_seconds=self.checkpoint_seconds,
            processes=self.processes,
            gpu_memory_share=self.gpu_memory_share,
            latency_reference=assignment.latency_reference,
            weights=None if start is None else self._weights(start),
        )

    def _weights(self, start: InheritedStart) -> "ParentWeights":
        return ParentWeights(start.parent, start.parent_architecture, str(self.directory.checkpoints(start.parent)))


@dataclass(frozen=True, slots=True)
class ParentWeights:
    """The trial whose weights a network begins with, its architecture, and where its checkpoints are."""

    number: int
    architecture: Architecture
    checkpoints: str

    def to_json(self) -> dict[str, Any]:
        return {
            "number": self.number, "architecture": self.architecture.to_json(), "checkpoints": self.checkpoints,
        }  # fmt: skip

    @classmethod
    def from_json(cls, data: object) -> "ParentWeights":
        """What `to_json` wrote. Anything unknown or missing raises UserError."""
        fields = read_object(data, "parent", [field.name for field in dataclasses.fields(cls)])
        return cls(**(fields | {"architecture": Architecture.from_json(fields["architecture"])}))


@dataclass(frozen=True, slots=True)
class TrialConfig:
    """A trial as its worker runs it, on the node of Ray's that has the id `node`.

    The ledger holds its first `recorded_epochs` epochs; `checkpoints` is the directory, or the address, where it goes
    on from and writes to. `known_files` is what to find in the folders of `data`. `latency_reference` is what to
    measure its latency beside first, None where it is not measured. `weights` are what it begins with; None is from
    scratch.
    """

    node: str
    number: int
    architecture: Architecture
    seed: int
    recorded_epochs: int
    data: DataConfig
    data_summary: DataSummary
    known_files: KnownFiles
    training: Recipe
    checkpoints: str
    device: str
    threads: int
    checkpoint_seconds: float
    processes: int
    gpu_memory_share: float
    latency_reference: LatencyReference | None
    weights: ParentWeights | None

    def to_json(self) -> dict[str, Any]:
        reference, weights = self.latency_reference, self.weights
        return {
            "node": self.node,
            "number": self.number,
            "architecture": self.architecture.to_json(),
            "seed": self.seed,
            "recorded_epochs": self.recorded_epochs,
            "data": self.data.to_json(),
            "data_summary": self.data_summary.to_json(),
            "known_files": self.known_files.to_json(),
            "training": self.training.to_json(),
            "checkpoints": self.checkpoints,
            "device": self.device,
            "threads": self.threads,
            "checkpoint_seconds": self.checkpoint_seconds,
            "processes": self.processes,
            "gpu_memory_share": self.gpu_memory_share,
            "latency_reference": None if reference is None else reference.to_json(),
            "weights": None if weights is None else weights.to_json(),
        }

    def to_config(self) -> dict[str, Any]:
        """The trial as a configuration of Ray Tune's: as the text of one value, beside what is asked for often.

        Ray Tune copies nested dictionaries several times for each trial, takes them apart, and keeps all of that.
        """
        return {"node": self.node, "number": self.number, CONFIG_KEY: json.dumps(self.to_json())}

    @staticmethod
    def number_in(config: Mapping[str, Any]) -> int:
        """The number in what `to_config` wrote."""
        number: int = config["number"]
        return number

    @staticmethod
    def node_in(config: Mapping[str, Any]) -> str:
        """The node in what `to_config` wrote."""
        node: str = config["node"]
        return node

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "TrialConfig":
        """The trial that `to_config` wrote."""
        return cls.from_json(json.loads(config[CONFIG_KEY]))

    @classmethod
    def from_json(cls, data: object) -> "TrialConfig":
        """The trial that `to_json` wrote. Anything unknown or missing raises UserError."""
        fields = read_object(data, "trial", [field.name for field in dataclasses.fields(cls)])
        reference, weights = fields["latency_reference"], fields["weights"]
        parts = {
            "architecture": Architecture.from_json(fields["architecture"]),
            "data": DataConfig.from_json(fields["data"]),
            "data_summary": DataSummary.from_json(fields["data_summary"]),
            "known_files": KnownFiles.from_json(fields["known_files"]),
            "training": Recipe.from_json(fields["training"]),
            "latency_reference": None if reference is None else LatencyReference.from_json(reference),
            "weights": None if weights is None else ParentWeights.from_json(weights),
        }
        return cls(**(fields | parts))


@dataclass(frozen=True, slots=True)
class EpochReport:
    """The result of one epoch, checkpointed, and what of its GPU was in use then."""

    kind: ClassVar = "epoch"
    result: EpochResult
    gpu: GpuUse | None = None


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """What a trial's network was measured to take, before it is trained."""

    kind: ClassVar = "latency"
    latency_ms: float


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """A trial that cannot go on, whatever trains it; its worker is free for the next one."""

    kind: ClassVar = "ended"
    outcome: Outcome
    reason: str


@dataclass(frozen=True, slots=True)
class TrialFailed:
    """A trial that failed, by its own fault or its node's: `traceback` is all that Python says of it.

    The worker is free for the next one, but after a failure of its device, when it ends.
    """

    kind: ClassVar = "failed"
    cause: Cause
    reason: str
    traceback: str


@dataclass(frozen=True, slots=True)
class TrialPreempted:
    """A trial whose worker was told to end: it is checkpointed, and its worker ends."""

    kind: ClassVar = "preempted"


@dataclass(frozen=True, slots=True)
class SearchHalted:
    """No trial could go on here; this one stays as it is, to go on elsewhere, or when the search does.

    `images` are those that cannot be read, by their paths below data.root.
    """

    kind: ClassVar = "halted"
    cause: HaltCause
    reason: str
    images: tuple[str, ...] = ()


WorkerReport = EpochReport | LatencyReport | TrialEnded | TrialFailed | TrialPreempted | SearchHalted


@dataclass(frozen=True, slots=True)
class WorkerMessage:
    """A report, and what the training has warned of since the last one."""

    report: WorkerReport
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        report = {"kind": self.report.kind, **dataclasses.asdict(self.report)}
        return {"report": report, "warnings": list(self.warnings)}

    @classmethod
    def from_json(cls, data: object) -> "WorkerMessage":
        """The message that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        fields = read_object(data, "worker's message", ["report", "warnings"])
        return cls(_report(fields["report"]), tuple(fields["warnings"]))

    def to_result(self) -> dict[str, Any]:
        """The message as a result of Ray Tune's, which takes nested dictionaries apart: as the text of one value."""
        return {RESULT_KEY: json.dumps(self.to_json())}

    @classmethod
    def from_result(cls, result: Mapping[str, Any]) -> "WorkerMessage":
        """The message that `to_result` wrote, from among the keys that Ray Tune adds."""
        return cls.from_json(json.loads(result[RESULT_KEY]))


def _report(data: object) -> WorkerReport:
    kind = data.get("kind") if isinstance(data, Mapping) else None
    reports = {report.kind: report for report in get_args(WorkerReport)}
    if not isinstance(data, Mapping) or kind not in reports:
        raise unknown_name("worker's report", kind, reports)
    fields = {name: value for name, value in data.items() if name != "kind"}
    if kind == EpochReport.kind:
        report = read_object(fields, "epoch report", ["result", "gpu"])
        gpu = None if report["gpu"] is None else GpuUse.from_json(report["gpu"])
        return EpochReport(EpochResult.from_json(report["result"]), gpu)
    if kind == LatencyReport.kind:
        return read_dataclass(LatencyReport, fields, "latency report")
    if kind == TrialPreempted.kind:
        return read_dataclass(TrialPreempted, fields, "report of a preemption")
    if kind == TrialEnded.kind:
        ended = TrialEnded(**read_object(fields, "report of an end", ["outcome", "reason"]))
        if ended.outcome not in OUTCOMES:
            raise unknown_name("outcome", ended.outcome, OUTCOMES)
        return ended
    if kind == TrialFailed.kind:
        failure = TrialFailed(**read_object(fields, "report of a failure", ["cause", "reason", "traceback"]))
        if failure.cause not in get_args(Cause):
            raise unknown_name("cause", failure.cause, get_args(Cause))
        return failure
    halt = read_object(fields, "report of a halt", ["cause", "reason", "images"])
    halted = SearchHalted(**(halt | {"images": tuple(halt["images"])}))
    if halted.cause not in get_args(HaltCause):
        raise unknown_name("cause", halted.cause, get_args(HaltCause))
    return halted
