"""What a node says of itself when it is checked, and what is wrong with that. Plain data."""

from collections.abc import Mapping
from dataclasses import dataclass

from cluster.gpu_memory import GpuMemory
from search_spaces.errors import UserError

# What a search does about nodes that cannot train: it does not start, goes without them, or only says so.
BAD_NODES = ("refuse", "leave-out", "warn")

# The packages whose versions are compared: what a training computes with, and what carries it.
PACKAGES = ("torch", "torchvision", "numpy", "numba", "ray", "pillow", "scikit-learn")
# With another version of it, accuracies are not comparable and checkpoints may not be readable.
COMPUTES = "torch"
LEAST_DISK_BYTES = 1_000_000_000
LEAST_MEMORY_BYTES = 1_000_000_000
LEAST_SHARED_MEMORY_BYTES = 64_000_000
# The times of reports and logs are compared between machines.
MOST_CLOCK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class NodeFindings:
    """What was found on a node.

    `code`, `data`, `storage` and `gpus_trouble` say what is wrong with these there, None where nothing is. `packages`
    holds the versions of those that are installed, `clock_seconds` how far its clock is ahead of the driver's, as far
    as can be told, `gpus` the names and the memory of those that multiply matrices.
    """

    python: str
    packages: Mapping[str, str]
    code: str | None
    data: str | None
    storage: str | None
    disk_bytes: int
    memory_bytes: int
    shared_memory_bytes: int
    clock_seconds: float
    gpus: tuple[tuple[str, GpuMemory], ...]
    gpus_trouble: str | None


@dataclass(frozen=True, slots=True)
class NodeVerdict:
    """What keeps a node from training, and what is merely to be known of it."""

    problems: tuple[str, ...]
    warnings: tuple[str, ...]


def judged(found: NodeFindings, python: str, packages: Mapping[str, str]) -> NodeVerdict:
    """What is wrong with a node, beside a driver of these versions."""
    problems = [text for text in (found.storage, found.data) if text is not None]
    warnings: list[str] = []
    if found.code is not None:
        problems.append(f"the code cannot be loaded there: {found.code}")
    if found.gpus_trouble is not None:
        problems.append(found.gpus_trouble)
    if _series(found.python) != _series(python):
        problems.append(f"Python is {found.python} there, and {python} here")
    for name in sorted({*found.packages, *packages}):
        there, here = found.packages.get(name, "missing"), packages.get(name, "missing")
        if there == here:
            continue
        text = f"{name} is {there} there, and {here} here"
        # What follows the + tells builds of one version apart.
        is_other = name == COMPUTES and there.partition("+")[0] != here.partition("+")[0]
        (problems if is_other else warnings).append(text)
    for name, amount, least in (
        ("disk for temporary files", found.disk_bytes, LEAST_DISK_BYTES),
        ("memory", found.memory_bytes, LEAST_MEMORY_BYTES),
        ("shared memory", found.shared_memory_bytes, LEAST_SHARED_MEMORY_BYTES),
    ):
        if amount < least:
            warnings.append(f"{name} is short: {amount / 1e9:.2f} GB are free")
    for place, (name, memory) in enumerate(found.gpus):
        if (held := memory.text_of_others()) is not None:
            warnings.append(f"{held} of the memory of GPU {place} ({name})")
    if abs(found.clock_seconds) > MOST_CLOCK_SECONDS:
        direction = "ahead of" if found.clock_seconds > 0 else "behind"
        warnings.append(f"its clock is {abs(found.clock_seconds):.0f} s {direction} the one here")
    return NodeVerdict(tuple(problems), tuple(warnings))


def usable(problems: Mapping[str, tuple[str, ...]], bad_nodes: str) -> frozenset[str]:
    """Which nodes a search uses that treats bad ones as `bad_nodes`; `problems` is what keeps each from training.

    Raises UserError where it shall not start.
    """
    bad = {name: found for name, found in problems.items() if found}
    listed = "; ".join(f"node {name} cannot run trials: {', '.join(found)}" for name, found in bad.items())
    if bad_nodes == "warn" or not bad:
        return frozenset(problems)
    if bad_nodes == "refuse":
        raise UserError(f"{listed}. Mend that, or go without with --bad-nodes leave-out.")
    if len(bad) == len(problems):
        raise UserError(f"no node is left: {listed}.")
    return frozenset(problems) - frozenset(bad)


def _series(version: str) -> list[str]:
    return version.split(".")[:2]
