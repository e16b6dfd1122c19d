"""Whether a proposal becomes a trial: what is known of an architecture before anything is trained."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["train", "rejected", "duplicate"]


@dataclass(frozen=True, slots=True)
class Admission:
    """The decision on one proposal: `known_trial` is what a duplicate repeats, `reason` why one is rejected."""

    verdict: Verdict
    known_trial: int | None = None
    reason: str | None = None


def admit(architecture_id: str, exceeded: str | None, known: Mapping[str, int]) -> Admission:
    """Whether to train a proposal, given what it exceeds of the limits, and the architectures that have a trial."""
    if exceeded is not None:
        return Admission("rejected", reason=exceeded)
    if architecture_id in known:
        return Admission("duplicate", known_trial=known[architecture_id])
    return Admission("train")
