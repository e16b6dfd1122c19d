"""What every node of a cluster must pass before it is given work: Ray tasks that look at each, from the driver."""

import contextlib
import json
import os
import platform
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from cluster.gpu_memory import GpuMemory
from cluster.node_findings import PACKAGES, NodeFindings, NodeVerdict, judged
from search_spaces.errors import UserError, first_line, message_lines
from trainers.data.config import DataConfig, DataSummary, KnownFiles
from trainers.data.datasets import examine_data
from trainers.data.free_memory import free_memory
from trainers.folders import Folder
from trainers.storage.probes import PROBE
from trainers.storage.remote_folder import RemoteFolder

CHECK_SECONDS = 120
LOADING_SECONDS = 100
SHARED_MEMORY = "/dev/shm"
# For so long Ray does not try again to make an environment that it could not make.
RAY_REMEMBERS_SECONDS = 600

# A worker without a GPU of its own shall see those of its node.
_SEES_GPUS = {"env_vars": {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}}
# In a process of its own: a GPU that hangs takes nothing with it, and its memory is free again at the end.
_LOAD_AND_MULTIPLY = """
import json, sys
import torch
import nas.workers.trial
from search_spaces.attention.dispatch import has_numba
if has_numba():
    import search_spaces.attention.compiled
gpus, trouble = [], None
for place in range(torch.cuda.device_count()):
    try:
        ones = torch.ones(512, 512, device=f"cuda:{place}")
        assert bool((ones @ ones == 512).all()), "a matrix product comes out wrong"
        free, total = torch.cuda.mem_get_info(place)
        gpus.append([torch.cuda.get_device_name(place), total, free])
    except Exception as error:
        trouble = f"GPU {place} does not work: {type(error).__name__}: {error}".splitlines()[0]
print(json.dumps([gpus, trouble]))
"""


@dataclass
class PendingCheck:
    """A check of a node that was begun: its task, or why there is none."""

    task: Any
    storage: Folder
    probe: str
    began: float
    problem: str | None = None

    @property
    def deadline(self) -> float:
        return self.began + CHECK_SECONDS

    def clean_up(self) -> None:
        """Takes the probe out of the storage, which may be gone."""
        with contextlib.suppress(OSError):
            self.storage.delete(self.probe)


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a check came to; `findings` None where it could not be made, as where the node is gone."""

    findings: NodeFindings | None
    verdict: NodeVerdict
    is_gone: bool = False

    @property
    def problem(self) -> str | None:
        """What keeps the node from training, in a line; None where nothing does."""
        return ", ".join(self.verdict.problems) or None


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """What a node has to pass: it sees `storage`, can write there, and holds the `expected` data, known as `known`."""

    storage: Folder
    data: DataConfig
    expected: DataSummary
    known: KnownFiles

    def start(self, node: Mapping[str, Any]) -> PendingCheck:
        """Begins the check of a node, of which Ray gives this description."""
        token = secrets.token_hex(8)
        probe = f"{PROBE}{token}"
        began = time.monotonic()
        try:
            self.storage.write(probe, token.encode())
        except OSError as error:
            said = f"the storage cannot be written to here: {_why(error)}"
            return PendingCheck(None, self.storage, probe, began, said)
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        gpus = int(node["Resources"].get("GPU", 0))
        task = _findings_here.options(scheduling_strategy=there, runtime_env=_SEES_GPUS).remote(
            probe, token, self, gpus
        )
        return PendingCheck(task, self.storage, probe, began)

    def is_over(self, pending: PendingCheck) -> bool:
        """Whether there is a result, or none will come any more. Does not wait."""
        late = time.monotonic() > pending.deadline
        return pending.task is None or late or bool(ray.wait([pending.task], timeout=0)[0])

    def report(self, pending: PendingCheck) -> NodeReport:
        """What a check came to; waits for it."""
        try:
            if pending.task is None:
                return _failed(str(pending.problem))
            found: NodeFindings
            found, clock = ray.get(pending.task, timeout=max(0.0, pending.deadline - time.monotonic()))
            # It was read between the beginning and now.
            longest = time.monotonic() - pending.began
            ahead = clock - time.time()
            found = replace(found, clock_seconds=ahead if ahead > 0 else min(0.0, ahead + longest))
            return NodeReport(found, judged(found, platform.python_version(), installed()))
        except ray.exceptions.NodeDiedError:
            return replace(_failed("it left the cluster during its check"), is_gone=True)
        except ray.exceptions.RuntimeEnvSetupError as error:
            return _failed(
                f"Ray cannot lay out the code there, below its --temp-dir: {message_lines(error)[-1]}; once that is "
                f"mended, it tries again after {RAY_REMEMBERS_SECONDS // 60} minutes, or when Ray is started anew there"
            )
        except ray.exceptions.GetTimeoutError:
            ray.cancel(pending.task, force=True)
            return _failed(f"its check took more than {CHECK_SECONDS} s")
        except Exception as error:
            # Ray's error is the traceback of the node, with what happened there at its end.
            return _failed(f"its check failed: {message_lines(error)[-1]}")
        finally:
            pending.clean_up()


def _failed(problem: str) -> NodeReport:
    return NodeReport(None, NodeVerdict((problem,), ()))


def node_name(description: Mapping[str, Any]) -> str:
    """How a node is called, of which Ray gives this description."""
    return f"{description['NodeManagerHostname']} {description['NodeID'][:8]}"


def check_nodes(check: NodeCheck) -> dict[str, tuple[str, NodeReport]]:
    """The name of every node that trials may run on, and what its check came to, by its id."""
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    pending = [(node, check.start(node)) for node in nodes]
    return {node["NodeID"]: (node_name(node), check.report(begun)) for node, begun in pending}


def nodes_without_cpus() -> list[str]:
    """The names of the nodes that give Ray no CPUs, as a head often does, and so have no trial."""
    return [node_name(node) for node in ray.nodes() if node["Alive"] and not node["Resources"].get("CPU")]


def installed() -> dict[str, str]:
    """The versions of the packages that matter, of those that are installed here."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@ray.remote(num_cpus=0, max_retries=0)
