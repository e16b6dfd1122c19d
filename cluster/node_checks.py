"""What every node of a cluster must pass before it is given work."""

import os
import secrets
from pathlib import Path

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search_spaces.errors import UserError, message_lines
from trainers.data.config import DataConfig, DataSummary, KnownFiles
from trainers.data.datasets import examine_data

CHECK_SECONDS = 120


def check_nodes(storage: Path, data: DataConfig, expected: DataSummary, known: KnownFiles) -> None:
    """Checks on every node that it sees `storage`, can write there and holds the same data.

    A node that lacks something fails its trials fast and so draws more of them. Raises UserError naming the first such
    node and what it lacks.
    """
    token = secrets.token_hex(8)
    probe = storage / f".probe-{token}"
    probe.write_text(token, encoding="utf-8")
    try:
        nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
        pending = {
            node["NodeManagerHostname"] + " " + node["NodeID"][:8]: _problem_here.options(
                scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            ).remote(str(probe), token, data, expected, known)
            for node in nodes
        }
        for name, reference in pending.items():
            try:
                problem = ray.get(reference, timeout=CHECK_SECONDS)
            except Exception as error:
                # Ray's error is the traceback of the node, with what happened there at its end.
                problem = f"its check failed: {message_lines(error)[-1]}"
            if problem:
                raise UserError(f"node {name} cannot run trials: {problem}.")
    finally:
        probe.unlink(missing_ok=True)


@ray.remote(num_cpus=0, max_retries=0)
def _problem_here(probe: str, token: str, data: DataConfig, expected: DataSummary, known: KnownFiles) -> str | None:
    """What keeps this node from running trials, or None."""
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
