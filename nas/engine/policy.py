"""What a search believes of its trials, asked by their records: who goes on, who is promoted, what is fresh."""

import math
from collections.abc import Callable, Sequence

from nas.records.earlier_search import EarlierSearch
from nas.records.search_facts import reference_point
from nas.records.trial import TrialRecord
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
            earlier=[self._task(search) for search in earlier],
        )
        self._candidates: dict[int, Candidate] = {}

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
        return None if fresh is None else self._source.architecture(fresh.candidate)

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
        # What an accuracy was worth before the loss went to infinity, nobody knows.
        accuracies = () if record.outcome == "diverged" else tuple(epoch.val_accuracy for epoch in record.epochs)
        if record.number not in self._candidates:
            self._candidates[record.number] = self._source.candidate(record.architecture)
        candidate = self._candidates[record.number]
        if record.outcome in ("running", "held", "finished"):
            return TrialView(record.number, candidate, accuracies, record.outcome, record.latency_ms)
        return TrialView(record.number, candidate, accuracies, "ended", record.latency_ms)
