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


def admit(architecture_id: str, flops: int, known: Mapping[str, int], max_flops: float | None) -> Admission:
    """Whether to train a proposal, given the ids of architectures that have a trial and the limit on FLOPs."""
    if max_flops is not None and flops > max_flops:
        return Admission("rejected", reason=f"{flops:,} FLOPs exceed the limit of {max_flops:,.0f}")
    if architecture_id in known:
        return Admission("duplicate", known_trial=known[architecture_id])
    return Admission("train")
