"""Which training comes next, given a search's trials; writes it into the ledger."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from nas.engine.admission import gate
from nas.engine.policy import TrialJudge
from nas.engine.stagnation import stagnated
from nas.ledger.ledger import Ledger
from nas.records.seeds import derived_seed
from nas.records.trial import Outcome, TrialRecord, architectures_started, front_of
from nas.settings.search_settings import SearchSettings
from search_spaces.architecture import Architecture
from search_spaces.space import Space
from trainers.data.config import DataSummary

# After so many proposals in a row that are known or over a limit, a proposal is drawn at random instead, so many times.
SAMPLER_ATTEMPTS = 3
RANDOM_ATTEMPTS = 2000


@dataclass(frozen=True, slots=True)
class Assignment:
    """A trial for a worker to run: its number, what to train from which seed, and the epochs that the ledger holds."""

    number: int
    architecture: Architecture
    seed: int
    recorded_epochs: int = 0


def assignment_of(record: TrialRecord) -> Assignment:
    """The rest of a trial's training."""
    return Assignment(record.number, record.architecture, record.seed, len(record.epochs))


class Assigner:
    """Chooses what to train. Follows from the settings and from the trials that it is given."""

    def __init__(
        self, ledger: Ledger, space: Space, data: DataSummary, settings: SearchSettings, judge: TrialJudge
    ) -> None:
        self._ledger = ledger
        self._space = space
        self._data = data
        self._settings = settings
        self._judge = judge
        self._epochs = judge.epochs

    def next(self, records: Sequence[TrialRecord], now: int) -> Assignment | None:
        """The next training at the time `now`, None where there is none (yet).

        In this order: a repeated training that was asked for; an anchor; a held trial whose gain an epoch beats
        everything fresh; a new proposal; a training that confirms the front.
        """
        settings = self._settings
        if stagnated(records, self._judge.reference, settings.stagnation):
            return self._next_repeat(records, front_of(records), settings.confirm_front, now)
        finished = [record for record in records if record.outcome == "finished"]
        repeat = self._next_repeat(records, finished, settings.replicates, now)
        if repeat:
            return repeat
        known = {record.architecture.id: record.number for record in records if record.trained}
        fresh = len(known) < min(settings.trials, self._space.size())
        fresh = fresh and self._judge.epochs_left(records) >= self._epochs
        anchor = self._next_anchor(known, now) if fresh else None
        if anchor:
            return anchor
        promoted = self._judge.promotion(records)
        if promoted is not None:
            self._ledger.promote(promoted, now)
            return assignment_of(self._ledger.record(promoted))
        proposal = self._next_proposal(records, known, now) if fresh else None
        return proposal or self._next_confirmation(records, now)

    def _next_anchor(self, known: dict[str, int], now: int) -> Assignment | None:
        limit = self._settings.max_flops
        for anchor in self._space.anchors():
            if gate(anchor.id, self._data.cost(anchor).flops, known, limit).verdict == "train":
                return self._start(anchor, now, anchor=True)
        return None

    def _next_proposal(self, records: Sequence[TrialRecord], known: dict[str, int], now: int) -> Assignment | None:
        if self._settings.sampler == "ehvi":
            architecture = self._judge.fresh_architecture(records)
            return None if architecture is None else self._start(architecture, now)
        for _ in range(SAMPLER_ATTEMPTS):
            architecture = self._ledger.propose(self._space, self._settings.sampler, self._settings.seed)
            assignment = self._register(architecture, known, now)
            if assignment:
                return assignment
        state = random.Random(derived_seed("fallback", self._settings.seed, len(self._ledger.records)))
        for _ in range(RANDOM_ATTEMPTS):
            architecture = self._space.sample(state)
            flops = self._data.cost(architecture).flops
            if gate(architecture.id, flops, known, self._settings.max_flops).verdict == "train":
                return self._start(architecture, now)
        return None

    def _next_confirmation(self, records: Sequence[TrialRecord], now: int) -> Assignment | None:
        """Another training of a member of the front, once only such trainings run: nothing else can change it."""
        if any(record.outcome == "running" and not record.replicate for record in records):
            return None
        return self._next_repeat(records, front_of(records), self._settings.confirm_front, now)

    def _next_repeat(
        self, records: Sequence[TrialRecord], wanted: Sequence[TrialRecord], trainings: int, now: int
    ) -> Assignment | None:
        """Another training, from another seed, of the first of `wanted` that was not trained so often."""
        if trainings <= 1 or self._judge.epochs_left(records) < self._epochs:
            return None
        started = architectures_started(records)
        for record in wanted:
            if started[record.architecture.id] < trainings:
                return self._start(record.architecture, now, replicate=started[record.architecture.id])
        return None

    def _start(self, architecture: Architecture, now: int, *, anchor: bool = False, replicate: int = 0) -> Assignment:
        assignment = self._register(architecture, {}, now, anchor=anchor, replicate=replicate)
        assert assignment is not None
        return assignment

    def _register(
        self,
        architecture: Architecture,
        known: dict[str, int],
        now: int,
        *,
        anchor: bool = False,
        replicate: int = 0,
    ) -> Assignment | None:
        """Puts a proposal into the ledger. The assignment, where it is to be trained."""
        cost = self._data.cost(architecture)
        decision = gate(architecture.id, cost.flops, known, self._settings.max_flops)
        parts = ("trial", self._settings.seed, architecture.id, *([replicate] if replicate else []))
        outcome: Outcome = "running" if decision.verdict == "train" else decision.verdict
        record = TrialRecord(
            number=self._ledger.next_number,
            architecture=architecture,
            flops=cost.flops,
            params=cost.params,
            seed=derived_seed(*parts),
            outcome=outcome,
            anchor=anchor,
            replicate=replicate,
            reason=decision.reason,
            duplicate_of=decision.known_trial,
            stretch_start=now,
        )
        self._ledger.register(record, self._space)
        return assignment_of(record) if outcome == "running" else None
