"""Which training comes next, given a search's trials. Pure: the engine writes what is chosen here."""

import math
import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nas.engine.admission import Admission, admit
from nas.engine.inheritance import parent_of
from nas.engine.policy import SearchPolicy
from nas.engine.stagnation import stagnated
from nas.records.front import front_of
from nas.records.inheritance import Inheritance
from nas.records.latency_reference import LatencyReference
from nas.records.seeds import derived_seed
from nas.records.trial import Outcome, TrialRecord, architectures_started
from nas.settings.search_settings import SearchSettings
from search_spaces.architecture import Architecture
from search_spaces.cost import Cost
from search_spaces.space import Space
from trainers.data.config import DataSummary

# So many architectures are drawn at random where a sampler proposes nothing new.
RANDOM_ATTEMPTS = 2000


@dataclass(frozen=True, slots=True)
class InheritedStart:
    """The trial whose weights a network begins with, its architecture, and for how many epochs it is trained then."""

    parent: int
    parent_architecture: Architecture
    epochs: int


@dataclass(frozen=True, slots=True)
class Assignment:
    """A trial for a worker to run: its number, what to train from which seed, and the epochs that the ledger holds.

    `latency_reference` is what to measure its latency beside first, None where that is not asked for or known already.
    `start` is what it takes over; None is from scratch, for the full budget.
    """

    number: int
    architecture: Architecture
    seed: int
    recorded_epochs: int = 0
    latency_reference: LatencyReference | None = None
    start: InheritedStart | None = None


@dataclass(frozen=True, slots=True)
class Start:
    """A new trial of `architecture`. `replicate` counts the trainings of one architecture from 0."""

    architecture: Architecture
    anchor: bool = False
    replicate: int = 0
    inheritance: Inheritance | None = None


@dataclass(frozen=True, slots=True)
class Promote:
    """A held trial that trains on."""

    number: int


@dataclass(frozen=True, slots=True)
class AskSampler:
    """A sampler of Optuna's is asked for an architecture, which it is told the fate of."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What is trained next is still being worked out."""


Step = Start | Promote | AskSampler | Wait

# Those that keep a search from beginning anything new, by the names of their settings.
Limit = Literal["trials", "epochs", "stagnation"]


