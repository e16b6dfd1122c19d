"""A search's decisions in one place: what to start, promote or hold back, given its trials, on plain data.

The engine asks it for real trials, the benchmark for those of a table.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import cached_property

from threadpoolctl import ThreadpoolController

from nas.records.pareto import Point, dominates
from nas.records.seeds import derived_seed
from nas.strategy.candidates import CandidateSource
from nas.strategy.features import FeatureEncoder
from nas.strategy.halving import goes_on, promoted
from nas.strategy.posterior import Beliefs, Objective, TrialView
from nas.strategy.proposals import INITIAL_PROPOSALS, Proposal, best_gain, cover, encoder_of

# So many results, early or final, before the surrogate is asked.
LEAST_OBSERVATIONS = 4


class Situation:
    """What the decisions of one moment have in common: the trials, what is believed, the best fresh architecture.

    `beliefs` is None while there are too few results.
    """

    def __init__(
        self, trials: tuple[TrialView, ...], beliefs: Beliefs | None, find_fresh: Callable[[], Proposal | None]
    ) -> None:
        self.trials = trials
        self.beliefs = beliefs
        self._find_fresh = find_fresh

    @cached_property
    def fresh(self) -> Proposal | None:
        """The architecture to train next. None where there is nothing new."""
        return self._find_fresh()

    @property
    def fresh_gain(self) -> float:
        """What the fresh architecture is expected to add; 0 where it is there to cover the space."""
        if len(self.trials) < INITIAL_PROPOSALS or self.beliefs is None:
            return 0.0
        return (self.fresh.gain or 0.0) if self.fresh else 0.0


class Decisions:
    """The decisions of a search over a space; deterministic in its trials and its seed."""

    def __init__(self, source: CandidateSource, objective: Objective, *, reduction_factor: int, seed: int) -> None:
        """Raises ValueError where nothing of the space may be trained."""
        self._source = source
        self._objective = objective
        self._reduction_factor = reduction_factor
        self._seed = seed
        self._encoder: FeatureEncoder = encoder_of(source, derived_seed("encoder", seed))
        self._last: Situation | None = None
        # The matrices are small: more threads only take the cores from what is being trained.
        self._libraries = ThreadpoolController()

    def situation(self, trials: Sequence[TrialView]) -> Situation:
        """What there is to decide on. Asked again of the same trials, it is not worked out again."""
        if self._last is None or self._last.trials != tuple(trials):
            with self._one_thread():
                self._last = self._situation(tuple(trials))
        return self._last

    def _one_thread(self) -> AbstractContextManager[object]:
        return self._libraries.limit(limits=1, user_api="blas")

    def _situation(self, trials: tuple[TrialView, ...]) -> Situation:
        proposals = len(trials)
        known = {trial.candidate.key for trial in trials}
        seed = derived_seed("proposal", self._seed, proposals)
        first_level = min([*self._objective.rungs, self._objective.epochs])
        observed = sum(len(trial.accuracies) >= first_level for trial in trials)
        if observed < LEAST_OBSERVATIONS:
            return Situation(trials, None, lambda: cover(self._source, proposals, known, seed))
        beliefs = Beliefs(trials, self._encoder, self._objective, derived_seed("fantasies", self._seed, proposals))
        if proposals < INITIAL_PROPOSALS:
            return Situation(trials, beliefs, lambda: cover(self._source, proposals, known, seed))

        def find_fresh() -> Proposal | None:
            with self._one_thread():
                return best_gain(self._source, beliefs, known, seed)

        return Situation(trials, beliefs, find_fresh)

    def promotion(self, situation: Situation, epochs_left: float = math.inf) -> int | None:
        """The number of the held trial to train on now, rather than anything fresh. None where there is none.

        `epochs_left` are those that may still be assigned. Where they are too few for anything fresh, whatever may add
        to the front is promoted.
        """
        held = [trial for trial in situation.trials if trial.status == "held" and self._needs(trial) <= epochs_left]
        if not held or situation.beliefs is None or len(situation.trials) < INITIAL_PROPOSALS:
            return None
        fresh_rate = situation.fresh_gain / self._objective.epochs if epochs_left >= self._objective.epochs else 0.0
        chosen = promoted(self._rates(held, situation.beliefs), fresh_rate)
        return None if chosen is None else held[chosen].number

    def _needs(self, trial: TrialView) -> int:
        """The epochs that a trial lacks of the full budget."""
        return self._objective.epochs - len(trial.accuracies)

    def _rates(self, trials: Sequence[TrialView], beliefs: Beliefs) -> list[float]:
        if not trials:
            return []
        with self._one_thread():
            gains = beliefs.gains([trial.candidate for trial in trials])
        return [float(gain) / self._needs(trial) for gain, trial in zip(gains, trials, strict=True)]

    def trains_on(self, number: int, situation: Situation, epochs_left: float = math.inf) -> bool:
        """Whether a running trial, whose last epoch is that of a rung, goes on past it.

        Its rival for the worker is the best fresh architecture or, where `epochs_left` are too few, the best held
        trial.
        """
        if situation.beliefs is None:
            return True
        beliefs = situation.beliefs
        trial = next(trial for trial in situation.trials if trial.number == number)
        rung = len(trial.accuracies)
        assert rung in self._objective.rungs and trial.status == "running", trial
        peers = [peer for peer in situation.trials if peer.number != number and len(peer.accuracies) >= rung]
        at_rung = [trial, *peers]
        costs = beliefs.costs([one.candidate for one in at_rung])
        points = [(one.accuracies[rung - 1], float(cost)) for one, cost in zip(at_rung, costs, strict=True)]
        gains = self._gains_at_rung(at_rung, points, beliefs)
        return goes_on(
            points[0],
            gains[0],
            list(zip(points[1:], gains[1:], strict=True)),
            remaining_epochs=self._objective.epochs - rung,
            epochs=self._objective.epochs,
            rival_gain=self._rival_gain(situation, beliefs, epochs_left),
            reduction_factor=self._reduction_factor,
        )

    def _gains_at_rung(self, at_rung: Sequence[TrialView], points: Sequence[Point], beliefs: Beliefs) -> list[float]:
        """What each trial may still add, the first being the one in question. One that is over has nothing to gain."""
        question = at_rung[0]
        still_open = [index for index, trial in enumerate(at_rung) if trial.status in ("running", "held")]
        gains = [0.0] * len(at_rung)
        with self._one_thread():
            candidates = [at_rung[index].candidate for index in still_open]
            together = beliefs.gains(candidates, leaving_out=question.candidate.key)
            for index, gain in zip(still_open, together, strict=True):
                # A running trial that this one dominates is worth what it will be worth when it is in question itself.
                if at_rung[index].status == "running" and dominates(points[0], points[index]):
                    candidate = at_rung[index].candidate
                    gain = beliefs.gains([candidate], leaving_out=candidate.key)[0]
                gains[index] = float(gain)
        return gains

    def _rival_gain(self, situation: Situation, beliefs: Beliefs, epochs_left: float) -> float:
        """What a worker would gain by a whole training otherwise: of what is fresh or, failing that, is held."""
        if epochs_left >= self._objective.epochs:
            return situation.fresh_gain
        held = [trial for trial in situation.trials if trial.status == "held"]
        return self._objective.epochs * max(self._rates(held, beliefs), default=0.0)
