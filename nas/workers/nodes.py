"""The nodes that trials run on: which may be given one, which are left out and checked again, and who runs where."""

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from cluster.node_checks import NodeCheck, PendingCheck, node_name
from nas.engine.faults import FAILURES_UNTIL_LEFT_OUT, Faults
from nas.records.left_out_nodes import LeftOutNode
from nas.settings.cluster_settings import ClusterSettings
from nas.workers.checked_nodes import CheckedNodes
from nas.workers.node_resources import accelerator_of, living_nodes, slots_on, trial_text
from search_spaces.units import readable_duration

LOGGER = logging.getLogger(__name__)

SECONDS_BETWEEN_LOOKS = 1.0
# A node that was left out is checked again after so long, each time after twice as long, up to a limit.
SECONDS_UNTIL_CHECKED = 15.0
MOST_SECONDS_UNTIL_CHECKED = 600.0

# One that joined later waits for its first check, one whose workers were told to end for its next.
Standing = Literal["trains", "left out", "joining", "ending"]


@dataclass
class _Node:
    name: str
    slots: int
    accelerator: str | None
    standing: Standing
    reason: str = ""
    # What was said of the storage, where that is why it is left out.
    said_of_storage: str | None = None
    check: PendingCheck | None = None
    checked_from: float = 0.0
    wait_seconds: float = SECONDS_UNTIL_CHECKED


