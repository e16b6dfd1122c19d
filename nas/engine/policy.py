"""What a search believes of its trials, asked by their records: who goes on, who is promoted, what is fresh."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

from nas.engine.proposals_ahead import ProposalsAhead
from nas.engine.proposing import Answer
from nas.records.earlier_search import EarlierSearch
from nas.records.search_facts import reference_point
from nas.records.trial import FAILURES, TrialRecord
from nas.settings.search_settings import SearchSettings
from nas.strategy.candidates import Candidate, SpaceCandidates
from nas.strategy.decisions import Decisions, SearchState
from nas.strategy.earlier_results import EarlierTask
from nas.strategy.halving import rung_epochs
from nas.strategy.posterior import Objective, TrialView
from search_spaces.architecture import Architecture
from search_spaces.space import Space
from trainers.data.config import DataSummary

# Asked at every rung of every trial: whether the trial (number, epoch, accuracy) goes on.
AccuracyRule = Callable[[int, int, float], bool]

# While more trials than these run, proposals are made ahead: then one is needed often, and one more or less that is
# known makes little difference to it.
MOST_IN_THE_LOOP = 128


class SearchPolicy:
    """Puts trials before `nas.strategy.decisions`. Follows from the settings and from the trials that it is given."""

    def __init__(
        self,
        space: Space,
        data: DataSummary,
        settings: SearchSettings,
        epochs: int,
        accuracy_rule: AccuracyRule | None,
        most_latency_ms: float | None = None,
        earlier: Sequence[EarlierSearch] = (),
    ) -> None:
        """`accuracy_rule` decides on the trials where the scheduler is "asha".

        `most_latency_ms` is the latency up to which a result counts, where latency is a cost;
        `earlier` are the searches that inform what is fresh.
        """
        assert (settings.scheduler == "asha") == (accuracy_rule is not None)
        self.epochs = epochs
        self.rungs = rung_epochs(settings.minimum_epochs, epochs, settings.reduction_factor)
        self.reference = reference_point(
            space, data, settings.cost_names, settings.min_accuracy, settings.limits,
            most_latency_ms, settings.max_latency_ms,
        )  # fmt: skip
        self._settings = settings
        self._accuracy_rule = accuracy_rule
        objective = Objective(
            self.reference,
            epochs,
            self.rungs if settings.scheduler == "pareto" else (),
            resolution=0.5 / max(1, data.validation_images),
            cost_names=settings.cost_names,
        )
        self._source = SpaceCandidates(space, data, settings.limits)
        self._decisions = Decisions(
            self._source,
            objective,
            reduction_factor=settings.reduction_factor,
            seed=settings.seed,
            inherited_epochs=settings.inherited_epochs if settings.inherit else 0,
            earlier=[self._task(search) for search in earlier],
        )
        # Of each trial its record as it was seen last, which is never changed but replaced, and what was made of it.
        self._views: dict[int, tuple[TrialRecord, TrialView]] = {}
        self._ahead: ProposalsAhead | None = None

    def close(self) -> None:
        """Ends what makes proposals ahead."""
        if self._ahead is not None:
            self._ahead.close()

    def _task(self, search: EarlierSearch) -> EarlierTask:
        """An earlier search as the proposals see it: each architecture once, its mean log error, its cost here."""
        log_errors: dict[Architecture, list[float]] = {}
        for architecture, accuracy in search.results:
            log_errors.setdefault(architecture, []).append(math.log(max(1 - accuracy, search.resolution)))
        return EarlierTask(
            tuple(map(self._source.candidate, log_errors)),
            tuple(sum(values) / len(values) for values in log_errors.values()),
        )

    def limit(self, settings: SearchSettings) -> None:
        """Goes on by settings that differ in limits alone."""
        self._settings = settings

    def remember(self, record: TrialRecord) -> None:
        """Tells the accuracy rule of the rungs that a trial came to in an earlier run of this search."""
        if self._accuracy_rule is not None:
            for result in record.epochs[: record.decided_epoch]:
                if result.epoch in self.rungs:
                    self._accuracy_rule(record.number, result.epoch, result.val_accuracy)

    def should_continue(self, record: TrialRecord, records: Sequence[TrialRecord]) -> bool:
        """Whether a trial goes on past its last epoch, which is a rung. Anchors and repeated trainings always do."""
        result = record.epochs[-1]
        assert result.epoch in self.rungs and len(record.epochs) == result.epoch, record
        if self._accuracy_rule is not None:
            passed = self._accuracy_rule(record.number, result.epoch, result.val_accuracy)
            return passed or record.anchor or record.replicate > 0
        if self._settings.scheduler == "none" or record.anchor or record.replicate:
            return True
        # Held back, a trial would leave its own epochs to others.
        released = self.epochs - result.epoch
        left = self.epochs_left(records) + released
        return self._decisions.should_continue(record.number, self._state_of(records), left)

    def promotion(self, records: Sequence[TrialRecord]) -> int | None:
        """The number of the held trial to train on now, None where there is none."""
        if not any(record.outcome == "held" for record in records):
            return None
        return self._decisions.promotion(self._state_of(records), self.epochs_left(records))

    def fresh_architecture(self, records: Sequence[TrialRecord]) -> Architecture | None:
        """The architecture whose training is expected to add most to the front. None where there is nothing new."""
        fresh = self._state_of(records).fresh
        return None if fresh is None else self.architecture(fresh.candidate)

    def looks_ahead(self, records: Sequence[TrialRecord]) -> bool:
        """Whether what is trained next is worked out ahead, now."""
        if self._settings.sampler != "ehvi" or self._settings.deterministic:
            return False
        if self._ahead is not None and self._ahead.given_up:
            return False
        return sum(record.outcome == "running" for record in records) > MOST_IN_THE_LOOP

    def worked_out_ahead(self, records: Sequence[TrialRecord]) -> Answer | None:
        """What to train next, as it was worked out ahead. None where there is no answer yet, which is then due.

        It is to be done at once: the next answer takes it as done.
        """
        if self._ahead is None:
            self._ahead = ProposalsAhead(self._decisions.within(self._source))
        trials = {record.number: self._view(record) for record in records if record.trained}
        answer = self._ahead.take()
        if answer is None and self._ahead.asked:
            return None
        left = self.epochs_left(records)
        if answer is not None and self._holds(answer, trials):
            if answer.promoted is not None:
                promoted = replace(trials[answer.promoted], status="running")
                self._ahead.ask({**trials, answer.promoted: promoted}, left - self._needs(promoted))
                return answer
            if answer.fresh is not None:
                trials[len(records)] = TrialView(len(records), answer.fresh, (), "running")
                left -= self.epochs
            self._ahead.ask(trials, left)
            return answer
        self._ahead.ask(trials, left)
        return None

    def _holds(self, answer: Answer, trials: Mapping[int, TrialView]) -> bool:
        """Whether an answer that was worked out some time ago may still be followed."""
        if answer.promoted is not None:
            return trials[answer.promoted].status == "held"
        return answer.fresh is None or all(
            trial.candidate.key != answer.fresh.key for trial in trials.values() if trial.status != "inherited"
        )

    def _needs(self, trial: TrialView) -> int:
        return self.epochs - len(trial.accuracies)

    def architecture(self, candidate: Candidate) -> Architecture:
        """The architecture that a candidate stands for."""
        return self._source.architecture(candidate)

    def epochs_left(self, records: Sequence[TrialRecord]) -> float:
        """The epochs that may still be assigned: within the limit, not trained and not promised to a running trial."""
        if self._settings.epochs is None:
            return math.inf
        trained = [record for record in records if record.trained]
        taken = sum(self.epochs if record.outcome == "running" else len(record.epochs) for record in trained)
        return self._settings.epochs - taken

    def _state_of(self, records: Sequence[TrialRecord]) -> SearchState:
        return self._decisions.state([self._view(record) for record in records if record.trained])

    def _view(self, record: TrialRecord) -> TrialView:
        before, view = self._views.get(record.number, (None, None))
        if before is not record or view is None:
            candidate = self._source.candidate(record.architecture) if view is None else view.candidate
            view = _viewed(record, candidate)
            self._views[record.number] = record, view
        return view


def _viewed(record: TrialRecord, candidate: Candidate) -> TrialView:
    if record.inheritance is not None:
        return _inherited(record, candidate)
    # What an accuracy was worth before the loss went to infinity, nobody knows.
    accuracies = () if record.outcome == "diverged" else tuple(epoch.val_accuracy for epoch in record.epochs)
    if record.outcome in ("running", "held", "finished"):
        return TrialView(record.number, candidate, accuracies, record.outcome, record.latency_ms)
    status: Literal["failed", "ended"] = "failed" if record.outcome in FAILURES else "ended"
    return TrialView(record.number, candidate, accuracies, status, record.latency_ms)


def _inherited(record: TrialRecord, candidate: Candidate) -> TrialView:
    """A trial that began with inherited weights, whose accuracies stand beside none of those from scratch."""
    if record.outcome == "inherited":
        return TrialView(record.number, candidate, (), "inherited", record.latency_ms, record.inherited_accuracy)
    status: Literal["running", "ended"] = "running" if record.outcome == "running" else "ended"
    return TrialView(record.number, candidate, (), status, record.latency_ms)
