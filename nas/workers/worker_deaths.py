"""Why a worker died, as far as what Ray says of it tells."""

import re
from dataclasses import dataclass

from nas.engine.faults import Cause
from nas.records.trial import Outcome
from search_spaces.errors import printable


@dataclass(frozen=True, slots=True)
class WorkerDeath:
    """Why a worker died, and how a trial ends that it happens to again; None where it was no fault of the trial."""

    reason: str
    outcome: Outcome | None
    cause: Cause = "death"


NODE_LOST = "its node was lost"
TOLD_TO_END = WorkerDeath("its worker was told to end", None)
SHORT_OF_MEMORY = WorkerDeath("its worker was killed: the machine was short of memory", "oom", "memory")

# What Ray's error says (its text is all that tells these apart), the first that fits.
_SIGNS = (
    ("node has died", WorkerDeath(NODE_LOST, None)),
    ("memory monitor", SHORT_OF_MEMORY),
    ("low on memory", SHORT_OF_MEMORY),
    ("receives a SIGTERM", TOLD_TO_END),
)
CRASHED = WorkerDeath("its worker process died", "crashed")
# An exception in what a worker runs: not of a training, which are reported, but before one, as where a node has other
# code than the driver and does not understand what it is to train.
_RAISED = "ray::ImplicitFunc.train()"
# What keeps a worker from starting: a package that is not there or another one than it should be.
_NO_START = re.compile(r"^.*(ModuleNotFoundError|ImportError|RuntimeEnvSetupError).*$", re.MULTILINE)


def death_of_worker(error: str) -> WorkerDeath:
    """The death that Ray's error, as text, tells of."""
    for sign, death in _SIGNS:
        if sign in error:
            return death
    lines = [match.group().strip() for match in _NO_START.finditer(error)]
    if lines:
        return WorkerDeath(f"its worker could not start: {printable(lines[-1])}", "failed", "import")
    if _RAISED in error:
        said = [line.strip() for line in error.splitlines() if line.strip()][-1].rstrip(".")
        return WorkerDeath(f"its worker could not begin: {printable(said)}", "failed", "import")
    return CRASHED
