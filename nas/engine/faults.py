"""Whose fault a failure is, the trial's or its node's, and what follows of it. Plain data: no clock, no framework."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from nas.records.failures import failed, failure_reasons
from nas.records.trial import Outcome, TrialRecord

# What went wrong with a training: a package, the images, the accelerator, the storage, no progress, too little memory,
# the end of its worker, or anything else.
Cause = Literal["import", "data", "device", "storage", "timeout", "memory", "death", "error"]

# What has nothing to do with an architecture, whatever else is trained where it happened.
SURROUNDINGS: tuple[Cause, ...] = ("import", "data", "storage")
# What is the node's fault unless it trains others, and may be over when the node has passed a check.
NODE_CAUSES: tuple[Cause, ...] = (*SURROUNDINGS, "device", "timeout", "memory")

# On so many nodes that train others, and a failure is the trial's: a large cluster is not tried node by node.
NODES_UNTIL_OWN = 2
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
    """Whose fault a failure is, of a trial that failed on the nodes `failed_on` before, where `nodes` may train.

    That it had trained there before speaks for the node where Python raised an error. Where a worker died it does not
    while others are left to be tried: a sick node may take a while to kill one. Too little memory everywhere is the
    trial's fault.
    """
    if failure.cause == "error" and not failure.first_epoch:
        return "trial"
    if set(nodes) - {*failed_on, failure.node}:
        return "node"
    is_own = failure.cause == "memory" or (failure.cause == "death" and not failure.first_epoch)
    return "trial" if is_own else "open"


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
        # The nodes among these that have trained another since.
        self._stands_on: dict[int, set[str]] = {}
        self._in_a_row: dict[str, list[Failure]] = {}
        # The nodes whose accelerators are too small for a trial.
        self._too_small: dict[int, frozenset[str]] = {}

    def failed(self, failure: Failure, nodes: Collection[str]) -> Verdict:
        """Takes note of a failure, where `nodes` may train."""
        failures = self._of_trials.get(failure.number, {})
        stands = len(self._stands_on.get(failure.number, ())) >= NODES_UNTIL_OWN
        found = "trial" if stands else verdict(failure, self._closed_to(failure.number), nodes)
        if found == "trial":
            self.forget(failure.number)
        else:
            self._of_trials[failure.number] = {**failures, failure.node: failure}
            self._in_a_row.setdefault(failure.node, []).append(failure)
        return found

    def does_not_fit(self, number: int, alike: Collection[str], nodes: Collection[str]) -> bool:
        """Takes note that a trial does not fit on the accelerators of the nodes `alike`; whether it may on others."""
        self._too_small[number] = self._too_small.get(number, frozenset()) | frozenset(alike)
        return any(self.may_run(number, node) for node in nodes)

    @property
    def any_open(self) -> bool:
        """Whether there are trials of whose failures it is not settled whose they are."""
        return bool(self._of_trials)

    def may_run(self, number: int, node: str) -> bool:
        """Whether a trial has not failed on a node, as far as that is not settled, and may fit there."""
        return node not in self._closed_to(number)

    def _closed_to(self, number: int) -> frozenset[str]:
        """The nodes that a trial may not go to."""
        return frozenset(self._of_trials.get(number, ())) | self._too_small.get(number, frozenset())

    def has_elsewhere(self, number: int, node: str, nodes: Collection[str]) -> bool:
        """Whether there is one of `nodes`, other than `node`, on which a trial has not failed."""
        return any(self.may_run(number, other) for other in nodes if other != node)

    def trained(
        self, number: int, node: str, nodes: Collection[str], running: Collection[int] = frozenset()
    ) -> list[Failure]:
        """Takes note of an epoch of a trial on a node, where `nodes` may train.

        Where that trial failed before, it was the node. The failures of others there that are their own by that, of
        those that no other node may train, or that have failed on enough of them. The trials in `running` are at a
        worker.
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
                continue
            stands_on = self._stands_on.setdefault(other, set())
            stands_on.add(node)
            nowhere = set(nodes) <= self._closed_to(other)
            if (nowhere or len(stands_on) >= NODES_UNTIL_OWN) and other not in running:
                self.forget(other)
                own.append(failure)
        return own

    def forget(self, number: int) -> None:
        """Forgets where a trial failed."""
        self._of_trials.pop(number, None)
        self._stands_on.pop(number, None)

    def in_a_row(self, node: str) -> tuple[Failure, ...]:
        """The failures on a node since it trained an epoch last."""
        return tuple(self._in_a_row.get(node, ()))

    def node_is_back(self, node: str) -> None:
        """Takes note that a node has passed its check: what failed there for its fault may go there again."""
        self._in_a_row.pop(node, None)
        for number, failures in list(self._of_trials.items()):
            if node in failures and failures[node].cause in NODE_CAUSES:
                self._unblock(number, node)

    def reopen(self, node: str) -> bool:
        """Lets those come back to a node whose workers died there; whether there are any. Nothing else is to be done.

        What killed them may have been chance, and while it waits for another node it is not trained at all.
        """
        came_back = False
        for number, failures in list(self._of_trials.items()):
            if node in failures and failures[node].cause == "death":
                self._unblock(number, node)
                came_back = True
        return came_back

    def stuck(self, *, anything_trained: bool) -> list[Failure]:
        """What to end where nothing runs and every trial that waits has failed on every node.

        Those whose failures stand against what the search has trained are ended; the others try again.
        """
        own = []
        self._too_small.clear()
        for number, failures in list(self._of_trials.items()):
            last = list(failures.values())[-1]
            self.forget(number)
            if anything_trained and last.cause not in SURROUNDINGS:
                own.append(last)
        return own

    def _unblock(self, number: int, node: str) -> None:
        left = {other: failure for other, failure in self._of_trials[number].items() if other != node}
        self._of_trials[number] = left
        self._stands_on.get(number, set()).discard(node)
        if not left:
            self.forget(number)
