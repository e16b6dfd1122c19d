"""How to search and on what machines: the frozen settings, checked, without any framework."""

import dataclasses
import math
import os
import re
from dataclasses import dataclass, field
from typing import Any

from cluster.connection import check_address
from cluster.node_findings import BAD_NODES
from nas.records.cost_limits import CostLimits
from nas.records.objectives import ACCURACY, COSTS, CostName, costs_of
from nas.settings.address_checks import check_ledger_url, check_tracking_uri
from nas.settings.addresses import MLFLOW_VARIABLE, redacted, whole_address
from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import read_dataclass
from search_spaces.overrides import COUNT
from trainers.data.config import MOST_SEEDS
from trainers.storage.address import StorageAddress

SAMPLERS = ("ehvi", "tpe", "nsga2", "random")
SCHEDULERS = ("pareto", "asha", "none")
# More than that is a slip of the finger.
MOST_PROCESSES = 1024
KEPT_CHECKPOINTS = ("front", "all", "none")

# MLflow's own limit.
LONGEST_EXPERIMENT = 500
# Holds the address of the ledger where the command line shall not.
LEDGER_VARIABLE = "NAS_LEDGER_URL"

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """What to search for and when to stop. Raises UserError where a value is out of range.

    `objectives` are accuracy and what it is weighed against: FLOPs, latency, parameters, or several of them. `trials`
    counts the architectures trained, `epochs` those of all trials together; `minimum_epochs` and `reduction_factor`
    place the rungs of successive halving; nothing of more than `max_flops` (of one image) or `max_params` is trained,
    `min_accuracy` and `max_latency_ms` are what counts as a result; `time_budget` is a duration as `90s`, `30m`, `12h`
    or `2d`; `stagnation` ends a search after so many architectures that brought nothing. `replicates` trains every
    architecture that is trained to the end so often, `confirm_front` the members of the front. A trial that makes no
    progress for the duration `hung_after` is hung (None: many times what its epochs take), and a training is
    checkpointed every `checkpoint_minutes` within an epoch. `inference_batch` is the number of images at which latency
    and memory are measured. `keep_checkpoints` says of which trials that have ended the weights stay once the search
    has: those of the front, all, or none. `prior` names the earlier searches whose results inform the proposals.
    `deterministic` has decisions depend on nothing but results: not on who is faster, nor on interruptions.
    """

    trials: int
    sampler: str
    scheduler: str
    minimum_epochs: int
    reduction_factor: int
    seed: int
    max_flops: float | None = field(metadata=COUNT)
    time_budget: str | None
    inference_batch: int
    min_accuracy: float | None
    epochs: int | None
    stagnation: int | None
    replicates: int
    confirm_front: int
    hung_after: str | None
    checkpoint_minutes: float
    keep_checkpoints: str
    objectives: tuple[str, ...]
    deterministic: bool
    prior: tuple[str, ...]
    max_params: float | None = field(metadata=COUNT)
    max_latency_ms: float | None

    def __post_init__(self) -> None:
        self._check("trials", self.trials >= 1, "at least 1; --plan says what a search would do, and trains nothing")
        self._check("minimum_epochs", self.minimum_epochs >= 1, "at least 1")
        self._check("reduction_factor", self.reduction_factor >= 2, "at least 2")
        self._check("seed", 0 <= self.seed < MOST_SEEDS, f"0 to {MOST_SEEDS - 1:,}")
        self._check("max_flops", self.max_flops is None or 0 < self.max_flops < math.inf, "a number above 0, as 4e9")
        self._check("max_params", self.max_params is None or 0 < self.max_params < math.inf, "a number above 0, as 5e6")
        if self.sampler not in SAMPLERS:
            raise unknown_name("search.sampler", self.sampler, SAMPLERS)
        if self.scheduler not in SCHEDULERS:
            raise unknown_name("search.scheduler", self.scheduler, SCHEDULERS)
        if self.keep_checkpoints not in KEPT_CHECKPOINTS:
            raise unknown_name("search.keep_checkpoints", self.keep_checkpoints, KEPT_CHECKPOINTS)
        self._check_objectives()
        if self.prior and self.sampler != "ehvi":
            raise UserError(f"search.sampler is {self.sampler!r}: expected 'ehvi', which alone learns from --prior.")
        twice = next((name for name in self.prior if self.prior.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"--prior {twice} is given twice: expected each search once.")
        milliseconds = self.max_latency_ms
        self._check("max_latency_ms", milliseconds is None or 0 < milliseconds < math.inf, "a number above 0, as 3.5")
        if milliseconds is not None and not self.on_latency:
            raise UserError(
                f"search.max_latency_ms is {milliseconds:g}: expected latency_ms among search.objectives, or no limit."
            )
        if self.deterministic and self.on_latency:
            raise UserError("search.deterministic is true: expected objectives that are counted, not measured latency.")
        accuracy = self.min_accuracy
        self._check("min_accuracy", accuracy is None or 0 <= accuracy < 1, "a share from 0 to 1, as 0.7")
        self._check("epochs", self.epochs is None or self.epochs >= 1, "at least 1")
        self._check("stagnation", self.stagnation is None or self.stagnation >= 1, "at least 1")
        self._check("replicates", self.replicates >= 1, "at least 1")
        self._check("confirm_front", self.confirm_front >= 1, "at least 1")
        self._check("inference_batch", self.inference_batch >= 1, "at least 1")
        minutes = self.checkpoint_minutes
        self._check("checkpoint_minutes", 0 <= minutes < math.inf, "a number of at least 0")
        if self.time_budget is not None:
            duration_seconds(self.time_budget)
        if self.hung_after is not None:
            duration_seconds(self.hung_after, "search.hung_after")

    def _check_objectives(self) -> None:
        for name in self.objectives:
            if "memory" in name.lower():
                raise UserError(
                    f"search objective {name!r}: peak memory is measured of the front's members alone, at the end of a "
                    f"search; expected one of {', '.join((ACCURACY, *COSTS))}. `--pick max-memory=MB` picks by it."
                )
            if name not in (ACCURACY, *COSTS):
                raise unknown_name("search objective", name, (ACCURACY, *COSTS))
        costs = self.objectives[1:]
        if self.objectives[:1] != (ACCURACY,) or not costs or len(set(costs)) < len(costs) or ACCURACY in costs:
            raise UserError(
                f"search.objectives is [{', '.join(self.objectives)}]: expected {ACCURACY} and then one or more of "
                f"{', '.join(COSTS)}, each once, as [{ACCURACY}, flops] or [{ACCURACY}, flops, params]."
            )

    def _check(self, name: str, right: bool, expected: str) -> None:
        if not right:
            raise UserError(f"search.{name} is {getattr(self, name)!r}: expected {expected}.")

    @property
    def cost_names(self) -> tuple[CostName, ...]:
        """What accuracy is weighed against."""
        return costs_of(self.objectives)

    @property
    def on_latency(self) -> bool:
        """Whether latency is among what accuracy is weighed against, so that each trial is measured first."""
        return "latency_ms" in self.objectives

    @property
    def limits(self) -> CostLimits:
        """What a network may cost at most, to be trained."""
        return CostLimits(self.max_flops, self.max_params)

    @property
    def time_budget_seconds(self) -> float | None:
        return None if self.time_budget is None else duration_seconds(self.time_budget)

    @property
    def hung_after_seconds(self) -> float | None:
        return None if self.hung_after is None else duration_seconds(self.hung_after, "search.hung_after")

    def to_json(self) -> dict[str, Any]:
        return {**dataclasses.asdict(self), "objectives": list(self.objectives), "prior": list(self.prior)}

    @classmethod
    def from_json(cls, data: object) -> "SearchSettings":
        """The settings that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "search")


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Where trials run and what each takes. `address`: None starts Ray here, "auto" joins the one there is.

    `bad_nodes` says what is done about nodes of a cluster that do not pass their check: the search is refused, goes
    without them ("leave-out"), or says so and uses them ("warn"). `processes_per_trial` train a trial together; None is
    one for each of its GPUs, and one without any. `accelerator` is the one type of GPU that trials run on, as Ray names
    it; None takes them as they come. `dashboard`: whether Ray's dashboard is started with a Ray that is started here.
    """

    address: str | None
    gpus_per_trial: float
    cpus_per_trial: float
    bad_nodes: str = BAD_NODES[0]
    processes_per_trial: int | None = None
    accelerator: str | None = None
    dashboard: bool = False

    def __post_init__(self) -> None:
        if self.address is not None:
            check_address(self.address)
        if not 0 <= self.gpus_per_trial < math.inf or (self.gpus_per_trial > 1 and self.gpus_per_trial % 1):
            raise UserError(
                f"--gpus-per-trial is {self.gpus_per_trial:g}: expected 0, a share of one GPU, or a whole number."
            )
        if not 0 < self.cpus_per_trial < math.inf:
            raise UserError(f"--cpus-per-trial is {self.cpus_per_trial:g}: expected a number above 0.")
        if self.bad_nodes not in BAD_NODES:
            raise unknown_name("--bad-nodes", self.bad_nodes, BAD_NODES)
        if self.processes_per_trial is not None and not 1 <= self.processes_per_trial <= MOST_PROCESSES:
            raise UserError(
                f"--processes-per-trial is {self.processes_per_trial}: expected a whole number from 1 to "
                f"{MOST_PROCESSES}."
            )
        if self.gpus_per_trial and self.processes != max(1, int(self.gpus_per_trial)):
            raise UserError(
                f"--processes-per-trial is {self.processes}: expected {max(1, int(self.gpus_per_trial))}, one for each "
                f"GPU of --gpus-per-trial {self.gpus_per_trial:g}, or to be left out."
            )
        if self.accelerator is not None and not self.gpus_per_trial:
            raise UserError(f"--accelerator is {self.accelerator!r}: expected --gpus-per-trial above 0 with it.")
        if self.dashboard and self.address is not None:
            raise UserError(
                f"--dashboard is for the Ray of one machine, which a search starts itself, and --address is "
                f"{self.address!r}: the dashboard of a cluster is started with its head (cluster/README.md)."
            )

    @property
    def processes(self) -> int:
        """How many processes train a trial."""
        return max(1, int(self.gpus_per_trial)) if self.processes_per_trial is None else self.processes_per_trial

    @property
    def trial_cpus(self) -> float:
        """The CPUs that a trial takes: of several processes each takes one at least."""
        return self.cpus_per_trial if self.processes == 1 else max(self.cpus_per_trial, self.processes)

    @property
    def process_threads(self) -> int:
        """How many threads each process of a trial computes with on CPUs."""
        return max(1, int(self.trial_cpus / self.processes))

    @property
    def gpu_memory_share(self) -> float:
        """How much of the memory of its GPU a process may take, of 1."""
        return min(1.0, self.gpus_per_trial) or 1.0

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: object) -> "ClusterSettings":
        """The settings that `to_json` wrote. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "cluster")


@dataclass(frozen=True, slots=True)
class StorageSettings:
    """Where a search keeps its checkpoints and results; `address` None is the runs directory.

    Raises UserError on what is no address of a storage, or has secrets.
    """

    address: str | None

    def __post_init__(self) -> None:
        if self.address is not None:
            StorageAddress.of(self.address, "storage.address")

    @classmethod
    def from_json(cls, data: object) -> "StorageSettings":
        """The settings of a configuration. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "storage")


