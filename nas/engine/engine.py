"""The search itself, without any framework around it: what to train next, and when a trial has trained enough.

`Engine` keeps the ledger; Ray Tune's searcher and scheduler only forward to it. Everything it decides follows from the
settings and from what the ledger holds, so a search that was cut off goes on by making a new engine on its ledger.
"""

import contextlib
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace

from nas.engine.dispatcher import AskSampler, Assignment, Dispatcher, InheritedStart, Limit, Promote, Start
from nas.engine.policy import AccuracyRule, SearchPolicy
from nas.engine.virtual_time import next_decision_epoch
from nas.ledger.ledger import Ledger
from nas.records.left_out_nodes import LeftOutNode
from nas.records.pareto import Point
from nas.records.trial import Outcome, TrialRecord
from nas.records.whereabouts import GpuUse
from nas.settings.search_settings import SearchSettings
from search_spaces.space import Space
from search_spaces.units import counted
from trainers.data.config import DataSummary
from trainers.epoch_result import EpochResult

# A trial whose worker dies, there being no other node to train it, is trained on so many times.
DEATHS_RETRIED = 1
# After so many proposals in a row that are known or over a limit a sampler is not asked any more.
SAMPLER_ATTEMPTS = 3


class Engine:
    """The state of a running search, decided in the order in which results come. Safe to call from several threads.

    Made by `nas.engine.start.start_engine`, which has it take up what the ledger holds.
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
    ) -> None:
        """`accuracy_rule` decides on the trials where the scheduler is "asha".

        `without_weights` are the trials of the ledger whose checkpoints are gone, so that none can inherit from them.
        """
        self.ledger = ledger
        self.space = space
        self.settings = settings
        self.epochs = epochs
        self._policy = SearchPolicy(
            space, data, settings, epochs, accuracy_rule, ledger.most_latency_ms, ledger.header.earlier
        )
        self._dispatcher = Dispatcher(space, data, settings, self._policy, without_weights)
        # The epochs after which a trial is decided upon.
        self._decision_epochs = (*self._policy.rungs, epochs)
        self._lock = threading.RLock()
        # Trials that are being trained, but by no worker yet.
        self._waiting: deque[int] = deque()

    def take_up(self) -> None:
        """Takes up what the ledger holds: that of a search that was cut off, perhaps between a result and what follows.

        To be called once, before anything else.
        """
        with self._lock:
            for record in self.ledger.records:
                self._policy.remember(record)
            self._train_on([record.number for record in self.ledger.records if record.outcome == "running"])

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """What is done in this context is in the ledger at its end, in one transaction, and nobody sees less of it."""
        with self._lock, self.ledger.at_once():
            yield

    def _train_on(self, cut_off: list[int]) -> None:
        """Trains on what was running when the search was cut off."""
        for number in cut_off:
            due = next_decision_epoch(self.ledger.record(number), self._decision_epochs)
            if len(self.ledger.record(number).epochs) < due or self._decide(number, due):
                self._waiting.append(number)

    def close(self) -> None:
        """Leaves no process behind."""
        self._policy.close()

    def limit(self, settings: SearchSettings) -> None:
        """Goes on by settings that differ in limits alone: those on trials, epochs and time."""
        with self._lock:
            self.settings = settings
            self._policy.limit(settings)
            self._dispatcher.limit(settings)

    @property
    def reference(self) -> Point:
        """The least accuracy and the most of each cost that count."""
        return self._policy.reference

    @property
    def records(self) -> tuple[TrialRecord, ...]:
        with self._lock:
            return self.ledger.records

    def record(self, number: int) -> TrialRecord:
        """A trial as it stands."""
        with self._lock:
            return self.ledger.record(number)

    @property
    def idle(self) -> bool:
        """Whether no trial is running, so that nothing more will happen where there is no assignment either."""
        with self._lock:
            return not any(record.outcome == "running" for record in self.ledger.records)

    @property
    def most_at_a_time(self) -> int:
        """How many trials would be trained now, were there workers for all."""
        with self._lock:
            return self._dispatcher.most_at_a_time(self.ledger.records)

    @property
    def limit_reached(self) -> Limit | None:
        """The limit that keeps anything new from being begun; None where none does."""
        with self._lock:
            return self._dispatcher.limit_reached(self.ledger.records)

    @property
    def has_waiting(self) -> bool:
        """Whether trials that were begun wait for a worker."""
        with self._lock:
            return bool(self._waiting)

    def next_assignment(self, may_run: Callable[[int], bool] = lambda number: True) -> Assignment | None:
        """The next training for a free worker, first of all of what was cut off. None where there is none (now).

        `may_run` says which of the trials that wait may run there; a new one always may.
        """
        with self.at_once():
            number = self._taken_from_waiting(may_run)
            if number is None:
                number = self._dispatch(self.ledger.records, 0)
            return None if number is None else self._assignment(number)

    def _taken_from_waiting(self, may_run: Callable[[int], bool]) -> int | None:
        number = next(filter(may_run, self._waiting), None)
        if number is not None:
            self._waiting.remove(number)
        return number

    def _assignment(self, number: int) -> Assignment:
        """The rest of a trial's training."""
        record = self.ledger.record(number)
        reference = self.ledger.latency_reference if record.latency_ms is None else None
        start = None
        if record.inheritance is not None:
            parent = self.ledger.record(record.inheritance.parent)
            start = InheritedStart(parent.number, parent.architecture, record.inheritance.epochs)
        return Assignment(number, record.architecture, record.seed, len(record.epochs), reference, start)

    def _dispatch(self, records: Sequence[TrialRecord], now: int) -> int | None:
        """Writes what is trained next at the time `now`, given the trials. Its number, None where there is none."""
        step = self._dispatcher.next(records)
        match step:
            case Promote(number):
                self.ledger.promote(number, now)
                return number
            case AskSampler():
                return self._ask_sampler(records, now)
            case Start():
                return self._start(step, now)
        return None

    def _start(self, start: Start, now: int) -> int:
        record = self._dispatcher.trial(start, {}, self.ledger.next_number, now)
        assert record.outcome == "running", record
        self.ledger.register(record, self.space)
        return record.number

    def _ask_sampler(self, records: Sequence[TrialRecord], now: int) -> int | None:
        """Writes what a sampler proposes, until that is something to train."""
        known = self._dispatcher.started(records)
        for _ in range(SAMPLER_ATTEMPTS):
            architecture = self.ledger.propose(self.space, self.settings.sampler, self.settings.seed)
            record = self._dispatcher.trial(Start(architecture), known, self.ledger.next_number, now)
            self.ledger.register(record, self.space)
            if record.outcome == "running":
                return record.number
        start = self._dispatcher.without_sampler(records, self.ledger.next_number)
        return None if start is None else self._start(start, now)

    def report_latency(self, number: int, latency_ms: float) -> None:
        """Records what the network of a trial was measured to take, which its worker does before it trains."""
        with self._lock:
            self.ledger.record_latency(number, latency_ms)

    def report_unreadable_images(self, paths: Sequence[str]) -> None:
        """Records the images that no trial gets past, by their paths below data.root."""
        with self._lock:
            self.ledger.record_unreadable_images(paths)

    def report_place(self, number: int, node: str, accelerator: str | None = None) -> None:
        """Records which node a trial is given to, and the type of its GPUs."""
        with self._lock:
            self.ledger.record_place(number, node, accelerator)

    def report_mishap(self, number: int, node: str, reason: str) -> None:
        """Records what went wrong with a trial, whatever follows of it."""
        with self._lock:
            if self.ledger.record(number).outcome == "running":
                self.ledger.record_mishap(number, node, reason)

    def report_epoch(self, number: int, result: EpochResult, gpu: GpuUse | None = None) -> bool:
        """Records an epoch of a trial, with the use of its GPU then. Whether its worker goes on with it."""
        with self.at_once():
            self.ledger.record_epoch(number, result, gpu)
            record = self.ledger.record(number)
            if result.epoch <= record.decided_epoch or result.epoch < next_decision_epoch(
                record, self._decision_epochs
            ):
                return True
            return self._result_complete(number, result.epoch)

    def _result_complete(self, number: int, epoch: int) -> bool:
        """A trial has come to where it is decided upon. Whether its worker goes on with it."""
        return self._decide(number, epoch)

    def _decide(self, number: int, epoch: int) -> bool:
        """Decides upon a trial after `epoch`, and writes it. Whether it goes on."""
        inheritance = self.ledger.record(number).inheritance
        if inheritance is not None:
            reached = self.ledger.record(number).epochs[inheritance.epochs - 1].val_accuracy
            trained = f"{counted(inheritance.epochs, 'epoch')} from the weights of trial {inheritance.parent}"
            self.ledger.end(number, "inherited", reason=f"{trained}: {reached:.2%}")
            return False
        if epoch >= self.epochs:
            self.ledger.end(number, "finished")
            return False
        known = self._known(number, epoch)
        record = known[number]
        if self._policy.should_continue(record, known):
            self.ledger.record_continuation(number, epoch)
            return True
        if self.settings.scheduler == "pareto":
            self.ledger.hold(number, epoch)
        else:
            self.ledger.end(number, "stopped", reason=f"rung of epoch {epoch}")
        return False

    def _known(self, number: int, epoch: int) -> tuple[TrialRecord, ...]:
        """The trials as far as a decision upon trial `number` after `epoch` may see them."""
        records = list(self.ledger.records)
        records[number] = replace(records[number], epochs=records[number].epochs[:epoch])
        return tuple(records)

    def end(self, number: int, outcome: Outcome, reason: str) -> None:
        """Records that a trial ended otherwise than by its own results."""
        with self._lock:
            self._leave_waiting(number)
            self.ledger.end(number, outcome, reason=reason)

    def _leave_waiting(self, number: int) -> None:
        if number in self._waiting:
            self._waiting.remove(number)

    def give_back(self, number: int) -> None:
        """Has a trial trained again, from its checkpoint, that failed for no fault of its own."""
        with self._lock:
            if self.ledger.record(number).outcome == "running" and number not in self._waiting:
                self._waiting.append(number)

    def worker_died(self, number: int, reason: str, outcome: Outcome | None) -> None:
        """Has a trial whose worker died trained again from its checkpoint, once; the second time it ends as `outcome`.

        None is for a death that says nothing of the trial, such as that of its node: it is not counted.
        """
        with self._lock:
            if self.ledger.record(number).outcome != "running":
                return
            if outcome is not None and self.ledger.record_death(number) > DEATHS_RETRIED:
                self.end(number, outcome, reason)
            else:
                self.give_back(number)

    def report_nodes_left_out(self, nodes: Sequence[LeftOutNode]) -> None:
        """Records the nodes that were left out so far."""
        with self._lock:
            self.ledger.record_nodes_left_out(nodes)

    def conclude(self) -> None:
        """Ends the search: what is still held at a rung will not be promoted any more."""
        with self._lock:
            for record in self.ledger.records:
                if record.outcome == "held":
                    self.ledger.end(record.number, "stopped", reason=f"rung of epoch {len(record.epochs)}")