class Nodes:
    """The nodes of a search, and which of Ray Tune's trials is where."""

    def __init__(
        self,
        cluster: ClusterSettings,
        faults: Faults,
        checked: CheckedNodes | None,
        record: Callable[[tuple[LeftOutNode, ...]], None],
        clock: Callable[[], float],
        left_out: tuple[LeftOutNode, ...] = (),
    ) -> None:
        """`checked` are the nodes that were checked already; None where there is but this machine.

        `record` writes the nodes that were left out, `left_out` those of before, at the times of `clock`: what an
        earlier driver left out is, or is not, left out anew.
        """
        self._cluster = cluster
        self._faults = faults
        self._check = None if checked is None else checked.check
        self._record = record
        self._clock = clock
        self._left_out = [self._over(left) for left in left_out]
        if self._left_out != list(left_out):
            record(tuple(self._left_out))
        self._nodes: dict[str, _Node] = {}
        self._at: dict[str, str] = {}
        # How many of them are at each node: asked at every turn of Ray Tune's loop, where a thousand may be running.
        self._taken = Counter[str]()
        self._next_look = 0.0
        self._any_living = True
        for node, description in self._roomy_nodes().items():
            known = checked is None or node in checked.training or node in checked.left_out
            self._nodes[node] = self._described(description, "trains" if known else "joining")
        for node, reason in ({} if checked is None else checked.left_out).items():
            if node in self._nodes:
                self._leave_out(node, reason)

    def close(self) -> None:
        """Leaves nothing of checks that have not ended."""
        for found in self._nodes.values():
            _drop_check(found)

    def _roomy_nodes(self) -> dict[str, dict[str, Any]]:
        """The living nodes that can hold a trial at all."""
        return {node: found for node, found in living_nodes().items() if slots_on(found["Resources"], self._cluster)}

    def _described(self, description: dict[str, Any], standing: Standing) -> _Node:
        resources = description["Resources"]
        accelerator = accelerator_of(resources) if self._cluster.gpus_per_trial else None
        return _Node(node_name(description), slots_on(resources, self._cluster), accelerator, standing)

    def name(self, node: str) -> str:
        """How a node is called, to people."""
        return self._nodes[node].name if node in self._nodes else f"{node[:8]}, which is gone"

    def accelerator(self, node: str) -> str | None:
        """The type of the GPUs that trials train on there; None on CPUs, and of a node that is gone."""
        return self._nodes[node].accelerator if node in self._nodes else None

    @property
    def training(self) -> frozenset[str]:
        """The nodes that may be given a trial."""
        return frozenset(node for node, found in self._nodes.items() if found.standing == "trains")

    @property
    def why_none_trains(self) -> str | None:
        """Why every node is left out; None where one trains, may do so when it is checked, or where none is there."""
        if not self._nodes or any(found.standing != "left out" for found in self._nodes.values()):
            return None
        if self._check is None:
            (only,) = self._nodes.values()
            return f"{only.reason}; none of them is counted as failed"
        # A storage that is away is away for all of them.
        of_storage = [found.said_of_storage for found in self._nodes.values()]
        if None not in of_storage:
            return f"no node can use the storage, and no trial is counted as failed: {of_storage[0]}"
        reasons = "; ".join(f"{found.name}: {found.reason}" for found in self._nodes.values())
        return f"every node is left out and no trial is counted as failed: {reasons}"

    @property
    def busy(self) -> bool:
        """Whether a trial is anywhere."""
        return bool(self._at)

    def is_there(self, node: str) -> bool:
        """Whether a node was there when it was looked last."""
        return node in self._nodes

    def free(self) -> list[str]:
        """The nodes with room for a trial, those with the most room first."""
        room = {
            node: found.slots - self._taken[node] for node, found in self._nodes.items() if found.standing == "trains"
        }
        return sorted((node for node in room if room[node] > 0), key=lambda node: (-room[node], node))

    def occupy(self, trial_id: str, node: str) -> None:
        """Takes note that a trial of Ray Tune's goes to a node."""
        self.vacate(trial_id)
        self._at[trial_id] = node
        self._taken[node] += 1

    def vacate(self, trial_id: str) -> None:
        """Takes note that it has left it."""
        node = self._at.pop(trial_id, None)
        if node is not None:
            self._taken[node] -= 1

    def failures_counted(self, node: str) -> None:
        """Leaves a node out on which too many trials have failed in a row."""
        failures = self._faults.in_a_row(node)
        found = self._nodes.get(node)
        if found is None or found.standing != "trains" or len(failures) < FAILURES_UNTIL_LEFT_OUT:
            return
        # Large networks may fill the memory of every node.
        if all(failure.cause == "memory" for failure in failures) and self.training == {node}:
            return
        last = failures[-1]
        found.said_of_storage = last.reason if last.cause == "storage" else None
        self._leave_out(node, f"{len(failures)} failures in a row, the last of trial {last.number}: {last.reason}")

    def has_trained(self, node: str) -> None:
        """Takes note of an epoch: a node that was left out, and has trained what ran there still, is taken back."""
        found = self._nodes.get(node)
        if found is None:
            return
        found.wait_seconds = SECONDS_UNTIL_CHECKED
        if found.standing == "left out":
            self._take_back(node, "trains again")

    def is_to_end(self, node: str) -> None:
        """Takes note that a worker there was told to end, as before its machine is taken away."""
        found = self._nodes.get(node)
        if self._check is not None and found is not None and found.standing == "trains":
            found.standing = "ending"
            found.checked_from = time.monotonic() + SECONDS_UNTIL_CHECKED
            said = "node %s: a worker was told to end; it is given no trials until its check in %s"
            LOGGER.warning(said, found.name, readable_duration(SECONDS_UNTIL_CHECKED))

    def look(self) -> None:
        """Looks who has come and gone, and checks those that wait for it. To be called often."""
        now = time.monotonic()
        # This machine alone does not change.
        if self._check is None or now < self._next_look:
            return
        self._next_look = now + SECONDS_BETWEEN_LOOKS
        living = self._roomy_nodes()
        self._say_whether_any(bool(living))
        for node in [node for node in self._nodes if node not in living]:
            found = self._nodes.pop(node)
            _drop_check(found)
            self._no_longer_left_out(found)
        for node, description in living.items():
            if node not in self._nodes:
                self._nodes[node] = self._described(description, "joining")
        for node, found in self._nodes.items():
            if found.standing != "trains":
                self._go_on_checking(node, living[node], self._check, now)

    def _say_whether_any(self, any_living: bool) -> None:
        if any_living == self._any_living:
            return
        self._any_living = any_living
        if any_living:
            LOGGER.warning("there is a node again that holds a trial")
        else:
            LOGGER.warning("waiting for a node that holds a trial of %s: none is left", trial_text(self._cluster))

    def _go_on_checking(self, node: str, description: dict[str, Any], check: NodeCheck, now: float) -> None:
        found = self._nodes[node]
        if found.check is None:
            if now >= found.checked_from:
                found.check = check.start(description)
            return
        if not check.is_over(found.check):
            return
        report = check.report(found.check)
        found.check, problem = None, report.problem
        if report.is_gone:
            # It is dropped once Ray says so of the node, too.
            found.checked_from = now + SECONDS_UNTIL_CHECKED
            return
        for text in report.verdict.warnings if found.standing == "joining" else ():
            LOGGER.warning("node %s: %s", found.name, text)
        if problem is not None and found.standing == "joining" and self._cluster.bad_nodes == "warn":
            LOGGER.warning("node %s: %s", found.name, problem)
            problem = None
        if problem is None:
            self._take_back(node, "has joined" if found.standing == "joining" else "has passed its check")
        elif found.standing == "joining":
            self._leave_out(node, problem)
        else:
            self._wait(found)

    def _wait(self, found: _Node) -> None:
        found.checked_from = time.monotonic() + found.wait_seconds
        found.wait_seconds = min(2 * found.wait_seconds, MOST_SECONDS_UNTIL_CHECKED)

    def _leave_out(self, node: str, reason: str) -> None:
        found = self._nodes[node]
        found.standing, found.reason = "left out", reason
        if self._check is None:
            return  # There is nowhere else, so the search is going to end and say why.
        again = readable_duration(found.wait_seconds)
        self._wait(found)
        LOGGER.warning("node %s is left out: %s; it is checked again in %s", found.name, reason, again)
        self._left_out.append(LeftOutNode(found.name, reason, self._clock(), None))
        self._record(tuple(self._left_out))

    def _take_back(self, node: str, why: str) -> None:
        found = self._nodes[node]
        _drop_check(found)
        is_new = found.standing == "joining"
        self._no_longer_left_out(found)
        found.standing = "trains"
        self._faults.node_is_back(node)
        if self._check is None:
            return
        LOGGER.warning("node %s %s%s", found.name, why, "" if is_new else ": it is given trials again")

    def _no_longer_left_out(self, found: _Node) -> None:
        """Writes that a node is taken back, or has left the cluster."""
        if found.standing == "left out" and self._check is not None:
            self._left_out = [self._over(left) if left.node == found.name else left for left in self._left_out]
            self._record(tuple(self._left_out))

    def _over(self, left: LeftOutNode) -> LeftOutNode:
        """The same node, left out until now at the latest."""
        return left if left.until is not None else replace(left, until=self._clock())


def _drop_check(found: _Node) -> None:
    if found.check is not None:
        found.check.clean_up()
        found.check = None