@dataclass(frozen=True, slots=True)
class TrackingSettings:
    """Which MLflow store a search is written to; `uri` None is a SQLite store in the runs directory.

    Raises UserError on an experiment whose name is longer than MLflow takes.
    """

    uri: str | None
    experiment: str

    def __post_init__(self) -> None:
        if len(self.experiment) > LONGEST_EXPERIMENT:
            raise UserError(
                f"tracking.experiment has {len(self.experiment)} characters: MLflow takes at most {LONGEST_EXPERIMENT}."
            )

    @classmethod
    def from_json(cls, data: object) -> "TrackingSettings":
        """The settings of a configuration. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "tracking")

    def without_secrets(self) -> dict[str, Any]:
        """The store as a search's ledger keeps it."""
        return {"uri": None if self.uri is None else redacted(self.uri), "experiment": self.experiment}

    @classmethod
    def from_kept(cls, kept: object, uri: str | None, how: str) -> "TrackingSettings":
        """The store that `without_secrets` wrote, or that at `uri` where one is given.

        Raises UserError where its secrets are not known; `how` says how to give `uri`.
        """
        written = cls.from_json(kept)
        if uri is None and written.uri is not None:
            uri = whole_address(written.uri, None, MLFLOW_VARIABLE)
            if uri is None:
                raise UserError(
                    f"the MLflow store of the search is {written.uri!r}, kept without its password: "
                    f"give it whole by {how} or in {MLFLOW_VARIABLE}."
                )
        if uri is not None:
            check_tracking_uri(uri, how.partition("=")[0].partition(" ")[0])
        return cls(uri, written.experiment)


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """The database of the ledger; `url` None is SQLite in the directory of the search.

    Raises UserError on an address of another kind.
    """

    url: str | None = field(repr=False)

    def __post_init__(self) -> None:
        if self.url is not None:
            check_ledger_url(self.url, "ledger.url")

    def of_new_search(self) -> "LedgerSettings":
        """Where the ledger of a search that begins is: here, or where the environment says.

        Raises UserError where that is no address of a ledger.
        """
        url, name = self.url, "ledger.url"
        if url is None:
            url, name = os.environ.get(LEDGER_VARIABLE) or None, LEDGER_VARIABLE
        if url is not None:
            check_ledger_url(url, name)
        return LedgerSettings(url)

    @classmethod
    def from_json(cls, data: object) -> "LedgerSettings":
        """The settings of a configuration. Anything unknown, missing or of another type raises UserError."""
        return read_dataclass(cls, data, "ledger")


def duration_seconds(text: str, name: str = "time budget") -> float:
    """Seconds in a duration such as `90s`, `30m`, `12h`, `2d` or `1h30m`. Raises UserError on anything else."""
    parts = _DURATION.findall(text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if _DURATION.sub("", text).strip() or seconds <= 0:
        raise UserError(f"{name} is {text!r}: expected a duration such as 90s, 30m, 12h or 1h30m.")
    return seconds
