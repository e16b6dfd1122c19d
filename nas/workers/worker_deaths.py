"""Why a worker died, as far as what Ray says of it tells."""

from dataclasses import dataclass

from nas.records.trial import Outcome


@dataclass(frozen=True, slots=True)
class WorkerDeath:
    """Why a worker died, and how a trial ends that it happens to again; None where it was no fault of the trial."""

    reason: str
    outcome: Outcome | None


# What Ray's error says (its text is all that tells these apart), the first that fits.
_SIGNS = (
    ("node has died", WorkerDeath("its node was lost", None)),
    ("memory monitor", WorkerDeath("its worker was killed: the machine was short of memory", "oom")),
    ("low on memory", WorkerDeath("its worker was killed: the machine was short of memory", "oom")),
)
CRASHED = WorkerDeath("its worker process died", "crashed")


def death_of_worker(error: str) -> WorkerDeath:
    """The death that Ray's error, as text, tells of."""
    return next((death for sign, death in _SIGNS if sign in error), CRASHED)
