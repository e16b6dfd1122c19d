"""Whose fault a failure is, the trial's or its node's, and what follows of it. Plain data: no clock, no framework."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from nas.records.failures import failed, failure_reasons
from nas.records.trial import Outcome, TrialRecord

# What went wrong with a training: a package, the images, the accelerator, the storage, no progress, the end of its
# worker, or anything else.
Cause = Literal["import", "data", "device", "storage", "timeout", "death", "error"]

# What has nothing to do with an architecture, whatever else is trained where it happened.
SURROUNDINGS: tuple[Cause, ...] = ("import", "data", "storage")
# What is the node's fault unless it trains others.
NODE_CAUSES: tuple[Cause, ...] = (*SURROUNDINGS, "device", "timeout")

# So many failures in a row, with no epoch trained in between, and a node is left out.
FAILURES_UNTIL_LEFT_OUT = 3
# So many trials that failed by themselves before any has trained an epoch. Those that a search begins with cover the
# range of costs, so that memory is not too short for the largest alone.
FAILURES_UNTIL_HOPELESS = 6


class EverythingFails(Exception):
    """No trial can be trained: on no node, or by the training as it was asked for."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Trial `number` failed on `node`, and ends as `outcome` where that is its own fault.

    `first_epoch`: it had trained none there since it came.
    """

    number: int
    node: str
    cause: Cause
    reason: str
    outcome: Outcome
    first_epoch: bool


# The trial's: it ends by it. The node's: another may train it still. Open: nobody can tell before a node on which it
# failed has trained another. What is not the trial's is not counted.
Verdict = Literal["trial", "node", "open"]


def verdict(failure: Failure, failed_on: Collection[str], nodes: Collection[str]) -> Verdict:
    """Whose fault a failure is, of a trial that failed on the nodes `failed_on` before, where `nodes` may train."""
    if failure.cause not in NODE_CAUSES and not failure.first_epoch:
        return "trial"
    return "node" if set(nodes) - {*failed_on, failure.node} else "open"


def hopeless(records: Sequence[TrialRecord], known: Collection[int]) -> str | None:
    """Why it is of no use to train further architectures: many failed by themselves, and none has trained an epoch.

    The trials `known` failed before, and may have done so for what has been mended since.
    """
    if any(record.epochs for record in records):
        return None
    new = [record for record in failed(records) if record.number not in known]
    if len(new) < FAILURES_UNTIL_HOPELESS:
        return None
    reason, times = next(iter(failure_reasons(new).items()))
    return f"{len(new)} architectures have failed and none has trained an epoch; of {times} the reason is {reason}"


class Faults:
    """The failures of the trials that have not ended, and of each node those since it trained an epoch last."""

    def __init__(self) -> None:
        self._of_trials: dict[int, dict[str, Failure]] = {}
        self._in_a_row: dict[str, list[Failure]] = {}

    def failed(self, failure: Failure, nodes: Collection[str]) -> Verdict:
        """Takes note of a failure, where `nodes` may train."""
        failures = self._of_trials.get(failure.number, {})
        found = verdict(failure, failures, nodes)
        if found == "trial":
            self.forget(failure.number)
        else:
            self._of_trials[failure.number] = {**failures, failure.node: failure}
            self._in_a_row.setdefault(failure.node, []).append(failure)
        return found

    @property
    def any_open(self) -> bool:
        """Whether there are trials of whose failures it is not settled whose they are."""
        return bool(self._of_trials)

    def may_run(self, number: int, node: str) -> bool:
        """Whether a trial has not failed on a node, as far as that is not settled."""
        return node not in self._of_trials.get(number, {})

    def has_elsewhere(self, number: int, node: str, nodes: Collection[str]) -> bool:
        """Whether there is one of `nodes`, other than `node`, on which a trial has not failed."""
        return any(self.may_run(number, other) for other in nodes if other != node)

    def trained(
        self, number: int, node: str, nodes: Collection[str], running: Collection[int] = frozenset()
    ) -> list[Failure]:
        """Takes note of an epoch of a trial on a node, where `nodes` may train.

        Where that trial failed before, it was the node. The failures of others there that are their own by that, of
        those that no other node may train. The trials in `running` are at a worker.
        """
        self.forget(number)
        self._in_a_row.pop(node, None)
        own = []
        for other, failures in list(self._of_trials.items()):
            failure = failures.get(node)
            if failure is None:
                continue
            if failure.cause in SURROUNDINGS:
                self._unblock(other, node)
            elif set(nodes) <= set(failures) and other not in running:
                self.forget(other)
                own.append(failure)
        return own

    def forget(self, number: int) -> None:
        """Forgets where a trial failed."""
        self._of_trials.pop(number, None)

    def in_a_row(self, node: str) -> tuple[Failure, ...]:
        """The failures on a node since it trained an epoch last."""
        return tuple(self._in_a_row.get(node, ()))

    def node_is_back(self, node: str) -> None:
        """Takes note that a node has passed its check: what failed there for its fault may go there again."""
        self._in_a_row.pop(node, None)
        for number, failures in list(self._of_trials.items()):
            if node in failures and failures[node].cause in NODE_CAUSES:
                self._unblock(number, node)

    def stuck(self, *, anything_trained: bool) -> list[Failure]:
        """What to end where nothing runs and every trial that waits has failed on every node.

        Those whose failures stand against what the search has trained are ended; the others try again.
        """
        own = []
        for number, failures in list(self._of_trials.items()):
            last = list(failures.values())[-1]
            self.forget(number)
            if anything_trained and last.cause not in SURROUNDINGS:
                own.append(last)
        return own

    def _unblock(self, number: int, node: str) -> None:
        left = {other: failure for other, failure in self._of_trials[number].items() if other != node}
        self._of_trials[number] = left
        if not left:
            self.forget(number)
