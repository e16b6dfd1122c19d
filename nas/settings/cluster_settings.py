"""On what machines trials run, and what each takes of them: frozen settings, checked, without any framework."""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from cluster.connection import check_address
from cluster.node_findings import BAD_NODES
from search_spaces.errors import UserError, unknown_name
from search_spaces.json_fields import read_dataclass

# More than that is a slip of the finger.
MOST_PROCESSES = 1024
# The least that Ray counts.
LEAST_SHARE = 0.0001


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """Where trials run and what each takes.

    - `address` is that of the Ray that is joined, "auto" the one there is; None starts Ray here.
    - `gpus_per_trial` and `cpus_per_trial` are what a trial takes. `processes_per_trial` train it together; None is one
      for each of its GPUs, and one without any.
    - `bad_nodes` says what is done about nodes of a cluster that do not pass their check: the search is refused, goes
      without them ("leave-out"), or says so and uses them ("warn").
    - `accelerator` is the one type of GPU that trials run on, as Ray names it; None takes them as they come.
    - `dashboard` is whether Ray's dashboard is started with a Ray that is started here.

    Raises UserError where a value is out of range.
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
        gpus = self.gpus_per_trial
        if not (gpus == 0 or LEAST_SHARE <= gpus <= 1 or (1 < gpus < math.inf and gpus % 1 == 0)):
            raise UserError(
                f"--gpus-per-trial is {gpus:g}: expected 0, a share of one GPU of at least {LEAST_SHARE}, or a whole "
                f"number."
            )
        if not LEAST_SHARE <= self.cpus_per_trial < math.inf:
            raise UserError(
                f"--cpus-per-trial is {self.cpus_per_trial:g}: expected a number of at least {LEAST_SHARE}."
            )
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
