"""The search itself, without any framework around it: what to train next, and when a trial has trained enough.

`Engine` keeps the ledger; Ray Tune's searcher and scheduler only forward to it. Everything it decides follows from the
settings and from what the ledger holds, so a search that was cut off goes on by making a new engine on its ledger.
"""

import math
import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from nas.beliefs import Objective, TrialView
from nas.decisions import Decisions, Situation
from nas.features import Candidate
from nas.gate import gate
from nas.ledger import Ledger
from nas.records import Outcome, TrialRecord, architectures_started, front_of
from nas.reference import reference_point
from nas.rungs import rung_epochs
from nas.search_settings import SearchSettings
from nas.seeds import derived_seed
from nas.space_candidates import SpaceCandidates
from nas.stagnation import stagnated
from search_spaces.architecture import Architecture
from search_spaces.space import Space, Value
from trainers.data import DataSummary
from trainers.loop import EpochResult

# After so many proposals in a row that are known or over a limit, a proposal is drawn at random instead, so many times.
SAMPLER_ATTEMPTS = 3
RANDOM_ATTEMPTS = 2000
# A trial whose worker dies is trained on so many times.
DEATHS_RETRIED = 1

# Asked for every epoch of every trial, in order: whether the trial (number, epoch, accuracy) goes on.
AccuracyRule = Callable[[int, int, float], bool]


@dataclass(frozen=True, slots=True)
class Assignment:
    """A trial for a worker to run: its number, what to train from which seed, and the epochs that the ledger holds."""

    number: int
    architecture: Architecture
    seed: int
    recorded_epochs: int = 0


