"""A search's decisions in one place: what to start, promote or hold back, given its trials, on plain data.

The engine asks it for real trials, the benchmark for those of a table.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from copy import copy
from functools import cache, cached_property
from typing import cast

from threadpoolctl import ThreadpoolController

from nas.records.pareto import Point, dominates
from nas.records.seeds import derived_seed
from nas.strategy.candidates import CandidateSource
from nas.strategy.earlier_results import EarlierResults, EarlierTask
from nas.strategy.features import FeatureEncoder
from nas.strategy.halving import promoted, should_continue
from nas.strategy.posterior import Objective, Posterior, SeenCurves, TrialView
from nas.strategy.proposals import INITIAL_PROPOSALS, Proposal, best_proposal, encoder_of, initial_design

# So many results, early or final, before the Gaussian process is asked.
LEAST_OBSERVATIONS = 4
# So many proposals only cover the space where earlier searches tell of it.
INFORMED_PROPOSALS = 4


class SearchState:
    """What the decisions of one moment have in common: the trials, what is believed, the best fresh architecture.

    `posterior` is None while there are too few results.
    """

    def __init__(
        self, trials: tuple[TrialView, ...], posterior: Posterior | None, find_fresh: Callable[[], Proposal | None]
    ) -> None:
        self.trials = trials
        self.posterior = posterior
        self._find_fresh = find_fresh

    @cached_property
    def fresh(self) -> Proposal | None:
        """The architecture to train next. None where there is nothing new."""
        return self._find_fresh()

    @property
    def fresh_improvement(self) -> float:
        """What the fresh architecture is expected to add; 0 where it is there to cover the space."""
        if len(self.trials) < INITIAL_PROPOSALS or self.posterior is None:
            return 0.0
        return (self.fresh.improvement or 0.0) if self.fresh else 0.0


class Decisions:
    """The decisions of a search over a space; deterministic in its trials and its seed."""

    def __init__(
        self,
        source: CandidateSource,
        objective: Objective,
        *,
        reduction_factor: int,
        seed: int,
        earlier: Sequence[EarlierTask] = (),
        inherited_epochs: int = 0,
    ) -> None:
        """`earlier` is what other searches found in this space. `inherited_epochs` are those for which what is fresh is
        looked at with inherited weights first. Raises ValueError where nothing may be trained.
        """
        self._source = source
        self._objective = objective
        self._reduction_factor = reduction_factor
        self._seed = seed
        self._encoder: FeatureEncoder = encoder_of(source, derived_seed("encoder", seed))
        self._tasks = tuple(earlier)
        # The trials with inherited weights that `_earlier` holds beside the other searches.
        self._inherited: tuple[TrialView, ...] = ()
        self._earlier = self._results_with(None)
        # Of equal improvements that of what was looked at already takes fewer epochs.
        self._fresh_worth = objective.epochs / (objective.epochs + inherited_epochs)
        self._initial_proposals = INFORMED_PROPOSALS if earlier else INITIAL_PROPOSALS
        self._last: tuple[int, SearchState] | None = None
        # The last posterior of each scale.
        self._posteriors: dict[bool, Posterior] = {}
        self._curves: SeenCurves = {}

    def within(self, source: CandidateSource) -> "Decisions":
        """The same decisions where only a part of the space, `source`, is open to what is fresh."""
        part = copy(self)
        part._source, part._last, part._posteriors, part._curves = source, None, {}, {}
        return part

    def state(self, trials: Sequence[TrialView], proposals: int | None = None) -> SearchState:
        """What there is to decide on. Asked again of the same trials, it is not worked out again.

        `proposals` is the place of what is fresh in the order of all proposals; without it, it is the next after
        `trials`.
        """
        place = len(trials) if proposals is None else proposals
        if self._last is None or self._last[0] != place or self._last[1].trials != tuple(trials):
            with _one_thread():
                self._last = place, self._state_of(tuple(trials), place)
        return self._last[1]

    def _state_of(self, trials: tuple[TrialView, ...], proposals: int) -> SearchState:
        inherited = tuple(trial for trial in trials if trial.status == "inherited")
        known = {trial.candidate.key for trial in trials if trial.status != "inherited"}
        seed = derived_seed("proposal", self._seed, proposals)
        first_level = min([*self._objective.rungs, self._objective.epochs])
        observed = sum(len(trial.accuracies) >= first_level for trial in trials)
        if observed < LEAST_OBSERVATIONS:
            return SearchState(trials, None, lambda: initial_design(self._source, proposals, known, seed))
        # By turns on two scales: neither is stuck for long where the other one is.
        compressed = proposals % 2 == 0
        fantasies = derived_seed("fantasies", self._seed, proposals)
        posterior = Posterior(
            trials,
            self._encoder,
            self._objective,
            fantasies,
            self._informing(tuple(trial for trial in inherited if trial.inherited_accuracy is not None)),
            compressed=compressed,
            before=self._posteriors.get(compressed),
            curves=self._curves,
        )
        self._posteriors[compressed] = posterior
        if proposals < self._initial_proposals:
            return SearchState(trials, posterior, lambda: initial_design(self._source, proposals, known, seed))

        def find_fresh() -> Proposal | None:
            looked_at = [trial.candidate for trial in inherited if trial.candidate.key not in known]
            with _one_thread():
                return best_proposal(self._source, posterior, known, seed, looked_at, self._fresh_worth)

        return SearchState(trials, posterior, find_fresh)

    def _informing(self, inherited: tuple[TrialView, ...]) -> EarlierResults | None:
        """What informs the posterior: other searches, and the trials that `inherited`, as if those were another one."""
        if inherited != self._inherited:
            self._inherited = inherited
            errors = [self._objective.log_error(cast(float, trial.inherited_accuracy)) for trial in inherited]
            task = EarlierTask(tuple(trial.candidate for trial in inherited), tuple(errors))
            self._earlier = self._results_with(task if inherited else None)
        return self._earlier

    def _results_with(self, task: EarlierTask | None) -> EarlierResults | None:
        tasks = self._tasks if task is None else (*self._tasks, task)
        with _one_thread():
            return EarlierResults(tasks, self._encoder) if tasks else None

    def promotion(self, state: SearchState, epochs_left: float = math.inf) -> int | None:
        """The number of the held trial to train on now, rather than anything fresh. None where there is none.

        `epochs_left` are those that may still be assigned. Where they are too few for anything fresh, and will be even
        if all that runs is held, whatever may add to the front is promoted.
        """
        held = [trial for trial in state.trials if trial.status == "held" and self._needs(trial) <= epochs_left]
        if not held or state.posterior is None or len(state.trials) < INITIAL_PROPOSALS:
            return None
        fresh = self._may_start(state.trials, state.posterior, epochs_left)
        fresh_rate = state.fresh_improvement / self._objective.epochs if fresh else 0.0
        chosen = promoted(self._rates(held, state.posterior), fresh_rate)
        return None if chosen is None else held[chosen].number

    def _may_start(self, trials: Sequence[TrialView], posterior: Posterior, epochs_left: float) -> bool:
        """Whether something fresh can be trained now, or once running trials are held at their next rungs.

        `epochs_left` have the full budget of each of these taken off. To take that for spent is to stop looking for
        anything new, on many workers, when most of the epochs are left. Where very many run, it is: while workers wait,
        they ask again at every epoch of a trial, and what is fresh would be worked out anew each time.
        """
        for trial in trials if not posterior.many_run else ():
            if trial.status == "running":
                rung = next((rung for rung in self._objective.rungs if rung > len(trial.accuracies)), None)
                epochs_left += 0 if rung is None else self._objective.epochs - rung
        return epochs_left >= self._objective.epochs

    def _needs(self, trial: TrialView) -> int:
        """The epochs that a trial lacks of the full budget."""
        return self._objective.epochs - len(trial.accuracies)

    def _rates(self, trials: Sequence[TrialView], posterior: Posterior) -> list[float]:
        if not trials:
            return []
        with _one_thread():
            improvements = posterior.expected_improvements([trial.candidate for trial in trials])
        return [
            float(improvement) / self._needs(trial) for improvement, trial in zip(improvements, trials, strict=True)
        ]

    def should_continue(self, number: int, state: SearchState, epochs_left: float = math.inf) -> bool:
        """Whether a running trial, whose last epoch is that of a rung, goes on past it.

        Its rival for the worker is the best fresh architecture or, where `epochs_left` are too few for one and will
        be even if all that runs is held, the best held trial.
        """
        if state.posterior is None:
            return True
        posterior = state.posterior
        trial = next(trial for trial in state.trials if trial.number == number)
        rung = len(trial.accuracies)
        assert rung in self._objective.rungs and trial.status == "running", trial
        peers = [peer for peer in state.trials if peer.number != number and len(peer.accuracies) >= rung]
        at_rung = [trial, *peers]
        costs = posterior.costs([one.candidate for one in at_rung])
        points = [(one.accuracies[rung - 1], *cost) for one, cost in zip(at_rung, costs.tolist(), strict=True)]
        improvements = self._improvements_at_rung(at_rung, points, posterior)
        return should_continue(
            points[0],
            improvements[0],
            list(zip(points[1:], improvements[1:], strict=True)),
            remaining_epochs=self._objective.epochs - rung,
            epochs=self._objective.epochs,
            rival_improvement=self._rival_improvement(state, posterior, number, epochs_left),
            reduction_factor=self._reduction_factor,
        )

    def _improvements_at_rung(
        self, at_rung: Sequence[TrialView], points: Sequence[Point], posterior: Posterior
    ) -> list[float]:
        """What each trial may still add, the first being the one in question. One that is over adds nothing."""
        question = at_rung[0]
        still_open = [index for index, trial in enumerate(at_rung) if trial.status in ("running", "held")]
        improvements = [0.0] * len(at_rung)
        dominated = [index for index in still_open if dominates(points[0], points[index])]
        # A running trial that this one dominates is worth what it will be worth when it is in question itself.
        alone = [index for index in dominated if at_rung[index].status == "running"]
        if posterior.many_run:
            # The others have no say.
            still_open = [0, *(index for index in dominated if at_rung[index].status == "held")]
        with _one_thread():
            candidates = [at_rung[index].candidate for index in still_open]
            together = posterior.expected_improvements(candidates, leaving_out=question.candidate.key)
            in_question = posterior.improvements_in_question([at_rung[index].candidate for index in alone])
        for indices, found in ((still_open, together), (alone, in_question)):
            for index, improvement in zip(indices, found, strict=True):
                improvements[index] = float(improvement)
        return improvements

    def _rival_improvement(self, state: SearchState, posterior: Posterior, number: int, epochs_left: float) -> float:
        """What the worker of a trial would gain by a whole training otherwise: of what is fresh or, failing that, held.

        `epochs_left` are those when the trial is held.
        """
        others = [trial for trial in state.trials if trial.number != number]
        if self._may_start(others, posterior, epochs_left):
            return state.fresh_improvement
        held = [trial for trial in others if trial.status == "held"]
        return self._objective.epochs * max(self._rates(held, posterior), default=0.0)


@cache
def _libraries() -> ThreadpoolController:
    """Found once in a process: a controller cannot be kept in what is copied or pickled."""
    return ThreadpoolController()


def _one_thread() -> AbstractContextManager[object]:
    """The matrices are small: more threads only take the cores from what is being trained."""
    return _libraries().limit(limits=1, user_api="blas")
