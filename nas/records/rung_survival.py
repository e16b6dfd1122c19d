"""How many trials go on past each rung, as far as a search has shown. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from nas.records.trial import FAILURES, TrialRecord

# What is believed before anything was decided counts as much as so many decisions.
PRIOR_DECISIONS = 2.0
# The front rises while it is searched for, and fewer go on: each decision counts so much of the one after it.
FADING = 0.93
# Before anything is known of it, so many of so many new trainings are promotions of held trials.
PRIOR_PROMOTIONS, PRIOR_TRAININGS = 0.2, 4.0


@dataclass(frozen=True, slots=True)
class Share:
    """A share that is not known: a Beta distribution, whose two numbers count for and against."""

    successes: float
    misses: float

    @property
    def mean(self) -> float:
        return self.successes / (self.successes + self.misses)


@dataclass(frozen=True, slots=True)
class Survival:
    """What becomes of trials: the share that goes on at each rung, and that which fails.

    `promotions` is the share of new trainings that are promotions of held trials. A trial that fails has trained
    `epochs_before_failure` on average.
    """

    going_on: tuple[Share, ...]
    promotions: Share
    failing: Share
    epochs_before_failure: float


def survival(
    records: Sequence[TrialRecord], rungs: Sequence[int], going_on_prior: float, first_judged: int
) -> Survival:
    """The shares so far.

    Anchors, repeated trainings and the trials before number `first_judged` pass every rung, and tell nothing of others.
    """
    first = [record for record in records if record.trained and not record.replicate and record.imported_from is None]
    judged = [record for record in first if not record.anchor and record.number >= first_judged]
    promoted = sum(record.stretch_epoch > 0 for record in judged)
    failures = [record for record in first if record.outcome in FAILURES]
    ended = sum(record.outcome != "running" for record in first)
    return Survival(
        tuple(_going_on(judged, rung, going_on_prior) for rung in rungs),
        Share(promoted + PRIOR_PROMOTIONS, len(judged) + PRIOR_TRAININGS - PRIOR_PROMOTIONS),
        Share(len(failures) + 0.02, ended - len(failures) + 1.0),
        sum(len(record.epochs) for record in failures) / len(failures) if failures else 0.0,
    )


def _going_on(judged: Sequence[TrialRecord], rung: int, prior: float) -> Share:
    passed, stopped = PRIOR_DECISIONS * prior, PRIOR_DECISIONS * (1 - prior)
    decided = [record for record in judged if record.decided_epoch >= rung]
    for age, record in enumerate(reversed(decided)):
        if _passed(record, rung):
            passed += FADING**age
        else:
            stopped += FADING**age
    return Share(passed, stopped)


def _passed(record: TrialRecord, rung: int) -> bool:
    """Whether a trial that was decided upon at a rung went on at once."""
    if record.stretch_epoch == rung:
        return False
    return record.decided_epoch > rung or record.outcome not in ("held", "stopped")
