"""What becomes of a trial that failed: it ends, goes on elsewhere, or waits until it is clear whose fault that was."""

import logging
from collections.abc import Callable
from pathlib import Path

from nas.engine.engine import DEATHS_RETRIED, Engine
from nas.engine.faults import Failure, Faults
from nas.settings.run_directory import error_file
from nas.workers.nodes import Nodes

LOGGER = logging.getLogger(__name__)


class FailedTrials:
    """Tells the engine what follows of failures; what Python and Ray said of them is kept in files in `errors`."""

    def __init__(self, engine: Engine, nodes: Nodes, faults: Faults, errors: Path) -> None:
        self._engine = engine
        self._nodes = nodes
        self._faults = faults
        self._errors = errors

    def keep(self, number: int, node: str, text: str) -> None:
        """Adds what is known of a failure to the file of its trial; not where the search's directory is gone.

        To make that anew would tell those that look for it that it is back.
        """
        if not self._errors.parent.is_dir():
            return
        self._errors.mkdir(exist_ok=True)
        with error_file(self._errors, number).open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"trial {number} on {self._nodes.name(node)}\n{text.rstrip()}\n\n")

    def has_elsewhere(self, number: int, node: str) -> bool:
        """Whether another node may train a trial that has failed on `node`."""
        return self._faults.has_elsewhere(number, node, self._nodes.training)

    def failed(self, failure: Failure) -> None:
        """A trial has failed, its worker being alive or not."""
        number, engine = failure.number, self._engine
        engine.report_mishap(number, self._nodes.name(failure.node), failure.reason)
        elsewhere = self.has_elsewhere(number, failure.node)
        at_once = not elsewhere and _is_death(failure) and engine.record(number).deaths < DEATHS_RETRIED
        found = "trial" if at_once else self._faults.failed(failure, self._nodes.training)
        if found == "trial":
            end_by(engine, failure)
            # One that ends by it is a failed trial, which whoever shows the search says.
            if engine.record(number).outcome == "running":
                LOGGER.warning("trial %d: %s, it goes on from its checkpoint", number, failure.reason)
            return
        engine.give_back(number)
        follows = "it goes on elsewhere" if found == "node" else "it waits until others have been trained here"
        on = f" on {self._nodes.name(failure.node)}" if elsewhere else ""
        LOGGER.warning("trial %d%s: %s; %s, and is not counted as failed", number, on, failure.reason, follows)
        self._nodes.failures_counted(failure.node)

    def does_not_fit(self, number: int, node: str, reason: str) -> None:
        """A trial takes more memory than an accelerator of a node has: it goes on with another type, or ends."""
        kind, training = self._nodes.accelerator(node), self._nodes.training
        alike = {other for other in training if self._nodes.accelerator(other) == kind}
        if self._faults.does_not_fit(number, {node, *alike}, training):
            self._engine.give_back(number)
            LOGGER.warning("trial %d on %s: %s; it goes on elsewhere", number, self._nodes.name(node), reason)
        else:
            self._engine.end(number, "oom", reason)

    def trained(self, number: int, node: str, find_running: Callable[[], frozenset[int]]) -> None:
        """A trial has been trained for an epoch on a node, by which the failures of others there are their own.

        `find_running` finds those that are at a worker, which takes a while where there are many.
        """
        self._nodes.has_trained(node)
        running = find_running() if self._faults.any_open else frozenset[int]()
        for failure in self._faults.trained(number, node, self._nodes.training, running):
            end_by(self._engine, failure)


def end_by(engine: Engine, failure: Failure) -> None:
    """Ends a trial by a failure that is its own fault; one whose worker died for the first time is trained again."""
    if _is_death(failure):
        engine.worker_died(failure.number, failure.reason, failure.outcome)
    else:
        engine.end(failure.number, failure.outcome, failure.reason)


def _is_death(failure: Failure) -> bool:
    """Whether a worker died of it, or might have: the next one may have more memory."""
    return failure.outcome in ("crashed", "oom")