def _findings_here(probe: str, token: str, check: NodeCheck, gpus: int) -> tuple[NodeFindings, float]:
    """What is found on this node, and what time it is here."""
    clock = time.time()
    storage = _storage_trouble(check.storage, probe, token)
    code, working, trouble = _loaded(gpus)
    findings = NodeFindings(
        python=platform.python_version(),
        packages=installed(),
        code=code,
        # The data are known by an index in the storage.
        data=None if storage else _data_trouble(check),
        storage=storage,
        disk_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        memory_bytes=free_memory(),
        shared_memory_bytes=shutil.disk_usage(SHARED_MEMORY).free if os.path.isdir(SHARED_MEMORY) else 0,
        clock_seconds=0.0,
        gpus=working,
        gpus_trouble=trouble,
    )
    return findings, clock


def _storage_trouble(storage: Folder, probe: str, token: str) -> str | None:
    try:
        seen = storage.read(probe) == token.encode()
    except FileNotFoundError:
        seen = False
    except OSError as error:
        return _unusable(storage, "read", error)
    if not seen:
        return (
            f"it does not see the storage {str(storage)!r}; expected a --runs-dir on a file system that all nodes "
            "share, or a --storage"
        )
    answer = f"{probe}-seen"
    try:
        storage.write(answer, b"")
        storage.delete(answer)
    except OSError as error:
        return _unusable(storage, "write to", error)
    return None


def _unusable(storage: Folder, doing: str, error: OSError) -> str:
    if not isinstance(storage, RemoteFolder):
        return f"it cannot {doing} the storage {str(storage)!r}: {_why(error)}"
    # The error names the storage.
    own = "it takes its credentials from its own environment, as it was before `ray start`"
    return f"it cannot {doing} the storage: {first_line(error)} ({own})"


def _why(error: OSError) -> str:
    """What went wrong with a file, without its name, which is one of our own."""
    return error.strerror or first_line(error)


def _data_trouble(check: NodeCheck) -> str | None:
    data, known = check.data, check.known
    try:
        found = examine_data(data, Path(known.index))
    except UserError as error:
        return str(error).rstrip(".")
    if found.summary != check.expected:
        return f"its data differ: {found.summary} instead of {check.expected}"
    if found.fingerprint.digest != known.digest:
        return f"the images in {data.root!r} are others there: names, sizes or contents of files differ"
    return None


def _loaded(gpus: int) -> tuple[str | None, tuple[tuple[str, GpuMemory], ...], str | None]:
    """Why the code cannot be loaded; the GPUs that multiply matrices; and what is wrong with one, of `gpus` in Ray."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _LOAD_AND_MULTIPLY],
            capture_output=True,
            text=True,
            timeout=LOADING_SECONDS,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {LOADING_SECONDS} s", (), None
    if tried.returncode != 0:
        return (tried.stderr.strip().splitlines() or [f"exit code {tried.returncode}"])[-1], (), None
    working, trouble = json.loads(tried.stdout.splitlines()[-1])
    if trouble is None and len(working) < gpus:
        trouble = f"Ray offers {gpus} GPUs there, and torch sees {len(working)}"
    return None, tuple((name, GpuMemory(total, free)) for name, total, free in working), trouble