class Dispatcher:
    """Chooses what to train. Every choice follows from the settings and from the trials that it is given."""

    def __init__(
        self,
        space: Space,
        data: DataSummary,
        settings: SearchSettings,
        policy: SearchPolicy,
        without_weights: Collection[int] = (),
    ) -> None:
        """`without_weights` are the trials whose checkpoints are gone."""
        self._without_weights = frozenset(without_weights)
        self._space = space
        self._data = data
        self._settings = settings
        self._policy = policy
        # Of every trial, by its number: a digest of all that is in an architecture, which is asked for again and again.
        self._ids: list[str] = []

    def limit(self, settings: SearchSettings) -> None:
        """Goes on by settings that differ in limits alone."""
        self._settings = settings

    def next(self, records: Sequence[TrialRecord]) -> Step | None:
        """What to train next, None where there is nothing (yet).

        In this order: a repeated training that was asked for; an anchor; a held trial whose gain an epoch beats
        everything fresh; a new proposal, or one that was only looked at with inherited weights; a training that
        confirms the front.
        """
        settings = self._settings
        if stagnated(records, self._policy.reference, settings.stagnation):
            return self._repeat(records, front_of(records), settings.confirm_front)
        finished = [record for record in records if record.outcome == "finished"]
        repeat = self._repeat(records, finished, settings.replicates)
        if repeat:
            return repeat
        known = self.started(records)
        affordable = self._policy.epochs_left(records) >= self._policy.epochs
        fresh = affordable and len(known) < min(settings.trials, self._space.size())
        anchor = self._anchor(known) if fresh else None
        if anchor:
            return anchor
        if fresh and self._policy.looks_ahead(records):
            return self._worked_out_ahead(records)
        promoted = self._policy.promotion(records)
        if promoted is not None:
            return Promote(promoted)
        if fresh and settings.sampler != "ehvi":
            return AskSampler()
        begins = self._begun(self._policy.fresh_architecture(records), records) if fresh else None
        if begins is None and affordable:
            begins = self._from_scratch(records)
        return begins or self._confirmation(records)

    def _begun(self, architecture: Architecture | None, records: Sequence[TrialRecord]) -> Start | None:
        """How what is proposed is begun: from scratch or, where it can inherit and has not yet, briefly from others'
        weights."""
        if architecture is None:
            return None
        if not self._settings.inherit or self._is_inherited(architecture, records):
            return Start(architecture)
        params = self._data.part_params(architecture)
        parent = parent_of(architecture, records, params, self._without_weights)
        epochs = self._settings.inherited_epochs
        return Start(architecture, inheritance=None if parent is None else Inheritance(parent, epochs))

    def _from_scratch(self, records: Sequence[TrialRecord]) -> Start | None:
        """What was only trained from inherited weights yet, where nothing fresh is worth more."""
        if not any(record.outcome == "inherited" for record in records):
            return None
        architecture = self._policy.fresh_architecture(records)
        if architecture is None or not self._is_inherited(architecture, records):
            return None
        return Start(architecture)

    def _is_inherited(self, architecture: Architecture, records: Sequence[TrialRecord]) -> bool:
        return any(record.outcome == "inherited" and record.architecture == architecture for record in records)

    def _worked_out_ahead(self, records: Sequence[TrialRecord]) -> Step | None:
        answer = self._policy.worked_out_ahead(records)
        if answer is None:
            return Wait()
        if answer.promoted is not None:
            return Promote(answer.promoted)
        fresh = None if answer.fresh is None else self._policy.architecture(answer.fresh)
        return self._begun(fresh, records) or self._confirmation(records)

    def started(self, records: Sequence[TrialRecord]) -> dict[str, int]:
        """The trial of every architecture that was given to a worker, by its id."""
        for record in records[len(self._ids) :]:
            self._ids.append(record.architecture.id)
        return {id_: record.number for id_, record in zip(self._ids, records, strict=False) if record.trained}

    def limit_reached(self, records: Sequence[TrialRecord]) -> Limit | None:
        """The limit that a search has come to. None where it has come to none: its space may have nothing new."""
        if stagnated(records, self._policy.reference, self._settings.stagnation):
            return "stagnation"
        started = len(self.started(records))
        if started >= self._space.size():
            return None
        if started >= self._settings.trials:
            return "trials"
        return "epochs" if self._policy.epochs_left(records) < self._policy.epochs else None

    def most_at_a_time(self, records: Sequence[TrialRecord]) -> int:
        """How many trials would be trained at a time, were there workers for all: what runs, and what is left to begin.

        Trials that may be promoted are not counted, nor repeated trainings: whether they come, nobody knows.
        """
        running = sum(record.outcome == "running" for record in records)
        if stagnated(records, self._policy.reference, self._settings.stagnation):
            return running
        new = min(self._settings.trials, self._space.size()) - len(self.started(records))
        affordable = self._policy.epochs_left(records) / self._policy.epochs
        return running + max(0, min(new, math.floor(affordable) if affordable < math.inf else new))

    def without_sampler(self, records: Sequence[TrialRecord], number: int) -> Start | None:
        """What to train next, as trial `number`, where a sampler proposed nothing new."""
        known = self.started(records)
        rng = random.Random(derived_seed("fallback", self._settings.seed, number))
        for _ in range(RANDOM_ATTEMPTS):
            architecture = self._space.sample(rng)
            if self._is_new(architecture, known):
                return Start(architecture)
        return self._confirmation(records)

    def trial(self, start: Start, known: Mapping[str, int], number: int, now: int) -> TrialRecord:
        """The trial of a new training at the time `now`: to be run, or a duplicate of one of `known`, or rejected."""
        architecture, settings = start.architecture, self._settings
        cost = self._data.cost(architecture)
        decision = self._admission(architecture, cost, known)
        others = [start.replicate] if start.replicate else [] if start.inheritance is None else ["inherited"]
        parts = ("trial", settings.seed, architecture.id, *others)
        outcome: Outcome = "running" if decision.verdict == "train" else decision.verdict
        return TrialRecord(
            number=number,
            architecture=architecture,
            flops=cost.flops,
            params=cost.params,
            seed=derived_seed(*parts),
            outcome=outcome,
            anchor=start.anchor,
            replicate=start.replicate,
            inheritance=start.inheritance,
            reason=decision.reason,
            duplicate_of=decision.known_trial,
            stretch_start=now,
        )

    def _is_new(self, architecture: Architecture, known: Mapping[str, int]) -> bool:
        return self._admission(architecture, self._data.cost(architecture), known).verdict == "train"

    def _admission(self, architecture: Architecture, cost: Cost, known: Mapping[str, int]) -> Admission:
        return admit(architecture.id, self._settings.limits.exceeded(cost.flops, cost.params), known)

    def _anchor(self, known: Mapping[str, int]) -> Start | None:
        new = (anchor for anchor in self._space.anchors() if self._is_new(anchor, known))
        anchor = next(new, None)
        return None if anchor is None else Start(anchor, anchor=True)

    def _confirmation(self, records: Sequence[TrialRecord]) -> Start | None:
        """Another training of a member of the front, once only such trainings run: nothing else can change it."""
        if any(record.outcome == "running" and not record.replicate for record in records):
            return None
        return self._repeat(records, front_of(records), self._settings.confirm_front)

    def _repeat(self, records: Sequence[TrialRecord], wanted: Sequence[TrialRecord], trainings: int) -> Start | None:
        """Another training, from another seed, of the first of `wanted` that was not trained so often."""
        if trainings <= 1 or self._policy.epochs_left(records) < self._policy.epochs:
            return None
        started = architectures_started(records)
        for record in wanted:
            if started[record.architecture.id] < trainings:
                return Start(record.architecture, replicate=started[record.architecture.id])
        return None
