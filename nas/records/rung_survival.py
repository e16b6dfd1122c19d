"""How many trials go on past each rung, as far as a search has shown. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from nas.records.trial import FAILURES, TrialRecord

# What is believed before anything was decided counts as much as so many decisions.
PRIOR_DECISIONS = 2.0
# What was decided lately tells more: each decision counts so much of the one after it.
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
    records: Sequence[TrialRecord], rungs: Sequence[int], going_on_prior: float, first_judged: int, fewer_go_on: bool
) -> Survival:
    """The shares so far, those that go on as they are for the trial after `records`: `share_later` has the next ones.

    Anchors, repeated trainings and the trials before number `first_judged` pass every rung, and tell nothing of others;
    nor does what was taken over, or begins with inherited weights.
    """
    own = [record for record in records if record.imported_from is None and record.inheritance is None]
    first = [record for record in own if record.trained and not record.replicate]
    judged = [record for record in first if not record.anchor and record.number >= first_judged]
    promoted = sum(record.stretch_epoch > 0 for record in judged)
    failures = [record for record in first if record.outcome in FAILURES]
    ended = sum(record.outcome != "running" for record in first)
    return Survival(
        tuple(_going_on(judged, rung, going_on_prior, len(records) if fewer_go_on else None) for rung in rungs),
        Share(promoted + PRIOR_PROMOTIONS, len(judged) + PRIOR_TRAININGS - PRIOR_PROMOTIONS),
        Share(len(failures) + 0.02, ended - len(failures) + 1.0),
        sum(len(record.epochs) for record in failures) / len(failures) if failures else 0.0,
    )


def share_later(number: int, now: int) -> float:
    """What share of trials goes on at number `number` where the front decides, beside that at number `now`.

    A front grows about with the root of what was trained, so that what the next one adds falls with that root.
    """
    return math.sqrt((now + 1) / (number + 1))


def _going_on(judged: Sequence[TrialRecord], rung: int, prior: float, now: int | None) -> Share:
    """The share at number `now`, to which earlier trials that passed are reduced; None where it is always the same."""
    passed, stopped = PRIOR_DECISIONS * prior, PRIOR_DECISIONS * (1 - prior)
    decided = [record for record in judged if record.decided_epoch >= rung]
    for age, record in enumerate(reversed(decided)):
        counted = FADING**age
        still = 1.0 if now is None else share_later(now, record.number)
        if _passed(record, rung):
            passed += counted * still
            stopped += counted * (1 - still)
        else:
            stopped += counted
    return Share(passed, stopped)


def _passed(record: TrialRecord, rung: int) -> bool:
    """Whether a trial that was decided upon at a rung went on at once."""
    if record.stretch_epoch == rung:
        return False
    return record.decided_epoch > rung or record.outcome not in ("held", "stopped")
