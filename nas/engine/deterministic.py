"""A search whose every decision is the same however fast its workers are and however often it is cut off."""

from collections.abc import Callable, Collection
from dataclasses import replace

from nas.engine.dispatcher import Assignment
from nas.engine.engine import Engine
from nas.engine.policy import AccuracyRule
from nas.engine.virtual_time import next_decision, next_decision_epoch, time_reached
from nas.ledger.ledger import Ledger
from nas.records.trial import Outcome, TrialRecord
from nas.settings.search_settings import SearchSettings
from search_spaces.space import Space
from trainers.data.config import DataSummary


class DeterministicEngine(Engine):
    """Decides in the order of virtual time (`nas.engine.virtual_time`), as on `slots` workers.

    A trial that has come to a rung before its time leaves its worker, and goes on from its checkpoint when it is
    decided that it may. What has been decided, the ledger holds, results that wait for their time among it.
    """

    def __init__(
        self,
        ledger: Ledger,
        space: Space,
        data: DataSummary,
        settings: SearchSettings,
        epochs: int,
        accuracy_rule: AccuracyRule | None = None,
        without_weights: Collection[int] = (),
        *,
        slots: int,
    ) -> None:
        super().__init__(ledger, space, data, settings, epochs, accuracy_rule, without_weights)
        anchors = [data.cost(anchor).flops for anchor in space.anchors()]
        # Even the smallest network takes some time for an epoch.
        self._overhead = sum(anchors) // len(anchors)
        self._slots = slots
        self._now = 0
        # Trials at a worker, and how those ended that did otherwise than by their results.
        self._at_work: set[int] = set()
        self._ends: dict[int, tuple[Outcome, str]] = {}

    def _train_on(self, cut_off: list[int]) -> None:
        self._now = time_reached(self.ledger.records, self._overhead)
        for number in cut_off:
            if not self._complete(self.ledger.record(number)):
                self._waiting.append(number)
        self._fill_slots()

    @property
    def most_at_a_time(self) -> int:
        return min(self._slots, super().most_at_a_time)

    def next_assignment(self, may_run: Callable[[int], bool] = lambda number: True) -> Assignment | None:
        with self._lock:
            self._advance()
            number = self._taken_from_waiting(may_run)
            if number is None:
                return None
            self._at_work.add(number)
            return self._assignment(number)

    def _result_complete(self, number: int, epoch: int) -> bool:
        self._advance()
        record = self.ledger.record(number)
        if record.outcome == "running" and record.decided_epoch == epoch:
            return True
        self._at_work.discard(number)
        return False

    def end(self, number: int, outcome: Outcome, reason: str) -> None:
        """Notes that a trial ended otherwise than by its own results; others learn of it when its time has come."""
        with self._lock:
            self._at_work.discard(number)
            self._leave_waiting(number)
            self._ends[number] = (outcome, reason)
            self._advance()

    def give_back(self, number: int) -> None:
        with self._lock:
            self._at_work.discard(number)
            super().give_back(number)

    def _advance(self) -> None:
        """Decides upon every trial whose time has come and whose result is there."""
        while True:
            due = next_decision(self.ledger.records, self._decision_epochs, self._overhead)
            if due is None or not self._complete(self.ledger.record(due.number)):
                return
            self._now = due.time
            if due.number in self._ends:
                outcome, reason = self._ends.pop(due.number)
                self.ledger.end(due.number, outcome, reason=reason, decided_epoch=due.epoch)
            elif self._decide(due.number, due.epoch) and due.number not in self._at_work:
                self._waiting.append(due.number)
            self._fill_slots()

    def _complete(self, record: TrialRecord) -> bool:
        """Whether all is there that the next decision on a trial waits for."""
        return record.number in self._ends or len(record.epochs) >= next_decision_epoch(record, self._decision_epochs)

    def _fill_slots(self) -> None:
        while sum(record.outcome == "running" for record in self.ledger.records) < self._slots:
            number = self._dispatch(self._known(), self._now)
            if number is None:
                return
            self._waiting.append(number)

    def _known(self, number: int | None = None, epoch: int = 0) -> tuple[TrialRecord, ...]:
        """The trials as they stand at this time: of those that are running, nothing that was not decided upon yet."""
        return tuple(
            replace(record, epochs=record.epochs[: epoch if record.number == number else record.decided_epoch])
            if record.outcome == "running"
            else record
            for record in self.ledger.records
        )
