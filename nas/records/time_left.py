"""How long a search will still take: its rest is played through many times, with what its trials have shown. Pure.

In each draw every trial that runs or is still to start passes the rungs ahead, or not, by shares drawn from what is
known of them; what is left to train is then given to the slots one after the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincinv

from nas.records.epoch_pace import EpochPace, WorkDone, epoch_pace
from nas.records.rest_of_search import LATEST_TRIALS, RUNGS, Luck, RestOfSearch, SearchPlan
from nas.records.rung_survival import Share, survival
from nas.records.trial import TrialRecord

# The rest of a search is played through so often: fewer times where it is long, which then varies little.
MOST_DRAWS, LEAST_DRAWS, TRIALS_DRAWN = 48, 8, 12_000
QUANTILES = (0.1, 0.5, 0.9)
# When an estimate means something.
LEAST_EPOCHS_PER_SLOT = 2
WIDEST = 4.0


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """Seconds until the last trial has ended: most likely between `least_seconds` and `most_seconds`.

    The least is 0 where only the most is known.
    """

    least_seconds: float
    seconds: float
    most_seconds: float


def time_left(
    records: Sequence[TrialRecord], plan: SearchPlan, done: WorkDone, elapsed_seconds: float
) -> TimeLeft | None:
    """How long a search will still take, `elapsed_seconds` after it began; no longer than its time budget has.

    None while that would mean nothing: before every slot has trained LEAST_EPOCHS_PER_SLOT epochs, or as long as the
    longest time is more than WIDEST times the shortest.
    """
    records = sorted(records, key=lambda record: record.number)
    budget = plan.time_budget_seconds
    most = None if budget is None else max(0.0, budget - elapsed_seconds)
    pace = epoch_pace(records, done)
    seconds = None
    if pace is not None and done.epochs >= LEAST_EPOCHS_PER_SLOT * plan.slots:
        seconds = _quantiles(records, plan, pace)
    if seconds is None:
        return None if most is None else TimeLeft(0.0, most, most)
    if most is not None:
        seconds = [min(one, most) for one in seconds]
    least, middle, longest = seconds
    return TimeLeft(0.0 if plan.may_stagnate else least, middle, longest)


def _quantiles(records: Sequence[TrialRecord], plan: SearchPlan, pace: EpochPace) -> list[float] | None:
    known = survival(records, plan.rungs, plan.going_on_prior, plan.first_judged, plan.by_front)
    rest = RestOfSearch(records, plan, pace, known.epochs_before_failure)
    draws = max(LEAST_DRAWS, min(MOST_DRAWS, TRIALS_DRAWN // plan.trials))
    # The same numbers at every look, so that an estimate changes by what has happened alone.
    random = np.random.default_rng(0)
    *going_on, promotions, failing = (
        _drawn(share, random.random(draws)) for share in (*known.going_on, known.promotions, known.failing)
    )
    costs = random.random((draws, LATEST_TRIALS)).tolist()
    of_trials = random.random((draws, plan.trials, RUNGS + len(plan.rungs))).tolist()
    played = [
        rest.seconds(
            Luck([shares[draw] for shares in going_on], promotions[draw], failing[draw], costs[draw], of_trials[draw])
        )
        for draw in range(draws)
    ]
    least, middle, most = (float(value) for value in np.quantile(played, QUANTILES))
    return None if most > WIDEST * least else [least, middle, most]


def _drawn(share: Share, uniform: np.ndarray) -> list[float]:
    """Draws of a share, at these quantiles."""
    drawn: list[float] = betaincinv(share.successes, max(share.misses, 1e-9), uniform).tolist()
    return drawn
