"""The processes of a full training on a Ray cluster, started together, as torchrun would start them.

Each finds the others by the environment that torchrun sets: RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR
and MASTER_PORT. Each has the GPU that Ray gives it for its only one, so that its local rank is 0.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import ray
from ray.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from nas.settings.cluster_settings import ClusterSettings
from nas.workers.autoscaler import autoscaler_of
from nas.workers.node_resources import living_nodes, slots_on, trial_resources, trial_text
from nas.workers.training_host import TrainingHost
from nas.workers.trial_processes import LOOPBACK
from search_spaces.errors import UserError
from search_spaces.pasted_commands import COMMAND_VARIABLE
from search_spaces.slow_steps import on_standard_error, slow_step
from search_spaces.units import counted
from trainers.stopping import EndedEarly

LOOK_SECONDS = 0.2
# A search may still hold what they need; Ray itself would wait for ever.
LONGEST_WAIT_SECONDS = 120.0
# Once one has ended the others end by what they lose with it, or are ended.
SETTLING_SECONDS = 30.0
# The exit code of a process whose host or node is gone.
LOST = -int(signal.SIGKILL)


@contextlib.contextmanager
def training_hosts(processes: int, cluster: ClusterSettings, should_end: Callable[[], bool]) -> Iterator[list[Any]]:
    """So many hosts, those on one node beside each other, for as long as the context lasts.

    Each takes of its node what a trial of `cluster` does. Raises UserError where the cluster has no room for them, and
    EndedEarly once `should_end()` while they are waited for.
    """
    needs = trial_resources(cluster)
    has_room = sum(slots_on(node["Resources"], cluster) for node in living_nodes().values())
    if has_room < processes and autoscaler_of(cluster) is None:
        raise UserError(
            f"--processes is {processes}, each of {trial_text(cluster)}: "
            f"{'the cluster' if cluster.address else 'this machine'} has room for {has_room}."
        )
    group = placement_group([needs] * processes, strategy="PACK")
    try:
        with slow_step(on_standard_error, f"waiting for room for {counted(processes, 'process', 'processes')}"):
            _wait_for_room(group, processes, cluster, should_end)
        cpus, gpus = cluster.trial_cpus, cluster.gpus_per_trial
        remote: Any = ray.remote(TrainingHost)
        hosts = [
            remote.options(
                num_cpus=cpus, num_gpus=gpus, scheduling_strategy=PlacementGroupSchedulingStrategy(group, index)
            ).remote()
            for index in range(processes)
        ]
        nodes = ray.get([host.node.remote() for host in hosts])
        yield [host for _, host in sorted(zip(nodes, hosts, strict=True), key=lambda pair: pair[0])]
    finally:
        remove_placement_group(group)


def _wait_for_room(
    group: PlacementGroup, processes: int, cluster: ClusterSettings, should_end: Callable[[], bool]
) -> None:
    deadline = time.monotonic() + LONGEST_WAIT_SECONDS
    while not group.wait(LOOK_SECONDS):
        if should_end():
            raise EndedEarly
        if time.monotonic() > deadline:
            raise UserError(
                f"the cluster has had no room for {processes} processes, each of {trial_text(cluster)}, for "
                f"{LONGEST_WAIT_SECONDS:g} s: lower --processes, or try again once what runs there has ended."
            )


def start_training(hosts: Sequence[Any], arguments: Sequence[str], command: str, *, on_gpus: bool) -> None:
    """Starts a process on each host, the first of which is the first process. `command` goes on with the training.

    Raises UserError where one cannot be started.
    """
    address, port = ray.get(hosts[0].meeting.remote())
    environment = {
        "WORLD_SIZE": str(len(hosts)), "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1",
        "MASTER_ADDR": address, "MASTER_PORT": str(port), COMMAND_VARIABLE: command, "PYTHONUNBUFFERED": "1",
    }  # fmt: skip
    if "OMP_NUM_THREADS" not in os.environ:
        # As torchrun has it.
        environment["OMP_NUM_THREADS"] = "1"
    if address.startswith("127."):
        environment |= LOOPBACK
    if not on_gpus:
        environment["CUDA_VISIBLE_DEVICES"] = ""
    started = [
        host.start.remote(list(arguments), environment | {"RANK": str(rank)}, os.getcwd())
        for rank, host in enumerate(hosts)
    ]
    for problem in ray.get(started):
        if problem is not None:
            raise UserError(f"{problem}, from where the command was typed: expected a file system that all share.")


def follow_training(hosts: Sequence[Any], requested: Callable[[], int | None]) -> list[int]:
    """Prints what the processes print until all have ended, and gives their exit codes; negative is a signal's.

    `requested` says which signal they are to be sent, once there is one. Where one has ended and others do not, they
    are ended.
    """
    codes: dict[int, int] = {}
    sent: int | None = None
    deadline: float | None = None
    while len(codes) < len(hosts):
        if sent is None and (sent := requested()) is not None:
            _send(hosts, codes, sent)
        for rank, host in enumerate(hosts):
            if rank in codes:
                continue
            try:
                lines, code = ray.get(host.look.remote())
            except ray.exceptions.RayActorError:
                lines, code = [], LOST
            for descriptor, line in lines:
                print(line, end="", file=sys.stdout if descriptor == 1 else sys.stderr, flush=True)
            if code is not None:
                codes[rank] = code
        if any(codes.values()) and deadline is None:
            deadline = time.monotonic() + SETTLING_SECONDS
        if deadline is not None and time.monotonic() > deadline:
            _send(hosts, codes, signal.SIGKILL)
        time.sleep(LOOK_SECONDS)
    return [codes[rank] for rank in range(len(hosts))]


def _send(hosts: Sequence[Any], codes: dict[int, int], number: int) -> None:
    for rank, host in enumerate(hosts):
        if rank not in codes:
            host.send.remote(number)
