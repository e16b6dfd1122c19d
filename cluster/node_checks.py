"""What every node of a cluster must pass before it is given work."""

import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search_spaces.errors import UserError, first_line, message_lines
from trainers.data.config import DataConfig, DataSummary, KnownFiles
from trainers.data.datasets import examine_data

CHECK_SECONDS = 120


@dataclass
class PendingCheck:
    """A check of a node that was begun: its task, or why there is none."""

    task: Any
    probe: Path
    deadline: float
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class NodeCheck:
    """What a node has to pass: it sees `storage`, can write there, and holds the `expected` data, known as `known`."""

    storage: Path
    data: DataConfig
    expected: DataSummary
    known: KnownFiles

    def start(self, node_id: str) -> PendingCheck:
        """Begins the check of a node."""
        token = secrets.token_hex(8)
        probe = self.storage / f".probe-{token}"
        deadline = time.monotonic() + CHECK_SECONDS
        try:
            probe.write_text(token, encoding="utf-8")
        except OSError as error:
            return PendingCheck(None, probe, deadline, f"the storage cannot be written to here: {first_line(error)}")
        there = NodeAffinitySchedulingStrategy(node_id, soft=False)
        task = _problem_here.options(scheduling_strategy=there).remote(str(probe), token, self)
        return PendingCheck(task, probe, deadline)

    def is_over(self, pending: PendingCheck) -> bool:
        """Whether there is a result, or none will come any more. Does not wait."""
        return pending.task is None or bool(ray.wait([pending.task], timeout=0)[0]) or _is_late(pending)

    def problem(self, pending: PendingCheck) -> str | None:
        """What keeps a node from running trials, or None; waits for it."""
        try:
            if pending.task is None:
                return pending.problem
            return ray.get(pending.task, timeout=max(0.0, pending.deadline - time.monotonic()))
        except ray.exceptions.GetTimeoutError:
            ray.cancel(pending.task, force=True)
            return f"its check took more than {CHECK_SECONDS} s"
        except Exception as error:
            # Ray's error is the traceback of the node, with what happened there at its end.
            return f"its check failed: {message_lines(error)[-1]}"
        finally:
            pending.probe.unlink(missing_ok=True)


def _is_late(pending: PendingCheck) -> bool:
    return time.monotonic() > pending.deadline


def node_name(description: dict[str, Any]) -> str:
    """How a node is called, of which Ray gives this description."""
    return f"{description['NodeManagerHostname']} {description['NodeID'][:8]}"


def check_nodes(check: NodeCheck) -> None:
    """Checks every node.

    A node that lacks something fails its trials fast and so draws more of them. Raises UserError naming the first such
    node and what it lacks.
    """
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
    pending = {node_name(node): check.start(node["NodeID"]) for node in nodes}
    problems = {name: check.problem(begun) for name, begun in pending.items()}
    for name, problem in problems.items():
        if problem:
            raise UserError(f"node {name} cannot run trials: {problem}.")


@ray.remote(num_cpus=0, max_retries=0)
def _problem_here(probe: str, token: str, check: NodeCheck) -> str | None:
    """What keeps this node from running trials, or None."""
    data, expected, known = check.data, check.expected, check.known
    path = Path(probe)
    if not path.is_file() or path.read_text(encoding="utf-8") != token:
        return (
            f"it does not see the storage {str(path.parent)!r}; "
            "expected a --runs-dir on a file system that all nodes share"
        )
    if not os.access(path.parent, os.W_OK):
        return f"it cannot write to the storage {str(path.parent)!r}"
    try:
        found = examine_data(data, Path(known.index))
    except UserError as error:
        return str(error).rstrip(".")
    if found.summary != expected:
        return f"its data differ: {found.summary} instead of {expected}"
    if found.fingerprint.digest != known.digest:
        return f"the images in {data.root!r} are others there: names, sizes or contents of files differ"
    return None
