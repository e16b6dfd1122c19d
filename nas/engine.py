"""The search itself, without any framework around it: what to train next, and when a trial has trained enough.

`Engine` keeps the ledger; Ray Tune's searcher and scheduler only forward to it. Everything it decides follows from the
settings and from what the ledger holds, so a search that was cut off goes on by making a new engine on its ledger.
"""

import random
import threading
from dataclasses import dataclass

from nas.ledger import Ledger
from nas.proposals import gate
from nas.records import Outcome, TrialRecord
from nas.rungs import goes_on, rung_epochs
from nas.search_settings import SearchSettings
from nas.seeds import derived_seed
from search_spaces.architecture import Architecture
from search_spaces.space import Space, Value
from trainers.data import DataSummary
from trainers.loop import EpochResult

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


class Engine:
    """The state of a running search. Its methods may be called from several threads."""

    def __init__(self, ledger: Ledger, space: Space, data: DataSummary, settings: SearchSettings, epochs: int) -> None:
        self.ledger = ledger
        self.space = space
        self.settings = settings
        self.epochs = epochs
        self._data = data
        self._rungs = rung_epochs(settings.minimum_epochs, epochs, settings.reduction_factor)
        self._unfinished = [record for record in ledger.records if record.outcome == "running"]
        self._lock = threading.RLock()

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        with self._lock:
            return self.ledger.records

    def next_assignment(self) -> Assignment | None:
        """The next trial: one that was cut off, else an anchor, else a new proposal. None when there is none."""
        with self._lock:
            if self._unfinished:
                record = self._unfinished.pop(0)
                return Assignment(record.number, record.architecture, record.seed, len(record.epochs))
            trained = [record for record in self.ledger.records if record.trained]
            if len(trained) >= min(self.settings.trials, self.space.size()):
                return None
            known = {record.architecture.id: record.number for record in trained}
            return self._next_anchor(known) or self._next_proposal(known)

    def _next_anchor(self, known: dict[str, int]) -> Assignment | None:
        limit = self.settings.max_flops
        for anchor in self.space.anchors():
            if gate(anchor.id, self._data.cost(anchor).flops, known, limit).verdict == "train":
                number, architecture = self._propose("random", self.space.choices_of(anchor))
                assert architecture == anchor
                return self._register(number, anchor, known, anchor=True)
        return None

    def _next_proposal(self, known: dict[str, int]) -> Assignment | None:
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
                choices = self.space.choices_of(architecture)
                number, _ = self._propose("random", choices)
                return self._register(number, architecture, known)
        return None

    def _propose(self, sampler: str, fixed: dict[str, Value] | None = None) -> tuple[int, Architecture]:
        return self.ledger.propose(self.space, sampler, self.settings.seed, fixed)

    def _register(
        self, number: int, architecture: Architecture, known: dict[str, int], anchor: bool = False
    ) -> Assignment | None:
        """Puts a proposal into the ledger. The assignment, where it is to be trained."""
        architecture_cost = self._data.cost(architecture)
        decision = gate(architecture.id, architecture_cost.flops, known, self.settings.max_flops)
        seed = derived_seed("trial", self.settings.seed, architecture.id)
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
                reason=decision.reason,
                duplicate_of=decision.known_trial,
            )
        )
        return Assignment(number, architecture, seed) if decision.verdict == "train" else None

    def report_epoch(self, number: int, result: EpochResult) -> bool:
        """Records an epoch of a trial. Whether the trial goes on, being neither complete nor stopped at a rung."""
        with self._lock:
            self.ledger.record_epoch(number, result)
            record = next(record for record in self.ledger.records if record.number == number)
            if result.epoch >= self.epochs:
                self.ledger.end(number, "finished")
                return False
            if self._stops_here(record, result):
                self.ledger.end(number, "stopped", reason=f"rung of epoch {result.epoch}")
                return False
            return True

    def _stops_here(self, record: TrialRecord, result: EpochResult) -> bool:
        """Whether the rung that a trial has reached, if it is one, stops it. The anchors are never stopped."""
        if self.settings.scheduler == "none" or record.anchor or result.epoch not in self._rungs:
            return False
        peers = [
            (peer.epochs[result.epoch - 1].val_accuracy, float(peer.flops))
            for peer in self.ledger.records
            if peer.number != record.number and len(peer.epochs) >= result.epoch
        ]
        return not goes_on((result.val_accuracy, float(record.flops)), peers, self.settings.reduction_factor)

    def end(self, number: int, outcome: Outcome, reason: str) -> None:
        """Records that a trial ended otherwise than by its own results."""
        with self._lock:
            self.ledger.end(number, outcome, reason=reason)
