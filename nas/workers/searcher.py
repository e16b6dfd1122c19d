"""Ray Tune's searcher: asks the engine what to train next, for a node with room for it."""

import functools
from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

from nas.engine.dispatcher import Assignment
from nas.engine.engine import Engine
from nas.engine.faults import EverythingFails, Faults, hopeless
from nas.records.failures import failed
from nas.workers.autoscaler import Autoscaler
from nas.workers.failed_trials import end_by
from nas.workers.nodes import Nodes
from nas.workers.trial_config import TrialTemplate


class EngineSearcher(Searcher):
    """Hands the engine's assignments to Ray Tune as trial configurations, each for one node.

    The ledger is the only state, so what Ray Tune pickles of a searcher is empty.
    """

    def __init__(
        self,
        engine: Engine,
        template: TrialTemplate,
        nodes: Nodes,
        faults: Faults,
        halts: list[Exception],
        should_stop: Callable[[], bool],
        autoscaler: Autoscaler | None = None,
    ) -> None:
        """To `halts` goes what keeps all trials from going on. Nothing is begun after that, or once `should_stop()`.

        `autoscaler` is asked for room for all that could be trained at a time.
        """
        super().__init__()
        self._engine: Engine | None = engine
        self._template: TrialTemplate | None = template
        self._nodes: Nodes | None = nodes
        self._faults: Faults | None = faults
        self._halts = halts
        self._should_stop: Callable[[], bool] | None = should_stop
        self._autoscaler: Autoscaler | None = autoscaler
        self._failed_before = frozenset(record.number for record in failed(engine.records))

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:  # type: ignore[override]
        """The configuration of the next trial. None where something has to be waited for.

        While nothing runs, Ray Tune asks again every second and does nothing else.
        """
        engine, template, nodes, faults = self._engine, self._template, self._nodes, self._faults
        assert engine is not None and template is not None and nodes is not None and faults is not None
        assert self._should_stop is not None
        if self._halts or self._should_stop():
            return Searcher.FINISHED
        nodes.look()
        if self._autoscaler is not None:
            self._autoscaler.ask(lambda: engine.most_at_a_time)
        reason = hopeless(engine.records, self._failed_before)
        if reason is None:
            for node in nodes.free():
                assignment = self._assignment(node)
                if assignment is None and engine.has_waiting and faults.reopen(node):
                    assignment = self._assignment(node)
                if assignment is not None:
                    nodes.occupy(trial_id, node)
                    return template.trial(assignment, node).to_config()
                if not engine.has_waiting:
                    break
        if nodes.busy:
            return None
        reason = reason or nodes.why_none_trains
        if reason is not None:
            self._halts.append(EverythingFails(reason))
            return Searcher.FINISHED
        if engine.idle:
            return Searcher.FINISHED
        if nodes.training:
            anything = any(record.epochs and record.imported_from is None for record in engine.records)
            for failure in faults.stuck(anything_trained=anything):
                end_by(engine, failure)
        return None

    def _assignment(self, node: str) -> Assignment | None:
        """What a node is to train next, and the ledger knows to be there; None where there is nothing for it."""
        engine, nodes, faults = self._engine, self._nodes, self._faults
        assert engine is not None and nodes is not None and faults is not None
        with engine.at_once():
            assignment = engine.next_assignment(functools.partial(faults.may_run, node=node))
            if assignment is not None:
                engine.report_place(assignment.number, nodes.name(node), nodes.accelerator(node))
        return assignment

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        """The scheduler has told the engine; here its node has room again."""
        assert self._nodes is not None
        self._nodes.vacate(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: the ledger is the state."""

    def __getstate__(self) -> dict[str, Any]:
        kept = ("_engine", "_template", "_nodes", "_faults", "_should_stop", "_autoscaler")
        return {**self.__dict__, **dict.fromkeys(kept), "_halts": []}