class Engine:
    """The state of a running search. Its methods may be called from several threads."""

    def __init__(
        self,
        ledger: Ledger,
        space: Space,
        data: DataSummary,
        settings: SearchSettings,
        epochs: int,
        accuracy_rule: AccuracyRule | None = None,
    ) -> None:
        """`accuracy_rule` judges the trials where the scheduler is "asha"; it hears of the ledger's epochs first."""
        assert (settings.scheduler == "asha") == (accuracy_rule is not None)
        self.ledger = ledger
        self.space = space
        self.settings = settings
        self.epochs = epochs
        self.reference = reference_point(space, data, settings.min_accuracy, settings.max_flops)
        self._data = data
        self._accuracy_rule = accuracy_rule
        self._rungs = rung_epochs(settings.minimum_epochs, epochs, settings.reduction_factor)
        objective = Objective(
            self.reference,
            epochs,
            self._rungs if settings.scheduler == "pareto" else (),
            resolution=0.5 / max(1, data.validation_images),
        )
        self._source = SpaceCandidates(space, data, settings.max_flops)
        self._decisions = Decisions(
            self._source, objective, reduction_factor=settings.reduction_factor, seed=settings.seed
        )
        self._unfinished = [record for record in ledger.records if record.outcome == "running"]
        self._candidates: dict[int, Candidate] = {}
        self._lock = threading.RLock()
        if accuracy_rule is not None:
            for record in ledger.records:
                for result in record.epochs:
                    accuracy_rule(record.number, result.epoch, result.val_accuracy)

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        with self._lock:
            return self.ledger.records

    @property
    def idle(self) -> bool:
        """Whether no trial is running, so that nothing more will happen where there is no assignment either."""
        with self._lock:
            return not any(record.outcome == "running" for record in self.ledger.records)

    def next_assignment(self) -> Assignment | None:
        """The next trial for a free worker, None where there is none (now).

        In this order: one that was cut off; a repeated training that was asked for; an anchor; a held trial whose gain
        an epoch beats everything fresh; a new proposal; a training that confirms the front.
        """
        with self._lock:
            if self._unfinished:
                record = self._unfinished.pop(0)
                return Assignment(record.number, record.architecture, record.seed, len(record.epochs))
            records = self.ledger.records
            if stagnated(records, self.reference, self.settings.stagnation):
                return self._next_repeat(front_of(records), self.settings.confirm_front)
            repeat = self._next_repeat(
                [record for record in records if record.outcome == "finished"], self.settings.replicates
            )
            if repeat:
                return repeat
            known = {record.architecture.id: record.number for record in records if record.trained}
            fresh = len(known) < min(self.settings.trials, self.space.size()) and self._epochs_left() >= self.epochs
            anchor = self._next_anchor(known) if fresh else None
            if anchor:
                return anchor
            promoted = self._next_promotion() if self.settings.scheduler == "pareto" else None
            if promoted:
                return promoted
            proposal = self._next_proposal(known) if fresh else None
            return proposal or self._next_confirmation()

    def _epochs_left(self) -> float:
        """The epochs that may still be assigned: within the limit, not trained and not promised to a running trial."""
        if self.settings.epochs is None:
            return math.inf
        records = [record for record in self.ledger.records if record.trained]
        taken = sum(self.epochs if record.outcome == "running" else len(record.epochs) for record in records)
        return self.settings.epochs - taken

    def _next_anchor(self, known: dict[str, int]) -> Assignment | None:
        limit = self.settings.max_flops
        for anchor in self.space.anchors():
            if gate(anchor.id, self._data.cost(anchor).flops, known, limit).verdict == "train":
                return self._start(anchor, anchor=True)
        return None

    def _next_promotion(self) -> Assignment | None:
        if not any(record.outcome == "held" for record in self.ledger.records):
            return None
        number = self._decisions.promotion(self._situation(), self._epochs_left())
        if number is None:
            return None
        self.ledger.promote(number)
        record = self.ledger.record(number)
        return Assignment(number, record.architecture, record.seed, len(record.epochs))

    def _next_proposal(self, known: dict[str, int]) -> Assignment | None:
        if self.settings.sampler == "ehvi":
            fresh = self._situation().fresh
            return None if fresh is None else self._start(self._source.architecture(fresh.candidate))
        for _ in range(SAMPLER_ATTEMPTS):
            number, architecture = self._propose(self.settings.sampler)
            assignment = self._register(number, architecture, known)
            if assignment:
                return assignment
        state = random.Random(derived_seed("fallback", self.settings.seed, len(self.ledger.records)))
        for _ in range(RANDOM_ATTEMPTS):
            architecture = self.space.sample(state)
            flops = self._data.cost(architecture).flops
            if gate(architecture.id, flops, known, self.settings.max_flops).verdict == "train":
                return self._start(architecture)
        return None

    def _next_confirmation(self) -> Assignment | None:
        """Another training of a member of the front, once nothing is running that could still change it."""
        if self.settings.confirm_front <= 1 or not self.idle:
            return self._next_repeat(self._confirmed(), self.settings.confirm_front)
        return self._next_repeat(front_of(self.ledger.records), self.settings.confirm_front)

    def _confirmed(self) -> list[TrialRecord]:
        """What is being trained repeatedly already: its other trainings need not wait."""
        repeated = {record.architecture.id for record in self.ledger.records if record.replicate}
        running = [record for record in self.ledger.records if record.outcome == "running" and not record.replicate]
        return [] if running else [r for r in front_of(self.ledger.records) if r.architecture.id in repeated]

    def _next_repeat(self, wanted: Sequence[TrialRecord], trainings: int) -> Assignment | None:
        """Another training, from another seed, of the first of `wanted` that was not trained so often."""
        if trainings <= 1 or self._epochs_left() < self.epochs:
            return None
        started = architectures_started(self.ledger.records)
        for record in wanted:
            if started[record.architecture.id] < trainings:
                return self._start(record.architecture, replicate=started[record.architecture.id])
        return None

    def _start(self, architecture: Architecture, *, anchor: bool = False, replicate: int = 0) -> Assignment:
        number, proposed = self._propose("random", self.space.choices_of(architecture))
        assert proposed == architecture
        assignment = self._register(number, architecture, {}, anchor=anchor, replicate=replicate)
        assert assignment is not None
        return assignment

    def _propose(self, sampler: str, fixed: dict[str, Value] | None = None) -> tuple[int, Architecture]:
        return self.ledger.propose(self.space, sampler, self.settings.seed, fixed)

    def _register(
        self,
        number: int,
        architecture: Architecture,
        known: dict[str, int],
        *,
        anchor: bool = False,
        replicate: int = 0,
    ) -> Assignment | None:
        """Puts a proposal into the ledger. The assignment, where it is to be trained."""
        architecture_cost = self._data.cost(architecture)
        decision = gate(architecture.id, architecture_cost.flops, known, self.settings.max_flops)
        parts = ("trial", self.settings.seed, architecture.id, *([replicate] if replicate else []))
        seed = derived_seed(*parts)
        outcome: Outcome = "running" if decision.verdict == "train" else decision.verdict
        self.ledger.register(
            TrialRecord(
                number=number,
                architecture=architecture,
                flops=architecture_cost.flops,
                params=architecture_cost.params,
                seed=seed,
                outcome=outcome,
                anchor=anchor,
                replicate=replicate,
                reason=decision.reason,
                duplicate_of=decision.known_trial,
            )
        )
        return Assignment(number, architecture, seed) if decision.verdict == "train" else None

    def report_epoch(self, number: int, result: EpochResult) -> bool:
        """Records an epoch of a trial. Whether the trial goes on, being neither complete nor held back at a rung."""
        with self._lock:
            self.ledger.record_epoch(number, result)
            record = self.ledger.record(number)
            goes_on = self._goes_on(record, result)
            if result.epoch >= self.epochs:
                self.ledger.end(number, "finished")
                return False
            if not goes_on and self.settings.scheduler == "pareto":
                self.ledger.hold(number)
            elif not goes_on:
                self.ledger.end(number, "stopped", reason=f"rung of epoch {result.epoch}")
            return goes_on

    def _goes_on(self, record: TrialRecord, result: EpochResult) -> bool:
        """Whether a trial goes on. Anchors and repeated trainings are never held back."""
        if self._accuracy_rule is not None:
            passed = self._accuracy_rule(record.number, result.epoch, result.val_accuracy)
            return passed or record.anchor or record.replicate > 0
        if self.settings.scheduler == "none" or record.anchor or record.replicate or result.epoch not in self._rungs:
            return True
        if len(record.epochs) != result.epoch:
            return True  # a later rung of this trial has been decided on before it was cut off
        # Held back, a trial would leave its own epochs to others.
        released = self.epochs - result.epoch
        return self._decisions.trains_on(record.number, self._situation(), self._epochs_left() + released)

    def end(self, number: int, outcome: Outcome, reason: str) -> None:
        """Records that a trial ended otherwise than by its own results."""
        with self._lock:
            self.ledger.end(number, outcome, reason=reason)

    def worker_died(self, number: int, reason: str, outcome: Outcome | None) -> None:
        """Has a trial whose worker died trained again from its checkpoint, once; the second time it ends as `outcome`.

        None is for a death that says nothing of the trial, such as that of its node: it is not counted.
        """
        with self._lock:
            if self.ledger.record(number).outcome != "running":
                return
            if outcome is not None and self.ledger.record_death(number) > DEATHS_RETRIED:
                self.ledger.end(number, outcome, reason=reason)
            else:
                self._unfinished.append(self.ledger.record(number))

    def conclude(self) -> None:
        """Ends the search: what is still held at a rung will not be promoted any more."""
        with self._lock:
            for record in self.ledger.records:
                if record.outcome == "held":
                    self.ledger.end(record.number, "stopped", reason=f"rung of epoch {len(record.epochs)}")

    def _situation(self) -> Situation:
        return self._decisions.situation([self._view(record) for record in self.ledger.records if record.trained])

    def _view(self, record: TrialRecord) -> TrialView:
        # What an accuracy was worth before the loss went to infinity, nobody knows.
        accuracies = () if record.outcome == "diverged" else tuple(epoch.val_accuracy for epoch in record.epochs)
        if record.number not in self._candidates:
            self._candidates[record.number] = self._source.candidate(record.architecture)
        candidate = self._candidates[record.number]
        if record.outcome in ("running", "held", "finished"):
            return TrialView(record.number, candidate, accuracies, record.outcome)
        return TrialView(record.number, candidate, accuracies, "ended")
